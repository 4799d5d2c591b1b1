"""Who: users, service accounts and their credentials, projects, members, delegations.

Owns the pair (``composite``: one service account acting for one user) and every allow and deny
(``policy``). Knows nothing of tokens: ``tokens`` asks here before it mints.
"""

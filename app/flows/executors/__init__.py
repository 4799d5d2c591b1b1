"""Where a run's steps happen: a script and an environment go in, bytes and an outcome come out.

Owns processes and their directory, nothing else: it mints nothing, masks nothing and stores nothing.
``local`` runs on this very machine, behind ``launcher``, a program of its own that never imports app.
"""

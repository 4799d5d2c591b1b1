"""What happened, and in whose name; provably so.

Owns the audit events: their vocabulary (``actions``), the one way to write (``record``) and to search
(``search``) them. An event is written in the transaction of what it tells, as the next link of its
writer's ``chain``. The ledger's own ``key`` signs ``checkpoints``; ``verification`` proves it all, from an
``anchor`` if there is one; ``retention`` cuts at a checkpoint.
"""

"""What happened, and in whose name.

Owns the audit events: their vocabulary (``actions``), their table (``models``) and the one way to
write (``record``) and read (``search``) them. An event is written in the transaction of what it tells.
"""

"""Signing keys: their states (``keyring``), where private halves are kept (``keystores``), the ``signer``.

Hands ``tokens`` one active key at a time, always with its ``kid``; hands the edge the public set.
"""

"""Where people at a shell come in: data on stdout, messages on stderr, ``--json`` everywhere."""

from app.cli.main import main

__all__ = ["main"]

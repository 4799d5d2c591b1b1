"""What domain code raises. None of them knows HTTP: the edge translates, once.

A message is written for whoever asked: it names the key and the remedy and never repeats a secret.
Whatever is not a ``Refusal`` is a fault of ours, and reaches nobody but the log.
"""


class Refusal(Exception):  # noqa: N818 - the product says no; that is an answer, not an error
    """The rules say no. ``str(refusal)`` may be shown to the caller."""


class InvalidInput(Refusal):
    """What was given cannot be right, whoever asks."""


class NotFound(Refusal):
    """There is no such thing."""


class Conflict(Refusal):
    """It clashes with what is there already."""


class Denied(Refusal):
    """The thing exists, but not for this caller."""


class Overtaken(Refusal):
    """What was true when the decision was made is no longer true at its commit."""

"""What was read of a secret, wherever it lies, and why it was not."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.errors import Refusal
from app.secret import Secret

_QUOTED = 200
_TELLING = 8
"""So many consecutive characters of a token are a part of it that must not be shown (SECURITY.md F13)."""


class SecretUnavailable(Refusal):
    """A secret was not to be had, or a token not to be revoked: at which step, and why; no values."""


@dataclass(frozen=True)
class SecretRead:
    """``version``: of the secret, where there are any; a number, or an id of AWS."""

    value: Secret
    version: int | str | None


def json_of(text: bytes | str) -> Any:
    """The value, its numbers as the text they were sent in; ``None`` for what is no JSON."""
    try:
        return json.loads(text, parse_int=str, parse_float=str, parse_constant=str)
    except (ValueError, RecursionError):
        return None


def field_text(value: object) -> str:
    """A field of ``json_of`` as text; ``ValueError`` says why it has none, and never what it is."""
    match value:
        case bool():
            return "true" if value else "false"
        case str() if _is_unicode(value):
            return value
        case str():
            raise ValueError("the field is not valid Unicode text")
        case _:
            raise ValueError("the field is an object, a list or null, where text is needed")


def fit_to_show(words: str, hidden: Sequence[Secret]) -> str:
    """A server's own words on one line; nothing if they hold a part of what is ``hidden``."""
    text = " ".join("".join(c if c.isprintable() else " " for c in words).split())[:_QUOTED]
    return "" if any(_shows(secret.reveal(), re.sub(r"\s", "", text)) for secret in hidden) else text


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _shows(secret: str, text: str) -> bool:
    last = max(1, len(secret) - _TELLING + 1)
    return any(secret[start : start + _TELLING] in text for start in range(last))

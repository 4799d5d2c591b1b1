"""Scopes, and the dynamic scope ``user:<id>`` that names the human a token acts for (RFC 6749 §3.3)."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from app.protocol.principals import PrincipalKind, parse_principal, user_principal

API = "api"
"""The scope that covers everything."""
_LONGEST = 1000


class ScopeError(ValueError):
    """The cause of a refusal; for the ledger, not for the client."""


@dataclass(frozen=True)
class RequestedScope:
    """A scope parameter that was well formed: its names in order, and the one human, if it names one."""

    names: tuple[str, ...]
    user_id: int | None


def parse_scope(text: str, known: Collection[str]) -> RequestedScope:
    """Reads a scope parameter; each name is of ``known`` or the dynamic scope ``user:<id>``.

    Raises ``ScopeError`` for what is unknown, repeated, misspelt, too long, or names two humans.
    """
    if len(text) > _LONGEST:
        raise ScopeError(f"scope is longer than {_LONGEST} characters")
    words = text.split(" ") if text else []
    if len(set(words)) != len(words):
        raise ScopeError("a scope is repeated, or two spaces stand together")
    humans = [word for word in words if word.startswith("user:")]
    if len(humans) > 1:
        raise ScopeError("more than one user: scope")
    names = tuple(word for word in words if word not in humans)
    if any(name not in known for name in names):
        raise ScopeError("a scope that does not exist")
    return RequestedScope(names, _human(humans[0]) if humans else None)


def named_human(text: str) -> int | None:
    """The one human whom a scope parameter names, however wrong the rest of it may be; for the ledger."""
    words = text.split(" ") if len(text) <= _LONGEST else []
    humans = {word for word in words if word.startswith("user:")}
    principal = parse_principal(humans.pop()) if len(humans) == 1 else None
    return principal[1] if principal is not None else None


def _human(word: str) -> int:
    principal = parse_principal(word)
    if principal is None or principal[0] is not PrincipalKind.USER:
        raise ScopeError("a user: scope that is not user: and a decimal number")
    return principal[1]


def composite_scope(names: Iterable[str], user_id: int) -> str:
    """The scope of a composite token: what it covers, then the human it acts for."""
    return " ".join((*names, user_principal(user_id)))


def covers(granted: Collection[str] | None, names: Iterable[str]) -> bool:
    """Whether a grant covers the names; ``None`` and ``api`` cover all."""
    return granted is None or API in granted or all(name in granted for name in names)

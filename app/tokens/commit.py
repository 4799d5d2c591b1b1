"""Commit: the token rows and the audit rows, if what was decided still holds.

A commit is a value: what to write and what must be true. Here one transaction takes one commit; a writer
that takes many in one transaction can do so without asking anybody else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, bindparam, exists, insert, select

from app.errors import Overtaken
from app.identity.credentials import note_use
from app.identity.models import ClientSecret, Delegation, Principal
from app.ledger.record import AuditEvent, record
from app.signing.models import KeyState, SigningKey
from app.tokens.models import IssuedToken


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What must still be alive; whatever is ``None`` plays no part."""

    user: int | None = None
    service_account: int | None = None
    delegation: int | None = None
    client_secret: int | None = None
    kid: str


@dataclass(frozen=True, kw_only=True)
class Commit:
    at: datetime
    conditions: Conditions
    tokens: tuple[Mapping[str, Any], ...]
    events: tuple[AuditEvent, ...]
    used_client_secret: int | None = None
    """The secret whose use is to be noted."""


_ALIVE: Mapping[str, ColumnElement[bool]] = {
    "user": (Principal.id == bindparam("user")) & Principal.disabled_at.is_(None),
    "service_account": (Principal.id == bindparam("service_account")) & Principal.disabled_at.is_(None),
    "delegation": (Delegation.id == bindparam("delegation"))
    & Delegation.revoked_at.is_(None)
    & (Delegation.expires_at > bindparam("at")),
    "client_secret": (ClientSecret.id == bindparam("client_secret")) & ClientSecret.revoked_at.is_(None),
    "kid": (SigningKey.kid == bindparam("kid")) & SigningKey.state.in_((KeyState.ACTIVE, KeyState.RETIRED)),
}


_INSERT = insert(IssuedToken.__table__)  # type: ignore[arg-type]  # declared as what all tables have in common


def commit(connection: Connection, proposed: Commit) -> None:
    """Writes it all into the caller's transaction; raises ``Overtaken`` with nothing written."""
    _check(connection, proposed.conditions, proposed.at)
    connection.execute(_INSERT, proposed.tokens)
    record(connection, *proposed.events)
    if proposed.used_client_secret is not None:
        note_use(connection, proposed.used_client_secret, proposed.at)


def _check(connection: Connection, conditions: Conditions, at: datetime) -> None:
    wanted = {name: value for name, value in vars(conditions).items() if value is not None}
    row = connection.execute(_question(tuple(wanted)), wanted | {"at": at}).one()
    if dead := [name for name, alive in zip(wanted, row, strict=True) if not alive]:
        raise Overtaken(f"no longer valid: {', '.join(dead)}")


@cache
def _question(names: tuple[str, ...]) -> Select[*tuple[bool, ...]]:
    """One round trip that answers, name by name, whether it is still alive."""
    return select(*(exists().where(_ALIVE[name]).label(f"{name}_alive") for name in names))

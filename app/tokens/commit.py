"""Commit: the token rows and the audit rows, if what was decided still holds.

A commit is a value: what to write and what must be true. Here one transaction takes one commit; a writer
that takes many in one transaction can do so without asking anybody else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, bindparam, exists, insert, select, true
from sqlalchemy.orm import InstrumentedAttribute

from app.errors import Overtaken
from app.identity import cut_offs
from app.identity.credentials import note_use
from app.identity.cut_offs import CutOffKind
from app.identity.models import ClientSecret, Delegation, Principal, ServiceAccount, User
from app.ledger.record import AuditEvent, record
from app.signing.models import KeyState, SigningKey
from app.tokens.models import IssuedToken


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What must still be alive and not cut off since; whatever is ``None`` plays no part."""

    user: int | None = None
    service_account: int | None = None
    delegation: int | None = None
    run: int | None = None
    client_secret: int | None = None
    kid: str


@dataclass(frozen=True, kw_only=True)
class Commit:
    at: datetime
    conditions: Conditions
    tokens: tuple[Mapping[str, Any], ...]
    events: tuple[AuditEvent, ...]


_ALIVE: Mapping[str, ColumnElement[bool]] = {
    "user": (Principal.id == bindparam("user")) & Principal.disabled_at.is_(None),
    "service_account": (Principal.id == bindparam("service_account")) & Principal.disabled_at.is_(None),
    "delegation": (Delegation.id == bindparam("delegation"))
    & Delegation.revoked_at.is_(None)
    & (Delegation.expires_at > bindparam("at")),
    "client_secret": (ClientSecret.id == bindparam("client_secret")) & ClientSecret.revoked_at.is_(None),
    "kid": (SigningKey.kid == bindparam("kid")) & SigningKey.state.in_((KeyState.ACTIVE, KeyState.RETIRED)),
}

_PARTIES: Mapping[str, InstrumentedAttribute[int]] = {
    "user": User.id,
    "service_account": ServiceAccount.id,
    "delegation": Delegation.id,
}


def commit(connection: Connection, proposed: Commit) -> None:
    """Writes it all into the caller's transaction; raises ``Overtaken`` with nothing written."""
    _check(connection, proposed.conditions, proposed.at)
    connection.execute(insert(IssuedToken), proposed.tokens)
    record(connection, *proposed.events)
    if proposed.conditions.client_secret is not None:
        note_use(connection, proposed.conditions.client_secret, proposed.at)


def _check(connection: Connection, conditions: Conditions, at: datetime) -> None:
    wanted = {name: value for name, value in vars(conditions).items() if value is not None}
    if connection.dialect.name != "sqlite":
        connection.execute(_hold(tuple(name for name in _PARTIES if name in wanted)), wanted)
    row = connection.execute(_question(tuple(wanted)), wanted | {"at": at}).mappings().one()
    if dead := [name for name, fine in row.items() if not fine]:
        raise Overtaken(f"no longer valid: {', '.join(dead)}")


@cache
def _hold(names: tuple[str, ...]) -> Select[*tuple[int, ...]]:
    """Where there are many writers: a kill either waits, and then sees the tokens that are about to be
    written, or has gone before and is seen by the question that follows.
    """
    held = select(*(_PARTIES[name] for name in names)).select_from(_PARTIES[names[0]].class_)
    for name in names[1:]:
        held = held.join(_PARTIES[name].class_, true())
    return held.where(*(_PARTIES[name] == bindparam(name) for name in names)).with_for_update(
        read=True, key_share=True
    )


@cache
def _question(names: tuple[str, ...]) -> Select[*tuple[bool, ...]]:
    """One round trip that answers, name by name, whether it is still alive; a run only by its cut-off."""
    alive = (exists().where(_ALIVE[name]).label(name) for name in names if name in _ALIVE)
    targets: cut_offs.Targets = {
        CutOffKind(name): bindparam(name) for name in names if name in set(CutOffKind)
    }
    if not targets:
        return select(*alive)
    return select(*alive, (~cut_offs.hits(targets, bindparam("at"))).label("cut_off"))

"""Commit: the token rows and the audit rows, if what was decided still holds.

A commit is a value: what to write and what must be true. Here one transaction takes one commit; a writer
that takes many in one transaction can do so without asking anybody else.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    bindparam,
    insert,
    literal_column,
    select,
    true,
)
from sqlalchemy.orm import aliased

from app.errors import Overtaken
from app.identity import cut_offs
from app.identity.credentials import note_use
from app.identity.cut_offs import CutOffKind
from app.identity.models import ClientSecret, Delegation, Principal
from app.ledger.record import AuditEvent, record
from app.prepared import Prepared
from app.signing.keyring import FOLLOWS_WITHIN_SECONDS
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
    kids: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Commit:
    at: datetime
    conditions: Conditions
    tokens: tuple[Mapping[str, Any], ...]
    events: tuple[AuditEvent, ...]
    used_client_secret: int | None = None
    """The secret whose use is to be noted."""


def merged(commits: Sequence[Commit]) -> Commit:
    """Commits that hang on the same conditions but for their keys, as one."""
    kids = tuple(dict.fromkeys(kid for each in commits for kid in each.conditions.kids))
    first = replace(commits[0], conditions=replace(commits[0].conditions, kids=kids))
    if any(replace(each.conditions, kids=kids) != first.conditions for each in commits):
        raise ValueError("commits with different conditions cannot be merged")
    return replace(
        first,
        tokens=tuple(token for each in commits for token in each.tokens),
        events=tuple(event for each in commits for event in each.events),
    )


class KeyOvertaken(Overtaken):
    """The key alone is not good any more: what is signed anew with the present one may be."""


_USER, _ACCOUNT = aliased(Principal), aliased(Principal)
_ALIVE: Mapping[str, tuple[Any, ColumnElement[bool]]] = {
    "kid": (
        SigningKey,
        (SigningKey.kid == bindparam("kid"))
        & (
            (SigningKey.state == KeyState.ACTIVE)
            | ((SigningKey.state == KeyState.RETIRED) & (SigningKey.retired_at > bindparam("still_followed")))
        ),
    ),
    "user": (_USER, (_USER.id == bindparam("user")) & _USER.disabled_at.is_(None)),
    "service_account": (
        _ACCOUNT,
        (_ACCOUNT.id == bindparam("service_account")) & _ACCOUNT.disabled_at.is_(None),
    ),
    "delegation": (
        Delegation,
        (Delegation.id == bindparam("delegation"))
        & Delegation.revoked_at.is_(None)
        & (Delegation.expires_at > bindparam("at")),
    ),
    "client_secret": (
        ClientSecret,
        (ClientSecret.id == bindparam("client_secret"))
        & ClientSecret.revoked_at.is_(None)
        & (ClientSecret.expires_at.is_(None) | (ClientSecret.expires_at > bindparam("at"))),
    ),
}
"""By condition: the table whose row must be there, and what makes it alive."""


_INSERT = Prepared(insert(IssuedToken.__table__))  # type: ignore[arg-type]  # declared as what all tables have in common


def commit(connection: Connection, proposed: Commit, still: Callable[[], None] = lambda: None) -> None:
    """Writes it all into the caller's transaction; ``Overtaken`` ends that, with nothing written.

    ``still`` raises it too: asked once what the conditions name is held, for what only the caller knows of.
    """
    if proposed.used_client_secret is not None:
        # First: two who held the row together, as conditions do, would each wait for the other to let go.
        note_use(connection, ClientSecret, proposed.used_client_secret, proposed.at)
    _check(connection, proposed.conditions, proposed.at)
    still()
    _INSERT.execute(connection, *proposed.tokens)
    record(connection, *proposed.events)


def _check(connection: Connection, conditions: Conditions, at: datetime) -> None:
    first, *others = conditions.kids
    wanted = {name: value for name, value in vars(conditions).items() if name != "kids" and value is not None}
    wanted["kid"] = first
    values = wanted | {"at": at, "still_followed": at - timedelta(seconds=FOLLOWS_WITHIN_SECONDS)}
    alive = tuple(name for name in wanted if name in _ALIVE)
    lineage = tuple(name for name in wanted if name in _CUT_OFF_KINDS)
    all_alive = bool(_all_alive(alive).rows(connection, values)) and all(
        _all_alive(("kid",)).rows(connection, values | {"kid": kid}) for kid in others
    )
    cut_off = bool(lineage) and bool(_cut_off(lineage).rows(connection, values))
    if cut_off or not all_alive:
        dead = [name for name in alive if not _all_alive((name,)).rows(connection, values)]
        causes = [*dead, *(["cut_off"] if cut_off else [])] or ["kid"]
        raise (KeyOvertaken if causes == ["kid"] else Overtaken)(f"no longer valid: {', '.join(causes)}")


@cache
def _all_alive(names: tuple[str, ...]) -> Prepared:
    """One row if all are alive. Where writers run side by side (PostgreSQL), the rows are held until the
    commit: whoever would disable, revoke or kill one of them waits, and is then told of a token that was
    there.
    """
    first, *others = (_ALIVE[name] for name in names)
    query = select(literal_column("1", Integer)).select_from(first[0])
    for table, _ in others:
        query = query.join(table, true())
    return Prepared(query.where(first[1], *(alive for _, alive in others)).with_for_update(read=True))


_CUT_OFF_KINDS = frozenset(kind.value for kind in CutOffKind)


@cache
def _cut_off(names: tuple[str, ...]) -> Prepared:
    """A row if any is cut off. A statement of its own, after the rows are
    held: one that has waited for a kill would not see what that wrote beside them.
    """
    targets: cut_offs.Targets = {CutOffKind(name): bindparam(name) for name in names}
    return Prepared(select(literal_column("1", Integer)).where(cut_offs.hits(targets, bindparam("at"))))

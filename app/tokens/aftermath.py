"""Cutting off, and what it leaves behind: what died, and what verifiers that ask nobody still accept."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, String, case, cast, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.identity import cut_offs
from app.identity.cut_offs import CutOffKind
from app.identity.models import Delegation, Principal
from app.tokens.models import IssuedToken


@dataclass(frozen=True, kw_only=True)
class Aftermath:
    """``access_tokens`` and ``id_tokens`` were alive until now. What has not expired is still good offline,
    for ``audiences``, until ``accepted_offline_until``; ``None``: nothing is.
    """

    at: datetime
    access_tokens: int
    id_tokens: int
    accepted_offline_until: datetime | None
    audiences: tuple[str, ...]


_COLUMN: dict[CutOffKind, InstrumentedAttribute[Any]] = {
    CutOffKind.USER: IssuedToken.user_id,
    CutOffKind.SERVICE_ACCOUNT: IssuedToken.service_account_id,
    CutOffKind.DELEGATION: IssuedToken.delegation_id,
    CutOffKind.RUN: IssuedToken.run_id,
    CutOffKind.TOKEN: IssuedToken.jti,
}
_PARTY: dict[CutOffKind, InstrumentedAttribute[int]] = {
    CutOffKind.USER: Principal.id,
    CutOffKind.SERVICE_ACCOUNT: Principal.id,
    CutOffKind.DELEGATION: Delegation.id,
}


def cut_off(
    session: Session, kind: CutOffKind, target: int | str, *, reason: str, actor: str, now: datetime
) -> Aftermath:
    """Kills what lives from the target. ``at`` is ``now``, or the newest ``issued_at`` that it hits if a
    node with a faster clock has issued later than that: a slow clock kills no less.
    """
    _wait_for_mints(session, kind, target)
    groups = living_from(session, kind, target, now)
    at = max([now, *(group.newest for group in groups)])
    cut_offs.add(session, kind, target, at=at, reason=reason, actor=actor)
    return Aftermath(
        at=at,
        access_tokens=sum(group.alive for group in groups if group.kind == "access"),
        id_tokens=sum(group.alive for group in groups if group.kind == "id"),
        accepted_offline_until=max((group.until for group in groups), default=None),
        audiences=audiences_of(groups),
    )


def living_from(
    session: Session, kind: CutOffKind, target: int | str, now: datetime
) -> list[Row[*tuple[Any, ...]]]:
    """What a cut-off of the target would meet, as ``unexpired`` has it."""
    return unexpired(session, _COLUMN[kind] == target, now)


def last_expiry(session: Session, kid: str) -> datetime | None:
    """Of what this key has signed; ``None``: it has signed nothing."""
    return session.scalar(select(func.max(IssuedToken.expires_at)).where(IssuedToken.kid == kid))


def token_targets() -> cut_offs.Targets:
    """What a row of ``issued_tokens`` lives from."""
    return _COLUMN


def _wait_for_mints(session: Session, kind: CutOffKind, target: int | str) -> None:
    """PostgreSQL: a mint that is about to commit holds its parties (``commit``). Once this lock is ours its
    tokens are visible here; one that comes later waits, and then finds the cut-off.
    """
    if (party := _PARTY.get(kind)) is not None:
        session.execute(select(party).where(party == target).with_for_update())


def unexpired(session: Session, theirs: ColumnElement[bool], now: datetime) -> list[Row[*tuple[Any, ...]]]:
    """By kind and audience, what has not expired: how many are ``alive``, ``until`` when, the ``newest``."""
    alive = case((cut_offs.hits(_COLUMN, IssuedToken.issued_at), 0), else_=1)
    audience = cast(IssuedToken.audience, String)
    query = (
        select(
            IssuedToken.kind,
            audience.label("audience"),
            func.sum(alive).label("alive"),
            func.max(IssuedToken.expires_at).label("until"),
            func.max(IssuedToken.issued_at).label("newest"),
        )
        .where(theirs, IssuedToken.expires_at > now)
        .group_by(IssuedToken.kind, audience)
    )
    return list(session.execute(query))


def audiences_of(groups: list[Row[*tuple[Any, ...]]]) -> tuple[str, ...]:
    found = (json.loads(group.audience) for group in groups)
    return tuple(sorted({each for one in found for each in ([one] if isinstance(one, str) else one)}))

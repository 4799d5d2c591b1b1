"""What the kill switch would end, counted before it is pulled; nothing is held, nothing is changed."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from app.clock import rfc3339
from app.flows.kill import Permit, Victim, find_victim
from app.flows.models import Run
from app.flows.runs import ENDED
from app.identity import sessions
from app.identity.cut_offs import CutOffKind
from app.identity.models import Delegation, PersonalAccessToken
from app.identity.session_models import BrowserSession
from app.identity.sessions import Limits
from app.ledger.record import Actor
from app.tokens.aftermath import audiences_of, living_from


@dataclass(frozen=True, kw_only=True)
class KillImpact:
    """What is alive now; ``accepted_offline_until`` and ``audiences`` as ``Aftermath`` has them."""

    kind: CutOffKind
    target: str
    access_tokens: int
    id_tokens: int
    runs: tuple[int, ...]
    delegations: int
    personal_access_tokens: int
    sessions: int
    accepted_offline_until: datetime | None
    audiences: tuple[str, ...]


def impact_of(
    session: Session,
    kind: CutOffKind,
    named: str,
    *,
    limits: Limits,
    by: Actor,
    now: datetime,
    permit: Permit = lambda _kind, _whom: None,
) -> KillImpact:
    """``limits``: of the sessions; the rest as ``kill``."""
    victim = find_victim(session, kind, named, by, now)
    permit(kind, victim.columns)
    groups = living_from(session, kind, victim.number, now)
    is_user = kind is CutOffKind.USER
    tokens = (PersonalAccessToken.user_id == victim.number) & _lives(PersonalAccessToken, now)
    return KillImpact(
        kind=kind,
        target=victim.target,
        access_tokens=sum(group.alive for group in groups if group.kind == "access"),
        id_tokens=sum(group.alive for group in groups if group.kind == "id"),
        runs=_runs(session, victim),
        delegations=_delegations(session, kind, victim, now),
        personal_access_tokens=_count(session, PersonalAccessToken.id, tokens) if is_user else 0,
        sessions=_count(session, BrowserSession.id, sessions.living(int(victim.number), now, limits))
        if is_user
        else 0,
        accepted_offline_until=max((group.until for group in groups), default=None),
        audiences=audiences_of(groups),
    )


def shape(impact: KillImpact) -> dict[str, Any]:
    """In JSON."""
    return vars(impact) | {
        "kind": impact.kind.value,
        "runs": list(impact.runs),
        "accepted_offline_until": rfc3339(impact.accepted_offline_until),
        "audiences": list(impact.audiences),
    }


def _runs(session: Session, victim: Victim) -> tuple[int, ...]:
    if victim.runs is None:
        return ()
    under_way = select(Run.id).where(victim.runs, Run.state.not_in(ENDED))
    return tuple(session.scalars(under_way.order_by(Run.id)))


def _delegations(session: Session, kind: CutOffKind, victim: Victim, now: datetime) -> int:
    """Those that let nobody act any more."""
    theirs = {
        CutOffKind.USER: Delegation.user_id,
        CutOffKind.SERVICE_ACCOUNT: Delegation.service_account_id,
        CutOffKind.DELEGATION: Delegation.id,
    }
    if kind not in theirs:
        return 0
    return _count(session, Delegation.id, (theirs[kind] == victim.number) & _lives(Delegation, now))


def _lives(table: type[Delegation | PersonalAccessToken], now: datetime) -> ColumnElement[bool]:
    return table.revoked_at.is_(None) & or_(table.expires_at.is_(None), table.expires_at > now)


def _count(session: Session, key: Any, which: ColumnElement[bool]) -> int:
    return session.scalar(select(func.count(key)).where(which)) or 0

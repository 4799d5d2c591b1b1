"""How sessions end: by a sign-out, from elsewhere, or with something else that ends; each for good."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from app.errors import NotFound
from app.identity.session_models import BrowserSession
from app.ledger.actions import AuditAction
from app.ledger.record import Actor, record
from app.protocol.principals import user_principal


def sign_out(session: Session, user_id: int, session_id: int, *, by: Actor, now: datetime) -> None:
    """By its human, in its own browser."""
    ended = _end(session, BrowserSession.id == session_id, now)
    _record(session, AuditAction.SESSION_END, user_id, ended, by, now)


def end(session: Session, session_id: int, *, user_id: int, by: Actor, now: datetime) -> None:
    """One of this human's, from elsewhere; ``NotFound`` for anybody else's. May be done again."""
    row = session.get(BrowserSession, session_id)
    if row is None or row.user_id != user_id:
        raise NotFound(f"there is no session {session_id} of this user")
    ended = _end(session, BrowserSession.id == session_id, now)
    _record(session, AuditAction.SESSION_REVOKE, user_id, ended, by, now)


def end_others(
    session: Session, user_id: int, *, but: int | None, by: Actor, now: datetime
) -> tuple[int, ...]:
    """All of this human's but one; their numbers."""
    ended = end_untold(session, user_id, now, but=but)
    _record(session, AuditAction.SESSION_REVOKE, user_id, ended, by, now)
    return ended


def end_untold(session: Session, user_id: int, now: datetime, *, but: int | None = None) -> tuple[int, ...]:
    """Likewise, for whoever tells the ledger of it in an event of their own."""
    theirs = BrowserSession.user_id == user_id
    return _end(session, theirs if but is None else theirs & (BrowserSession.id != but), now)


def _end(session: Session, which: ColumnElement[bool], now: datetime) -> tuple[int, ...]:
    """Held in one order: two that end the same ones never wait for each other in a circle."""
    session.flush()
    living = select(BrowserSession.id).where(which, BrowserSession.ended_at.is_(None))
    numbers = tuple(session.scalars(living.order_by(BrowserSession.id).with_for_update()))
    if numbers:
        ended = update(BrowserSession).where(BrowserSession.id.in_(numbers))
        session.execute(ended.values(ended_at=now))
    return numbers


def _record(
    session: Session, action: AuditAction, user_id: int, ended: Sequence[int], by: Actor, now: datetime
) -> None:
    if ended:
        told = by.did(action, now, user=user_principal(user_id), detail={"sessions": list(ended)})
        record(session, told)

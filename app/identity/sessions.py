"""Sessions of humans in a browser: rows, so that they can be listed, ended and killed.

The browser's secret is 256 random bits, of which only the SHA-256 is stored. A session lives while its human
is enabled, it is used, and the sign-in is not too long ago; each request asks the database. What has ended
never begins again.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, Connection, and_, select, update
from sqlalchemy.orm import Session

from app.errors import Denied
from app.identity import cut_offs, session_ends
from app.identity.credentials import stored_of
from app.identity.cut_offs import CutOffKind
from app.identity.holding import hold
from app.identity.models import Principal, User
from app.identity.session_models import BrowserSession
from app.ledger.actions import AuditAction
from app.ledger.record import Actor, record
from app.protocol.principals import user_principal
from app.protocol.visitor import agent_of, network_of
from app.secret import Secret

_USE_IS_NOTED_EVERY = timedelta(minutes=1)
_LONGEST_AGENT = 200


class Method(StrEnum):
    """How a human has shown who they are."""

    PASSWORD = "password"  # noqa: S105 - a way to sign in
    LINK = "link"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """``idle``: without use; ``life``: since the sign-in."""

    idle: timedelta
    life: timedelta


@dataclass(frozen=True, kw_only=True)
class Browser:
    """Where a sign-in comes from, as the request says; of ``address`` the network alone is kept."""

    agent: str
    address: str
    request_id: str | None = None


@dataclass(frozen=True)
class Begun:
    """``secret`` is for the browser, and nowhere kept."""

    id: int
    secret: Secret


@dataclass(frozen=True, kw_only=True)
class Holder:
    """A human who is signed in; ``expires_at``: when they must do so again, however busy they are."""

    session_id: int
    user_id: int
    login: str
    is_admin: bool
    is_auditor: bool
    created_at: datetime
    authenticated_at: datetime
    expires_at: datetime
    use_is_due: bool
    """Whether this use is to be noted, by ``touch``; a write at every page would be too many."""


def sign_in(
    session: Session,
    user: User,
    *,
    method: Method,
    browser: Browser,
    now: datetime,
    limits: Limits,
    present: Holder | None = None,
) -> Begun:
    """Of a human who has just shown who they are, in a browser that may be signed in already: as themselves,
    and then it is the same session under a new secret, or as somebody else, whose session ends.
    """
    if present is not None and present.user_id == user.id:
        return renew(
            session, user, present.session_id, method=method, browser=browser, now=now, limits=limits
        )
    if present is not None:
        gone = Actor(name=user_principal(present.user_id), request_id=browser.request_id)
        session_ends.sign_out(session, present.user_id, present.session_id, by=gone, now=now)
    return begin(session, user, method=method, browser=browser, now=now)


def begin(session: Session, user: User, *, method: Method, browser: Browser, now: datetime) -> Begun:
    """``Denied`` to one who is disabled."""
    _require_enabled(session, user)
    secret = Secret(secrets.token_urlsafe(32))
    row = BrowserSession(user_id=user.id, created_at=now, **_signed_in(secret, method, browser, now))
    session.add(row)
    session.flush()
    _record_sign_in(session, row, browser, now, is_new=True)
    return Begun(row.id, secret)


def renew(
    session: Session,
    user: User,
    session_id: int,
    *,
    method: Method,
    browser: Browser,
    now: datetime,
    limits: Limits,
) -> Begun:
    """Signed in again: a new secret, and the old one is dead (ASVS 7.2.4). ``Denied`` if it has ended."""
    _require_enabled(session, user)
    theirs = and_(BrowserSession.id == session_id, BrowserSession.user_id == user.id)
    query = select(BrowserSession).where(theirs, _alive(now, limits)).with_for_update()
    row = session.scalar(query.execution_options(populate_existing=True))
    if row is None:
        raise Denied("The session has ended: sign in anew.")
    secret = Secret(secrets.token_urlsafe(32))
    for name, value in _signed_in(secret, method, browser, now).items():
        setattr(row, name, value)
    _record_sign_in(session, row, browser, now, is_new=False)
    return Begun(row.id, secret)


def authenticate(connection: Connection, secret: Secret, now: datetime, limits: Limits) -> Holder | None:
    """Whoever is signed in with it, or ``None`` without a reason. Found by the hash of 256 random bits, so
    the time it takes tells nothing about a stored secret.
    """
    row = connection.execute(
        select(
            BrowserSession.id,
            BrowserSession.user_id,
            User.login,
            User.is_admin,
            User.is_auditor,
            BrowserSession.created_at,
            BrowserSession.authenticated_at,
            BrowserSession.last_seen_at,
        )
        .join(User, User.id == BrowserSession.user_id)
        .join(Principal, Principal.id == User.id)
        .where(
            BrowserSession.sha256 == stored_of(secret), Principal.disabled_at.is_(None), _alive(now, limits)
        )
    ).one_or_none()
    if row is None:
        return None
    return Holder(
        session_id=row.id,
        user_id=row.user_id,
        login=row.login,
        is_admin=row.is_admin,
        is_auditor=row.is_auditor,
        created_at=row.created_at,
        authenticated_at=row.authenticated_at,
        expires_at=row.authenticated_at + limits.life,
        use_is_due=now - row.last_seen_at >= _USE_IS_NOTED_EVERY,
    )


def touch(connection: Connection, session_id: int, now: datetime) -> None:
    """Notes a use, once a minute whoever comes at the same moment."""
    due = BrowserSession.last_seen_at <= now - _USE_IS_NOTED_EVERY
    living = and_(BrowserSession.id == session_id, BrowserSession.ended_at.is_(None), due)
    connection.execute(update(BrowserSession).where(living).values(last_seen_at=now))


def of_user(session: Session, user_id: int, now: datetime, limits: Limits) -> Sequence[BrowserSession]:
    """Those that live, the last used first."""
    query = select(BrowserSession).where(living(user_id, now, limits))
    return session.scalars(query.order_by(BrowserSession.last_seen_at.desc(), BrowserSession.id.desc())).all()


def living(user_id: int, now: datetime, limits: Limits) -> ColumnElement[bool]:
    """Which ``BrowserSession`` of this human lives."""
    return and_(BrowserSession.user_id == user_id, _alive(now, limits))


def _require_enabled(session: Session, user: User) -> None:
    if not hold(session, user.id):
        raise Denied("This user is disabled.")


def _alive(now: datetime, limits: Limits) -> ColumnElement[bool]:
    return and_(
        BrowserSession.ended_at.is_(None),
        BrowserSession.authenticated_at > now - limits.life,
        BrowserSession.last_seen_at > now - limits.idle,
        ~cut_offs.hits({CutOffKind.USER: BrowserSession.user_id}, BrowserSession.created_at),
    )


def _signed_in(secret: Secret, method: Method, browser: Browser, now: datetime) -> dict[str, object]:
    return {
        "sha256": stored_of(secret),
        "method": method.value,
        "agent": agent_of(browser.agent, _LONGEST_AGENT),
        "network": network_of(browser.address),
        "authenticated_at": now,
        "last_seen_at": now,
    }


def _record_sign_in(
    session: Session, row: BrowserSession, browser: Browser, now: datetime, *, is_new: bool
) -> None:
    by = Actor(name=user_principal(row.user_id), request_id=browser.request_id)
    detail = {"method": row.method, "session": row.id, "again": not is_new, "network": row.network}
    record(session, by.did(AuditAction.USER_AUTHENTICATE, now, user=by.name, detail=detail))

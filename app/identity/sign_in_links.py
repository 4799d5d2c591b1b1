"""One-time links to sign in with: a quarter of an hour, 256 random bits, of which the SHA-256 is stored.

The secret is the URL's fragment, which browsers send to nobody: no log on the way holds it.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, select, update
from sqlalchemy.orm import Session

from app.errors import Denied
from app.identity import cut_offs
from app.identity.credentials import stored_of
from app.identity.cut_offs import CutOffKind
from app.identity.holding import hold
from app.identity.models import User
from app.identity.session_models import SignInLink
from app.identity.sessions import Method
from app.ledger.actions import AuditAction, Outcome
from app.ledger.record import Actor, record
from app.protocol.principals import user_principal
from app.secret import Secret

LIFE = timedelta(minutes=15)


@dataclass(frozen=True)
class Issued:
    """``secret`` is shown once."""

    id: int
    secret: Secret
    expires_at: datetime


def url(issuer: str, secret: Secret) -> str:
    return f"{issuer}/console/sign-in#{secret.reveal()}"


def issue(session: Session, user: User, *, by: Actor, now: datetime) -> Issued:
    """Whatever link the user had is dead. ``Denied`` for one who is disabled."""
    if not hold(session, user.id, alone=True):
        raise Denied(f"{user.login} is disabled: countersign user enable {user.login}")
    revoke_unused(session, user.id, now)
    secret = Secret(secrets.token_urlsafe(32))
    row = SignInLink(user_id=user.id, sha256=stored_of(secret), created_at=now, expires_at=now + LIFE)
    session.add(row)
    session.flush()
    told = by.did(AuditAction.SIGN_IN_LINK_ISSUE, now, user=user_principal(user.id), detail={"link": row.id})
    record(session, told)
    return Issued(row.id, secret, row.expires_at)


def redeem(session: Session, secret: Secret, now: datetime, *, request_id: str | None = None) -> User | None:
    """Whose live link this is, once; ``None`` without a reason. The ledger is told of a dead link, for
    whoever shows it had it from somebody; a secret that never was one tells nothing.
    """
    link = session.scalar(select(SignInLink).where(SignInLink.sha256 == stored_of(secret)))
    if link is None:
        return None
    is_enabled = hold(session, link.user_id)
    alive = and_(
        SignInLink.used_at.is_(None),
        SignInLink.revoked_at.is_(None),
        SignInLink.expires_at > now,
        ~cut_offs.hits({CutOffKind.USER: SignInLink.user_id}, SignInLink.created_at),
    )
    used = update(SignInLink).where(SignInLink.id == link.id, alive).values(used_at=now)
    if is_enabled and session.connection().execute(used).rowcount:
        return session.get_one(User, link.user_id)
    _refuse(session, link, now, request_id)
    return None


def revoke_unused(session: Session, user_id: int, now: datetime) -> None:
    """The caller holds the user, or whoever issues a link at this moment is too late to be seen."""
    unused = and_(
        SignInLink.user_id == user_id, SignInLink.used_at.is_(None), SignInLink.revoked_at.is_(None)
    )
    session.execute(update(SignInLink).where(unused).values(revoked_at=now))


def _refuse(session: Session, link: SignInLink, now: datetime, request_id: str | None) -> None:
    """At the first time: a dead link is no way to make the ledger grow."""
    first = update(SignInLink).where(SignInLink.id == link.id, SignInLink.refused_at.is_(None))
    if not session.connection().execute(first.values(refused_at=now)).rowcount:
        return
    session.refresh(link)
    detail = {"method": Method.LINK.value, "link": link.id, "cause": _cause(link, now)}
    anonymous = Actor(name="anonymous", request_id=request_id)
    event = anonymous.did(
        AuditAction.USER_AUTHENTICATE,
        now,
        outcome=Outcome.DENIED,
        user=user_principal(link.user_id),
        detail=detail,
    )
    record(session, event)


def _cause(link: SignInLink, now: datetime) -> str:
    if link.used_at is not None:
        return "was used already"
    if link.revoked_at is not None:
        return "was replaced, or ended with a password or a disabling"
    return "has expired" if link.expires_at <= now else "its user is disabled or was killed"

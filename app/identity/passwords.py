"""Passwords: argon2id, with the parameters that RFC 9106 §4 recommends second (64 MiB, three passes).

One takes a tenth of a second and 64 MiB, so it is made and checked outside of any transaction: on SQLite, all
that is written would wait.
"""

from datetime import datetime
from typing import NewType

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from argon2.profiles import RFC_9106_LOW_MEMORY
from sqlalchemy.orm import Session

from app.identity import password_rules, session_ends, sign_in_links
from app.identity.holding import hold
from app.identity.models import User
from app.identity.session_models import Password
from app.ledger.actions import AuditAction
from app.ledger.record import Actor, record
from app.protocol.principals import user_principal
from app.secret import Secret

Hash = NewType("Hash", str)
"""Of a password that the rules allow its human."""

_hasher = PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
NOBODYS = Hash(
    "$argon2id$v=19$m=65536,t=3,p=4$0DySzRzKuzEEUXeoab1oIQ$e1fn9Hr3e3VYQBuXXBJBhchui5JIu/RkwRBsOC25zmQ"
)
"""What is checked for whoever has none, so that it takes as long: of no password that anybody knows."""


def hashed(password: Secret, login: str, email: str) -> Hash:
    """``InvalidInput`` if the rules refuse it to this human."""
    return Hash(_hasher.hash(password_rules.check(password, login, email)))


def matches(stored: str | None, password: Secret) -> bool:
    """As slow for whoever has none as for a wrong one."""
    text = password_rules.normalised(password)
    try:
        _hasher.verify(NOBODYS if stored is None or text is None else stored, text or "")
    except VerifyMismatchError:
        return False
    return stored is not None and text is not None


def hashed_anew(stored: str, password: Secret) -> Hash | None:
    """Of one that matches, when its parameters are not today's."""
    text = password_rules.normalised(password)
    if text is None or not _hasher.check_needs_rehash(stored):
        return None
    return Hash(_hasher.hash(text))


def set_password(
    session: Session, user: User, new: Hash, *, by: Actor, now: datetime, but: int | None = None
) -> tuple[int, ...]:
    """Ends the human's sessions, but for the one that it is changed in, and their links; what ended."""
    hold(session, user.id, alone=True)  # a sign-in with the old one has begun its session, or finds the new
    row = session.get(Password, user.id, populate_existing=True)
    if row is None:
        session.add(Password(user_id=user.id, hash=new, changed_at=now))
    else:
        row.hash, row.changed_at = new, now
    ended = session_ends.end_untold(session, user.id, now, but=but)
    sign_in_links.revoke_unused(session, user.id, now)
    detail = {"changed": row is not None, "sessions": [*ended]}
    record(session, by.did(AuditAction.PASSWORD_SET, now, user=user_principal(user.id), detail=detail))
    return ended

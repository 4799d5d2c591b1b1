"""The tables of who is signed in, and of how they have shown who they are."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base
from app.identity.models import User

_NEVER_REUSED = {"sqlite_autoincrement": True}


class BrowserSession(Base):
    """``agent`` and ``network``: of the browser that has signed in last; ``authenticated_at``: when."""

    __tablename__ = "sessions"
    __table_args__ = (CheckConstraint("method IN ('password', 'link')", name="method"), _NEVER_REUSED)

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey(User.id), index=True)
    sha256: Mapped[str] = mapped_column(unique=True)
    method: Mapped[str]
    agent: Mapped[str]
    network: Mapped[str]
    created_at: Mapped[datetime]
    authenticated_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class Password(Base):
    """``hash``: argon2id's, with its salt and its cost."""

    __tablename__ = "passwords"

    user_id: Mapped[int] = mapped_column(ForeignKey(User.id), primary_key=True, autoincrement=False)
    hash: Mapped[str]
    changed_at: Mapped[datetime]


class Guesses(Base):
    """How many passwords were tried for a login, or from a network, ``since`` then."""

    __tablename__ = "password_guesses"

    subject: Mapped[str] = mapped_column(primary_key=True)
    tries: Mapped[int]
    since: Mapped[datetime]


class SignInLink(Base):
    """Good once; ``refused_at``: when it was first tried in vain."""

    __tablename__ = "sign_in_links"
    __table_args__ = _NEVER_REUSED

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey(User.id), index=True)
    sha256: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    refused_at: Mapped[datetime | None]

"""The tables of signing keys: public halves and states; private halves are in a keystore. And who has
fetched the JWKS.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base


class KeyState(StrEnum):
    NEXT = "next"
    ACTIVE = "active"
    RETIRED = "retired"
    REMOVED = "removed"
    REVOKED = "revoked"


SIGNING = (KeyState.NEXT, KeyState.ACTIVE)
"""States whose keys need their private half."""
PUBLISHED = (KeyState.NEXT, KeyState.ACTIVE, KeyState.RETIRED)
"""States whose keys stand in the JWKS."""


def _only_one(state: KeyState) -> Index:
    """At most one key of an algorithm is in this state, whatever the nodes do."""
    rule = text(f"state = '{state}'")
    return Index(f"uq_signing_keys_{state}", "alg", unique=True, sqlite_where=rule, postgresql_where=rule)


class SigningKey(Base):
    """``activated_at`` may lie ahead: the active key of an algorithm that was just taken into use signs from
    then on. ``exempt``: of a first start, so that whoever has fetched any key of ours has fetched this one.
    """

    __tablename__ = "signing_keys"
    __table_args__ = (
        _only_one(KeyState.ACTIVE),
        _only_one(KeyState.NEXT),
        CheckConstraint("state IN ('next', 'active', 'retired', 'removed', 'revoked')", name="state"),
    )

    kid: Mapped[str] = mapped_column(primary_key=True)
    alg: Mapped[str]
    state: Mapped[str]
    public_jwk: Mapped[dict[str, Any]]
    keystore: Mapped[str] = mapped_column(server_default="files")
    reference: Mapped[str | None]
    exempt: Mapped[bool] = mapped_column(server_default=text("false"))
    published_at: Mapped[datetime]
    activated_at: Mapped[datetime | None]
    retired_at: Mapped[datetime | None]
    removed_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    reason: Mapped[str | None]
    """Why it was revoked."""
    destroyed_at: Mapped[datetime | None]
    """Since when there is no private half."""


class JwksFetches(Base):
    """How often somebody fetched the JWKS whose newest key was ``kid``."""

    __tablename__ = "jwks_fetches"

    kid: Mapped[str] = mapped_column(ForeignKey(SigningKey.kid), primary_key=True)
    agent: Mapped[str] = mapped_column(primary_key=True)
    network: Mapped[str] = mapped_column(primary_key=True)
    count: Mapped[int]
    first_at: Mapped[datetime]
    last_at: Mapped[datetime]

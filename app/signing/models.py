"""The table of signing keys: public halves and states; private halves are in a keystore."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base


class KeyState(StrEnum):
    NEXT = "next"
    ACTIVE = "active"
    RETIRED = "retired"
    REMOVED = "removed"
    REVOKED = "revoked"


PUBLISHED = (KeyState.NEXT, KeyState.ACTIVE, KeyState.RETIRED)
"""States whose keys stand in the JWKS."""


def _only_one(state: KeyState) -> Index:
    """At most one key of an algorithm is in this state, whatever the nodes do."""
    rule = text(f"state = '{state}'")
    return Index(f"uq_signing_keys_{state}", "alg", unique=True, sqlite_where=rule, postgresql_where=rule)


class SigningKey(Base):
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
    published_at: Mapped[datetime]
    activated_at: Mapped[datetime | None]
    retired_at: Mapped[datetime | None]
    removed_at: Mapped[datetime | None]

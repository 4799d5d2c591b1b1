"""The tables of the mint: audiences, and a row for every token there ever was (never the token)."""

from datetime import datetime

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base
from app.identity.models import ServiceAccount


class Audience(Base):
    __tablename__ = "audiences"
    __table_args__ = (
        CheckConstraint("kind IN ('verifier', 'api')", name="kind"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    uri: Mapped[str]
    canonical: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    algorithm: Mapped[str]
    rendering: Mapped[str] = mapped_column(server_default="composite")
    created_at: Mapped[datetime]


class AudienceProject(Base):
    """A verifier audience that is bound to projects is nobody else's."""

    __tablename__ = "audience_projects"

    audience_id: Mapped[int] = mapped_column(ForeignKey(Audience.id, ondelete="CASCADE"), primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"), primary_key=True, index=True)


class AudienceIntrospector(Base):
    """A service account that may ask about tokens for this audience (RFC 7662 §2.1)."""

    __tablename__ = "audience_introspectors"

    audience_id: Mapped[int] = mapped_column(ForeignKey(Audience.id, ondelete="CASCADE"), primary_key=True)
    service_account_id: Mapped[int] = mapped_column(
        ForeignKey(ServiceAccount.id), primary_key=True, index=True
    )


class IssuedToken(Base):
    """``kind`` is ``access`` or ``id``; ``issued_at`` is to the microsecond, finer than the claim."""

    __tablename__ = "issued_tokens"
    __table_args__ = (Index(None, "kid", "expires_at"),)

    jti: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    kid: Mapped[str] = mapped_column(ForeignKey("signing_keys.kid"))
    audience: Mapped[str | list[str]] = mapped_column(JSON)
    scope: Mapped[str | None]
    service_account_id: Mapped[int | None] = mapped_column(ForeignKey("service_accounts.id"), index=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"), index=True)
    delegation_id: Mapped[int | None] = mapped_column(ForeignKey("delegations.id"), index=True)
    run_id: Mapped[int | None] = mapped_column(index=True)
    issued_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)

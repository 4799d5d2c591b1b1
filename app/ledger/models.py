"""The table of the ledger; its columns carry the names that ``countersign audit list`` shows."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base


class AuditRow(Base):
    __tablename__ = "audit_events"
    __table_args__ = (
        *(
            Index(f"ix_audit_events_{name}", name, "id")
            for name in ("actor", "user", "service_account", "project", "run", "jti", "at")
        ),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    action: Mapped[str]
    outcome: Mapped[str]
    actor: Mapped[str]
    user: Mapped[str | None]
    service_account: Mapped[str | None]
    project: Mapped[str | None]
    run: Mapped[int | None]
    jti: Mapped[str | None]
    kid: Mapped[str | None]
    request_id: Mapped[str | None]
    detail: Mapped[dict[str, Any]]

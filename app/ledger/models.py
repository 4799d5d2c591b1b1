"""The tables of the ledger; the columns of an event carry the names that ``countersign audit list`` shows."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base

_ORDER = ("at", "writer", "seq")


def _search(*names: str, where: str | None = None) -> Index:
    """Serves these columns, the newest first; rows without them cost nothing."""
    present = text(where or " AND ".join(f'"{name}" IS NOT NULL' for name in names))
    return Index(
        f"ix_audit_events_{'_'.join(names)}",
        *names,
        *_ORDER,
        sqlite_where=present,
        postgresql_where=present,
    )


class LedgerWriter(Base):
    """Whoever appends to one chain: a database connection, for an hour at most."""

    __tablename__ = "ledger_writers"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    started_at: Mapped[datetime] = mapped_column(index=True)


class AuditRow(Base):
    __tablename__ = "audit_events"
    __table_args__ = (
        Index("ix_audit_events_at", *_ORDER),
        *(_search(name) for name in ("user", "service_account", "project", "run", "jti", "request_id")),
        _search("service_account", "user"),
        Index("ix_audit_events_action", "action", *_ORDER),
        _search("outcome", where="outcome <> 'success'"),  # nearly all succeed: for those `at` serves
    )

    writer: Mapped[int] = mapped_column(ForeignKey("ledger_writers.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
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
    hash: Mapped[str]


class LedgerCheckpoint(Base):
    """A signature over where every chain stood; numbered from 1 without gaps, chained itself."""

    __tablename__ = "ledger_checkpoints"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(index=True)
    previous: Mapped[str | None]
    pruned: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    hash: Mapped[str]
    signature: Mapped[str]


class LedgerHead(Base):
    """The last row of a chain that had advanced when the checkpoint was made."""

    __tablename__ = "ledger_heads"

    writer: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    hash: Mapped[str]
    checkpoint: Mapped[int] = mapped_column(ForeignKey("ledger_checkpoints.id"), index=True)

"""Reading the ledger, newest first, by index."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from app.ledger.models import AuditRow


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Whatever is not ``None`` must match; ``since`` is inclusive."""

    user: str | None = None
    service_account: str | None = None
    run: int | None = None
    since: datetime | None = None


def newest(session: Session, wanted: Filter, limit: int) -> list[AuditRow]:
    return list(session.scalars(_matching(wanted).order_by(AuditRow.id.desc()).limit(limit)))


def oldest_first(session: Session, wanted: Filter) -> Iterator[AuditRow]:
    """Every matching row, streamed: an export is never held in memory."""
    yield from session.scalars(_matching(wanted).order_by(AuditRow.id).execution_options(yield_per=1000))


def _matching(wanted: Filter) -> Select[AuditRow]:
    query = select(AuditRow)
    for name in ("user", "service_account", "run"):
        if (value := getattr(wanted, name)) is not None:
            query = query.where(getattr(AuditRow, name) == value)
    return query if wanted.since is None else query.where(AuditRow.at >= wanted.since)

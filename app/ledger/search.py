"""Searching the ledger, by index: a page starts after a row, never at a number of rows."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson
from sqlalchemy import Select, and_, literal, select, text, tuple_
from sqlalchemy.orm import Session

from app.db import UtcTime
from app.errors import InvalidInput
from app.ledger.actions import Outcome
from app.ledger.models import AuditRow

ORDER = (AuditRow.at, AuditRow.writer, AuditRow.seq)
NEWEST_FIRST = tuple(column.desc() for column in ORDER)

_EQUAL = ("actor", "user", "service_account", "project", "run", "jti", "request_id", "action")

_NO_CURSOR = "cursor: is not one that a page of this ledger ended with"


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Whatever is not ``None`` must match; ``since`` is inclusive, ``until`` is not."""

    actor: str | None = None
    user: str | None = None
    service_account: str | None = None
    project: str | None = None
    run: int | None = None
    jti: str | None = None
    request_id: str | None = None
    action: str | None = None
    outcome: Outcome | None = None
    since: datetime | None = None
    until: datetime | None = None


def newest(session: Session, wanted: Filter, limit: int, after: str | None = None) -> list[AuditRow]:
    """A page; ``after`` is the cursor of the last row of the page before."""
    query = matching(wanted)
    if after is not None:
        at, writer, seq = _position(after)
        place = tuple_(literal(at, UtcTime()), literal(writer), literal(seq))
        query = query.where(tuple_(*ORDER) < place)
    return list(session.scalars(query.order_by(*NEWEST_FIRST).limit(limit)))


def oldest_first(session: Session, wanted: Filter) -> Iterator[AuditRow]:
    """Every matching row, streamed: an export is never held in memory."""
    yield from session.scalars(matching(wanted).order_by(*ORDER).execution_options(yield_per=1000))


def newest_first(session: Session, wanted: Filter) -> Iterator[AuditRow]:
    """Likewise, for whoever takes the first of them."""
    yield from session.scalars(matching(wanted).order_by(*NEWEST_FIRST).execution_options(yield_per=1000))


def cursor(row: AuditRow) -> str:
    """Where the next page begins; opaque to everybody else."""
    position = orjson.dumps([row.at.astimezone(UTC).isoformat(), row.writer, row.seq])
    return urlsafe_b64encode(position).rstrip(b"=").decode()


def matching(wanted: Filter) -> Select[AuditRow]:
    equal = ((name, getattr(wanted, name)) for name in _EQUAL)
    terms = [getattr(AuditRow, name) == value for name, value in equal if value is not None]
    if wanted.outcome is not None:
        terms.append(AuditRow.outcome == wanted.outcome.value)
    if wanted.outcome in {Outcome.DENIED, Outcome.FAILED}:
        terms.append(text("outcome <> 'success'"))  # the words of the partial index
    if wanted.since is not None:
        terms.append(AuditRow.at >= wanted.since)
    if wanted.until is not None:
        terms.append(AuditRow.at < wanted.until)
    return select(AuditRow).where(and_(True, *terms))


def _position(text: str) -> tuple[datetime, int, int]:
    try:
        at, *numbers = orjson.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        given = datetime.fromisoformat(at)
        moment = given.astimezone(UTC)
        writer, seq = (each for each in numbers if type(each) is int and 0 <= each < 2**63)
    except (ValueError, TypeError, OverflowError):
        raise InvalidInput(_NO_CURSOR) from None
    if given.tzinfo is None:
        raise InvalidInput(_NO_CURSOR)
    return moment, writer, seq

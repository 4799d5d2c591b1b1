"""What happened hour by hour, counted in indexes: no row is read, unless they are one human's."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import (
    CTE,
    Boolean,
    ColumnElement,
    ScalarSelect,
    Select,
    case,
    column,
    func,
    literal_column,
    select,
    values,
)
from sqlalchemy.orm import Session

from app.db import UtcTime
from app.ledger.actions import AuditAction, Outcome
from app.ledger.models import AuditRow

_HOUR = timedelta(hours=1)
_SETTLES_WITHIN = timedelta(minutes=5)
"""Longer than a transaction lasts and the clocks of two nodes differ."""
_KEPT = timedelta(days=7)
_ISSUES = (AuditAction.ACCESS_TOKEN_ISSUE.value, AuditAction.ID_TOKEN_ISSUE.value)
_IS_ISSUE = AuditRow.action.in_(_ISSUES)
_IS_RUN = AuditRow.action == AuditAction.RUN_CREATE.value
_IS_DENIED = AuditRow.outcome == Outcome.DENIED.value
_IS_FAILED = AuditRow.outcome == Outcome.FAILED.value
_IN_PARTIAL_INDEX = literal_column("outcome <> 'success'", Boolean)


@dataclass(frozen=True)
class Hour:
    """From ``at``, a full hour of UTC: tokens that were issued, runs that were created, and all denials."""

    at: datetime
    tokens: int
    runs: int
    denied: int


class Activity:
    """Of everybody. An hour that is over is counted once in a process: nothing is written of it any more."""

    def __init__(self) -> None:
        self._settled: dict[datetime, Hour] = {}

    def by_hour(self, session: Session, now: datetime, hours: int) -> list[Hour]:
        """The last ``hours``, the oldest first, the one under way included."""
        begins = _begins(now, hours)
        known = self._settled
        counted = _counted(session, [begin for begin in begins if begin not in known], _of_all)
        known = {**known, **{hour.at: hour for hour in counted}}
        self._settled = {
            at: hour for at, hour in known.items() if now - _KEPT <= at <= now - _HOUR - _SETTLES_WITHIN
        }
        return [known[begin] for begin in begins]


def of_one_by_hour(session: Session, now: datetime, hours: int, user: str) -> list[Hour]:
    """Likewise, of one human alone."""
    return _counted(session, _begins(now, hours), partial(_of_one, user=user))


def _begins(now: datetime, hours: int) -> list[datetime]:
    this = now.replace(minute=0, second=0, microsecond=0)
    return [this - _HOUR * back for back in reversed(range(hours))]


def _counted(
    session: Session, begins: Sequence[datetime], query: Callable[[CTE], Select[int, int, int]]
) -> list[Hour]:
    spans = (
        values(column("begins", UtcTime()), column("ends", UtcTime()), name="hours")
        .data([(begin, begin + _HOUR) for begin in begins])
        .cte()
    )
    rows = session.execute(query(spans).order_by(spans.c.begins)).all()
    return [Hour(begin, *row) for begin, row in zip(begins, rows, strict=True)]


def _of_all(hours: CTE) -> Select[int, int, int]:
    """Nearly every issuing has succeeded: the others are taken away, rather than all looked at."""
    access, identity = (_count(hours, AuditRow.action == action) for action in _ISSUES)
    denied = _count(hours, _IS_DENIED, _IN_PARTIAL_INDEX)
    refused, broken = (
        _count(hours, which, _IS_ISSUE, _IN_PARTIAL_INDEX) for which in (_IS_DENIED, _IS_FAILED)
    )
    tokens = access + identity - refused - broken
    return select(tokens, _count(hours, _IS_RUN), denied).select_from(hours)


def _of_one(hours: CTE, user: str) -> Select[int, int, int]:
    """Each row is looked at once: for what is asked here no index has it all."""
    issued = _IS_ISSUE & (AuditRow.outcome == Outcome.SUCCESS.value)
    tokens, runs, denied = (func.count(case((which, 1))) for which in (issued, _IS_RUN, _IS_DENIED))
    own = (AuditRow.user == user) & _during(hours)
    return select(tokens, runs, denied).select_from(hours).outerjoin(AuditRow, own).group_by(hours.c.begins)


def _count(hours: CTE, *which: ColumnElement[bool]) -> ScalarSelect[int]:
    query = select(func.count()).select_from(AuditRow).where(*which, _during(hours))
    return query.correlate(hours).scalar_subquery()


def _during(hours: CTE) -> ColumnElement[bool]:
    return (AuditRow.at >= hours.c.begins) & (AuditRow.at < hours.c.ends)

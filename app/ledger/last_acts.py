"""When agents last did something for a human."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, or_, select, union_all
from sqlalchemy.orm import Session

from app.ledger.actions import AuditAction
from app.ledger.models import AuditRow
from app.ledger.search import NEWEST_FIRST

# Whoever executes a run does these in the agent's stead, and writes them under a name of its own.
_IN_A_RUN = (
    AuditAction.RUN_START.value,
    AuditAction.ACCESS_TOKEN_ISSUE.value,
    AuditAction.ID_TOKEN_ISSUE.value,
    AuditAction.SECRET_READ.value,
)


@dataclass(frozen=True)
class LastAct:
    at: datetime
    action: str
    project: str | None


def last_acts(session: Session, user: str, accounts: Collection[str]) -> dict[str, LastAct]:
    """By account, all of them principals: the newest event for this human that the account did itself, or
    that a run did as the account. Those without one are absent. One statement; each account costs one look
    into the index of pairs.
    """
    if not accounts:
        return {}
    asked = union_all(*(select(_newest(user, each).subquery()) for each in accounts))
    return {account: LastAct(*told) for account, *told in session.execute(asked)}


def _newest(user: str, account: str) -> Select[str | None, datetime, str, str | None]:
    its_own = or_(AuditRow.actor == account, AuditRow.action.in_(_IN_A_RUN))
    return (
        select(AuditRow.service_account, AuditRow.at, AuditRow.action, AuditRow.project)
        .where(AuditRow.service_account == account, AuditRow.user == user, its_own)
        .order_by(*NEWEST_FIRST)
        .limit(1)
    )

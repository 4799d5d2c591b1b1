"""When agents last did something for a human."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, select, union_all
from sqlalchemy.orm import Session

from app.ledger.models import AuditRow
from app.ledger.search import NEWEST_FIRST


@dataclass(frozen=True)
class LastAct:
    at: datetime
    action: str
    project: str | None


def last_acts(session: Session, user: str, accounts: Collection[str]) -> dict[str, LastAct]:
    """By account, all of them principals: the newest event for this human that the account did itself. Those
    without one are absent. One statement; each account costs one look into the index of pairs.
    """
    if not accounts:
        return {}
    asked = union_all(*(select(_newest(user, each).subquery()) for each in accounts))
    return {account: LastAct(*told) for account, *told in session.execute(asked)}


def _newest(user: str, account: str) -> Select[str | None, datetime, str, str | None]:
    return (
        select(AuditRow.service_account, AuditRow.at, AuditRow.action, AuditRow.project)
        .where(AuditRow.service_account == account, AuditRow.user == user, AuditRow.actor == account)
        .order_by(*NEWEST_FIRST)
        .limit(1)
    )

"""Cut-offs, the kill switch: what lives from a target and was issued at ``at`` or before is dead, for ever.

One row kills any number of tokens; nothing is enumerated, nothing is undone. A run writes its own when it
ends and never begins again, so that its cut-off hits whatever is issued for it, whenever. Whoever keeps
something alive asks ``hits`` in the transaction that it answers from.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, String, and_, cast, exists, insert, or_, select, true
from sqlalchemy.orm import Session

from app.identity.models import CutOff


class CutOffKind(StrEnum):
    USER = "user"
    SERVICE_ACCOUNT = "service_account"
    DELEGATION = "delegation"
    RUN = "run"
    TOKEN = "token"  # noqa: S105 - a kind of target


Targets = Mapping[CutOffKind, Any]
"""What something lives from: numbers, a ``jti``, or the columns and parameters that hold them."""


def add(
    connection: Connection | Session,
    kind: CutOffKind,
    target: int | str,
    *,
    at: datetime,
    reason: str,
    actor: str,
) -> None:
    values = {"kind": kind.value, "target": str(target), "at": at, "reason": reason, "actor": actor}
    connection.execute(insert(CutOff).values(values))


def hits(targets: Targets, issued_at: Any) -> ColumnElement[bool]:
    """Whether anything that lives from these, issued then, is cut off. A target of ``NULL`` is never hit."""
    return exists().where(_hitting(targets, issued_at))


def newest(connection: Connection | Session, targets: Targets, since: datetime) -> tuple[str, str] | None:
    """Kind and reason of the last cut-off that hits what was begun then."""
    query = select(CutOff.kind, CutOff.reason).where(_hitting(targets, since))
    row = connection.execute(query.order_by(CutOff.id.desc()).limit(1)).one_or_none()
    return None if row is None else (row.kind, row.reason)


def _hitting(targets: Targets, issued_at: Any) -> ColumnElement[bool]:
    return or_(
        *(
            and_(
                CutOff.kind == kind.value,
                CutOff.target == cast(target, String),
                true() if kind is CutOffKind.RUN else CutOff.at >= issued_at,
            )
            for kind, target in targets.items()
        )
    )

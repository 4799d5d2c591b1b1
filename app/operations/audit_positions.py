"""One event, and how it is held in its chain; and how the chains stand."""

from datetime import datetime
from typing import Annotated

from pydantic import Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from app import representation as shapes
from app.clock import rfc3339
from app.errors import Denied
from app.ledger.checkpoints import EVERY, last_checkpoint, signed_text
from app.ledger.key import LedgerKeyError
from app.ledger.models import AuditRow, LedgerCheckpoint
from app.ledger.position import position_of
from app.ledger.search import Filter
from app.operations.audit_events import AuditEventAnswer, AuditFilter, visible
from app.operations.audit_names import names_of
from app.operations.call import Call, Hidden
from app.operations.operation import By, Resource
from app.operations.schemas import Number, Output
from app.representation import Shape

audit_positions = Resource("Audit events")

LATE = 3 * EVERY


class CheckpointAnswer(Output):
    id: int
    at: str


class PlacedEventAnswer(AuditEventAnswer):
    follows: Annotated[
        bool, Field(description="Its hash is that of its columns and of the event before it in its chain.")
    ]
    sealed_by: Annotated[
        CheckpointAnswer | None,
        Field(description="The first checkpoint over its chain since; `null` for about a minute."),
    ]
    names: Annotated[dict[str, str], Field(description="Logins and accounts' names, by principal.")]


class ChainAnswer(Output):
    """What one look can tell; the proof of every event is `countersign audit verify`."""

    checkpoint: Annotated[CheckpointAnswer | None, Field(description="The last one.")]
    signed: Annotated[
        bool | None,
        Field(description="Whether the ledger's key has signed it; `null`: that key cannot be had."),
    ]
    waiting_since: Annotated[str | None, Field(description="Of the oldest event since; `null`: none.")]
    late: Annotated[bool, Field(description="It waits for longer than a worker that runs would let it.")]


@audit_positions.operation("GET", "/audit-events/{writer}/{seq}", by=By.ANYBODY, answer=PlacedEventAnswer)
def get_audit_event(call: Call, writer: Number, seq: Number) -> Shape:
    """Get one event by its place, `writer` and `seq`, and how it is held in its chain."""
    row = call.session.get(AuditRow, (writer, seq))
    wanted = _visible(call, row)
    if row is None or not _matches(row, wanted):
        raise Hidden("an event that is not about the caller, or that there is not")
    position = position_of(call.session, row)
    told = {"follows": position.follows, "sealed_by": _checkpoint(position.sealed_by)}
    return shapes.audit_event(row) | told | {"names": names_of(call, [row], wanted)}


@audit_positions.operation("GET", "/audit-events/chain", by=By.OVERSEER, answer=ChainAnswer)
def get_audit_chain(call: Call) -> Shape:
    """Tell when the ledger was last signed, and what waits for it."""
    last = last_checkpoint(call.session)
    since = waiting_since(call.session, last)
    return {
        "checkpoint": _checkpoint(last),
        "signed": None if last is None else _is_signed(call, last),
        "waiting_since": rfc3339(since),
        "late": is_late(since, call.now),
    }


def waiting_since(session: Session, last: LedgerCheckpoint | None) -> datetime | None:
    """Of the oldest event that no checkpoint has signed yet."""
    oldest = select(AuditRow.at).order_by(AuditRow.at).limit(1)
    return session.scalar(oldest if last is None else oldest.where(AuditRow.at > last.at))


def is_late(since: datetime | None, now: datetime) -> bool:
    return since is not None and now - since > LATE


def _visible(call: Call, row: AuditRow | None) -> Filter:
    """What the caller may see where the event is."""
    try:
        return visible(call, AuditFilter.model_construct(project=row.project if row else None))
    except Denied as denial:
        raise Hidden(str(denial)) from None


def _matches(row: AuditRow, wanted: Filter) -> bool:
    columns = ("user", "service_account", "project")
    return all(getattr(wanted, each) in {None, getattr(row, each)} for each in columns)


def _is_signed(call: Call, last: LedgerCheckpoint) -> bool | None:
    try:
        return call.components.ledger_key.public.has_signed(signed_text(last.hash), last.signature)
    except LedgerKeyError:
        return None


def _checkpoint(row: LedgerCheckpoint | None) -> Shape | None:
    return None if row is None else {"id": row.id, "at": rfc3339(row.at)}

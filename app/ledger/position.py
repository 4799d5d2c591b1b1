"""Where one event stands: what it follows from, and which checkpoint has signed its chain since."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.ledger.chain import genesis, row_hash
from app.ledger.checkpoints import last_cut
from app.ledger.models import AuditRow, LedgerCheckpoint, LedgerHead, LedgerWriter


@dataclass(frozen=True)
class Position:
    """``follows``: whether its hash is that of its columns and of what stood before it, which is there or was
    cut by retention. ``sealed_by``: the first checkpoint over its chain since.
    """

    follows: bool
    sealed_by: LedgerCheckpoint | None


def position_of(session: Session, row: AuditRow) -> Position:
    """Of this one row; all of them together are for ``countersign audit verify``."""
    columns = {column.name: getattr(row, column.name) for column in AuditRow.__table__.columns}
    stored = columns.pop("hash")
    previous = _before(session, row)
    return Position(previous is not None and row_hash(previous, columns) == stored, _sealing(session, row))


def _before(session: Session, row: AuditRow) -> str | None:
    """The hash that the row was chained to."""
    if row.seq == 1:
        started_at = session.scalar(select(LedgerWriter.started_at).where(LedgerWriter.id == row.writer))
        return None if started_at is None else genesis(row.writer, started_at)
    here = (AuditRow.writer == row.writer) & (AuditRow.seq == row.seq - 1)
    found: str | None = session.scalar(select(AuditRow.hash).where(here))
    return found or _cut_before(session, row)


def _cut_before(session: Session, row: AuditRow) -> str | None:
    cut = last_cut(session)
    seq, found = cut["heads"].get(str(row.writer), (None, None)) if cut else (None, None)
    return str(found) if seq == row.seq - 1 else None


def _sealing(session: Session, row: AuditRow) -> LedgerCheckpoint | None:
    heads = select(LedgerHead.checkpoint).where(LedgerHead.writer == row.writer, LedgerHead.seq >= row.seq)
    number = session.scalar(heads.order_by(LedgerHead.seq).limit(1))
    return None if number is None else session.get(LedgerCheckpoint, number)

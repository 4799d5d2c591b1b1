"""Retention: what is older than a checkpoint goes, and the next checkpoint says so under its signature."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app.clock import Clock, rfc3339
from app.db import Database
from app.errors import NotFound
from app.ledger.actions import AuditAction
from app.ledger.checkpoints import MARGIN, Checkpoints, last_cut
from app.ledger.models import AuditRow, LedgerCheckpoint, LedgerHead, LedgerWriter
from app.ledger.record import Actor, record


@dataclass(frozen=True)
class Pruned:
    """Everything up to ``checkpoint``, made at ``since``, is gone: ``rows`` of them."""

    checkpoint: int
    since: datetime
    rows: int


def prune(database: Database, checkpoints: Checkpoints, clock: Clock, before: datetime, by: Actor) -> Pruned:
    """Cuts at the newest checkpoint that is not younger than ``before``, in one transaction."""
    with database.writing() as session:
        last = checkpoints.locked_last(session)
        cut = session.scalars(
            select(LedgerCheckpoint)
            .where(LedgerCheckpoint.at <= before)
            .order_by(LedgerCheckpoint.id.desc())
            .limit(1)
        ).first()
        if cut is None or last is None:
            raise NotFound(f"no checkpoint is as old as {rfc3339(before)}: there is nothing to prune")
        now = clock()
        ends = _ends(session, cut.id)
        rows = sum(_drop_rows(session, writer, seq) for writer, (seq, _) in ends.items())
        _forget_checkpoints(session, cut.id)
        session.expunge(cut)
        detail = {"checkpoint": cut.id, "rows": rows}
        record(session, by.did(AuditAction.LEDGER_PRUNE, now, detail=detail))
        heads = {str(writer): end for writer, end in ends.items() if _stays(session, writer, now)}
        record_of = {"checkpoint": cut.id, "hash": cut.hash, "at": rfc3339(cut.at), "heads": heads}
        checkpoints.record_cut(session, last, record_of)
        return Pruned(cut.id, cut.at, rows)


def _ends(session: Session, cut: int) -> dict[int, list[Any]]:
    """Where each chain stood at the cut: writer to its seq and hash."""
    earlier = last_cut(session)
    ends = {int(writer): end for writer, end in earlier["heads"].items()} if earlier else {}
    top = select(LedgerHead.writer, func.max(LedgerHead.seq).label("seq"))
    latest = top.where(LedgerHead.checkpoint <= cut).group_by(LedgerHead.writer).subquery()
    here = (LedgerHead.writer == latest.c.writer) & (LedgerHead.seq == latest.c.seq)
    query = select(LedgerHead.writer, LedgerHead.seq, LedgerHead.hash).join(latest, here)
    return ends | {writer: [seq, row] for writer, seq, row in session.execute(query)}


def _drop_rows(session: Session, writer: int, seq: int) -> int:
    gone = delete(AuditRow).where(AuditRow.writer == writer, AuditRow.seq <= seq)
    return session.connection().execute(gone).rowcount


def _forget_checkpoints(session: Session, cut: int) -> None:
    session.execute(delete(LedgerHead).where(LedgerHead.checkpoint <= cut))
    session.execute(delete(LedgerCheckpoint).where(LedgerCheckpoint.id <= cut))


def _stays(session: Session, writer: int, now: datetime) -> bool:
    """Whether the chain has rows left or may yet grow; any other is forgotten."""
    row = session.get_one(LedgerWriter, writer)
    left = session.scalar(select(AuditRow.seq).where(AuditRow.writer == writer).limit(1)) is not None
    if left or row.started_at >= now - MARGIN:
        return True
    session.delete(row)
    return False

"""Verifying the ledger: every row and every checkpoint, in one snapshot, in constant memory."""

from collections.abc import Callable

from sqlalchemy import text

from app.db import Database
from app.ledger.anchor import Anchor
from app.ledger.kept import KeptCheckpoint
from app.ledger.key import LedgerPublicKey
from app.ledger.report import Finding, Report
from app.ledger.signed import Signed, verify_checkpoints
from app.ledger.walk import Walk


def verify(
    database: Database,
    key: LedgerPublicKey,
    anchor: Anchor | None = None,
    progress: Callable[[int], None] = lambda _rows: None,
    *,
    kept: KeptCheckpoint | None = None,
) -> Report:
    """``key``: the installation's, or the anchor's. ``progress`` is told the number of rows so far.
    ``kept``: what ``ledger.anchor`` vouches for, read before.
    """
    report = Report()
    with database.reading() as session:
        if not database.is_sqlite:
            session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        try:
            signed = verify_checkpoints(session, key, anchor, kept, report)
        except (ValueError, TypeError, KeyError):
            signed = Signed()
            report.add(Finding("checkpoint", "a checkpoint holds what no checkpoint can hold"))
        Walk(session, signed, report, progress).verify()
    return report

"""Checkpoints: every so often the ledger's key signs where all chains stand."""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import Row, Select, event, func, insert, select, text
from sqlalchemy.orm import Session

from app.clock import Clock
from app.db import Database
from app.ledger.actions import AuditAction
from app.ledger.chain import WRITER_LIFE, canonical
from app.ledger.kept import FILE_NAME, Kept, KeptCheckpoint
from app.ledger.key import LedgerKey, LedgerKeyError
from app.ledger.models import AuditRow, LedgerCheckpoint, LedgerHead, LedgerWriter
from app.ledger.record import Actor, record

EVERY = timedelta(minutes=1)
MARGIN = 2 * WRITER_LIFE
"""How far before a checkpoint a chain may have begun that still advances."""

Heads = Sequence[Row[int, int, str] | tuple[int, int, str]]
"""(writer, seq, hash of that row), by writer."""

RESTORED = "restore a newer backup, or, if this one is meant: countersign audit head --restored"

_LOCK = 0x6C656467  # any constant: the advisory lock under which one node makes a checkpoint
_log = logging.getLogger(__name__)


class Checkpoints:
    """Makes them; any number of nodes may, and one does."""

    def __init__(self, database: Database, key: LedgerKey, clock: Clock) -> None:
        self._database = database
        self._key = key
        self._clock = clock
        self.kept = Kept(key.directory)

    def ensure_key(self) -> None:
        """For a first start; where there are checkpoints already a lost key is not replaced in silence."""
        with self._database.reading() as session:
            begun = session.scalar(select(LedgerCheckpoint.id).limit(1)) is not None
        if not begun and self.kept.read() is None:
            self._key.ensure()

    def make_if_due(self) -> bool:
        """Whether a minute had passed since the last one, and any chain had advanced."""
        with self._database.reading() as session:
            if not self._due(last_checkpoint(session)):
                return False
        with self._database.writing() as session:
            last = self.locked_last(session)
            return self._due(last) and self._advance(session, last) is not last

    def make(self) -> LedgerCheckpoint:
        """One as of now; the last one if nothing has happened since."""
        with self._database.writing() as session:
            return self._advance(session, self.locked_last(session))

    def make_restored(self, by: Actor) -> LedgerCheckpoint:
        """Goes on, on record, with a ledger that ends before the checkpoint that was kept."""
        with self._database.writing() as session:
            kept, last = self.kept.read(), _locked_last(session)
            if kept is not None and not _holds(session, kept):
                detail = {"checkpoint": last.id if last else 0, "lost": kept._asdict()}
                record(session, by.did(AuditAction.LEDGER_RESTORE, self._clock(), detail=detail))
            return self._advance(session, last)

    def locked_last(self, session: Session) -> LedgerCheckpoint | None:
        """The last checkpoint, while nobody else makes the next; refused if not the ledger that was kept."""
        kept, last = self.kept.read(), _locked_last(session)
        if kept is not None and not _holds(session, kept):
            raise LedgerKeyError(
                f"checkpoint {kept.checkpoint}, which {FILE_NAME} vouches for, is not there: {RESTORED}"
            )
        return last

    def record_cut(
        self, session: Session, last: LedgerCheckpoint, pruned: Mapping[str, Any]
    ) -> LedgerCheckpoint:
        """One that says what retention has taken away; ``last`` as ``locked_last`` gave it."""
        return self._sign(session, last, advanced(session, last), pruned)

    def _due(self, last: LedgerCheckpoint | None) -> bool:
        return last is None or abs(self._clock() - last.at) >= EVERY

    def _advance(self, session: Session, last: LedgerCheckpoint | None) -> LedgerCheckpoint:
        heads = advanced(session, last)
        return last if last is not None and not heads else self._sign(session, last, heads, None)

    def _sign(
        self,
        session: Session,
        last: LedgerCheckpoint | None,
        heads: Heads,
        pruned: Mapping[str, Any] | None,
    ) -> LedgerCheckpoint:
        if last is not None and not self._key.public.has_signed(signed_text(last.hash), last.signature):
            raise LedgerKeyError(
                "the last checkpoint was signed with another ledger key: restore ledger.pem from a backup, "
                "or copy it from the machine that made it; otherwise see countersign audit verify"
            )
        made = LedgerCheckpoint(
            id=last.id + 1 if last else 1,
            at=self._clock(),
            previous=last.hash if last else None,
            pruned=pruned,
        )
        made.hash = checkpoint_hash(made.id, made.at, made.previous, made.pruned, heads)
        made.signature = self._key.sign(signed_text(made.hash))
        session.add(made)
        session.flush()
        kept = KeptCheckpoint(made.id, made.hash)
        event.listen(session, "after_commit", lambda _: self._keep(kept), once=True)
        if heads:
            rows = [
                {"writer": writer, "seq": seq, "hash": row, "checkpoint": made.id}
                for writer, seq, row in heads
            ]
            session.execute(insert(LedgerHead), rows)
        return made

    def _keep(self, made: KeptCheckpoint) -> None:
        try:
            self.kept.keep(made)
        except OSError as error:  # a directory that nobody may write to is well kept otherwise
            _log.info("%s is not kept up to date: %s", FILE_NAME, error.strerror)


def checkpoint_hash(
    id: int, at: datetime, previous: str | None, pruned: Mapping[str, Any] | None, heads: Heads
) -> str:
    """SHA-256 over the canonical JSON of all that a checkpoint says."""
    content = {"id": id, "at": at, "previous": previous, "pruned": pruned, "heads": [list(h) for h in heads]}
    return sha256(canonical(content)).hexdigest()


def signed_text(digest: str) -> bytes:
    """What is signed, so that no other signature of this key could ever be taken for one."""
    return f"countersign ledger checkpoint {digest}".encode()


def _locked_last(session: Session) -> LedgerCheckpoint | None:
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    return last_checkpoint(session)


def last_checkpoint(session: Session) -> LedgerCheckpoint | None:
    return session.scalars(select(LedgerCheckpoint).order_by(LedgerCheckpoint.id.desc()).limit(1)).first()


def last_cut(session: Session) -> dict[str, Any] | None:
    """What the latest checkpoint that records a cut of retention says of it."""
    query = select(LedgerCheckpoint.pruned).where(LedgerCheckpoint.pruned.is_not(None))
    return session.scalar(query.order_by(LedgerCheckpoint.id.desc()).limit(1))


def _holds(session: Session, kept: KeptCheckpoint) -> bool:
    """Or retention, on another node, has taken it away."""
    there = session.scalar(select(LedgerCheckpoint.hash).where(LedgerCheckpoint.id == kept.checkpoint))
    if there is not None:
        return there == kept.hash
    cut = last_cut(session)
    return cut is not None and kept.checkpoint <= cut["checkpoint"]


def heads_of(session: Session, checkpoint: int) -> Heads:
    query = select(LedgerHead.writer, LedgerHead.seq, LedgerHead.hash)
    return session.execute(query.where(LedgerHead.checkpoint == checkpoint).order_by(LedgerHead.writer)).all()


def advanced(session: Session, last: LedgerCheckpoint | None) -> Heads:
    """The chains that have grown since they were last signed, in one snapshot."""
    return session.execute(_grown(last.at - MARGIN if last else None)).all()


def _grown(since: datetime | None) -> Select[int, int, str]:
    top = select(func.max(AuditRow.seq)).where(AuditRow.writer == LedgerWriter.id).scalar_subquery()
    known = select(func.max(LedgerHead.seq)).where(LedgerHead.writer == LedgerWriter.id).scalar_subquery()
    chains = select(LedgerWriter.id, top.label("top"), func.coalesce(known, 0).label("known"))
    if since is not None:
        chains = chains.where(LedgerWriter.started_at >= since)
    chain = chains.subquery()
    here = (AuditRow.writer == chain.c.id) & (AuditRow.seq == chain.c.top)
    query = select(AuditRow.writer, AuditRow.seq, AuditRow.hash).join(chain, here)
    return query.where(chain.c.top > chain.c.known).order_by(AuditRow.writer)

"""Checkpoints: every so often the ledger's key signs where all chains stand."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import Row, Select, func, insert, select, text
from sqlalchemy.orm import Session

from app.clock import Clock
from app.db import Database
from app.ledger.chain import WRITER_LIFE, canonical
from app.ledger.key import LedgerKey, LedgerKeyError
from app.ledger.models import AuditRow, LedgerCheckpoint, LedgerHead, LedgerWriter

EVERY = timedelta(minutes=1)
MARGIN = 2 * WRITER_LIFE
"""How far before a checkpoint a chain may have begun that still advances."""

Heads = Sequence[Row[int, int, str] | tuple[int, int, str]]
"""(writer, seq, hash of that row), by writer."""

_LOCK = 0x6C656467  # any constant: the advisory lock under which one node makes a checkpoint


class Checkpoints:
    """Makes them; any number of nodes may, and one does."""

    def __init__(self, database: Database, key: LedgerKey, clock: Clock) -> None:
        self._database = database
        self._key = key
        self._clock = clock

    def ensure_key(self) -> None:
        """For a first start; where there are checkpoints already a lost key is not replaced in silence."""
        with self._database.reading() as session:
            begun = session.scalar(select(LedgerCheckpoint.id).limit(1)) is not None
        if not begun:
            self._key.ensure()

    def make_if_due(self) -> bool:
        """Whether a minute had passed since the last one, and any chain had advanced."""
        with self._database.reading() as session:
            if not self._due(last_checkpoint(session)):
                return False
        with self._database.writing() as session:
            last = locked_last(session)
            return self._due(last) and self._advance(session, last) is not last

    def make(self) -> LedgerCheckpoint:
        """One as of now; the last one if nothing has happened since."""
        with self._database.writing() as session:
            return self._advance(session, locked_last(session))

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
        if heads:
            rows = [
                {"writer": writer, "seq": seq, "hash": row, "checkpoint": made.id}
                for writer, seq, row in heads
            ]
            session.execute(insert(LedgerHead), rows)
        return made


def checkpoint_hash(
    id: int, at: datetime, previous: str | None, pruned: Mapping[str, Any] | None, heads: Heads
) -> str:
    """SHA-256 over the canonical JSON of all that a checkpoint says."""
    content = {"id": id, "at": at, "previous": previous, "pruned": pruned, "heads": [list(h) for h in heads]}
    return sha256(canonical(content)).hexdigest()


def signed_text(digest: str) -> bytes:
    """What is signed, so that no other signature of this key could ever be taken for one."""
    return f"countersign ledger checkpoint {digest}".encode()


def locked_last(session: Session) -> LedgerCheckpoint | None:
    """The last checkpoint, while nobody else makes the next."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    return last_checkpoint(session)


def last_checkpoint(session: Session) -> LedgerCheckpoint | None:
    return session.scalars(select(LedgerCheckpoint).order_by(LedgerCheckpoint.id.desc()).limit(1)).first()


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

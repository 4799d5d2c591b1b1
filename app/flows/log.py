"""A run's log: bytes that have been through the masker, stored in chunks and read by offset."""

from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.clock import Clock
from app.db import Database
from app.flows.models import LogChunk

_STORED_EVERY = timedelta(milliseconds=500)
_LARGEST_CHUNK = 256 * 1024
LARGEST_LOG = 50_000_000
"""Bytes; what a run says beyond them is shown as it comes and not stored."""
_FULL = b"\n[countersign: the log has reached 50 MB; the run goes on, the rest is not stored]\n"


class LogWriter:
    """Gathers masked output and stores it twice a second, or when there is much of it."""

    def __init__(self, database: Database, clock: Clock, run_id: int) -> None:
        self._database = database
        self._clock = clock
        self._run_id = run_id
        self._offset = 0
        self._room = LARGEST_LOG
        self._pending = bytearray()
        self._stored_at: datetime = clock()

    def write(self, masked: bytes) -> None:
        if self._room >= 0:
            self._pending += masked[: self._room]
            self._room -= len(masked)
            if self._room < 0:
                self._pending += _FULL
        if len(self._pending) >= _LARGEST_CHUNK or self._clock() - self._stored_at >= _STORED_EVERY:
            self.store()

    def store(self) -> None:
        self._stored_at = self._clock()
        if not self._pending:
            return
        chunk = LogChunk(run_id=self._run_id, offset=self._offset, content=bytes(self._pending))
        with self._database.writing() as session:
            session.add(chunk)
        self._offset += len(self._pending)
        self._pending.clear()


def read_from(session: Session, run_id: int, offset: int, limit: int = 1024 * 1024) -> bytes:
    """At most ``limit`` bytes of the log from a byte offset; empty at its present end."""
    begins = select(func.max(LogChunk.offset)).where(LogChunk.run_id == run_id, LogChunk.offset <= offset)
    query = (
        select(LogChunk.offset, LogChunk.content)
        .where(LogChunk.run_id == run_id, LogChunk.offset >= begins.scalar_subquery())
        .order_by(LogChunk.offset)
    )
    found = bytearray()
    for start, content in session.execute(query):
        found += content[max(0, offset - start) :]
        if len(found) >= limit:
            break
    return bytes(found[:limit])

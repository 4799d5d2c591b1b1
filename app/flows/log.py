"""A run's log: bytes that have been through the masker, stored in chunks and read by offset."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from app.clock import Clock
from app.db import Database
from app.errors import NotFound
from app.flows.models import LogChunk, Run

_STORED_EVERY = timedelta(milliseconds=500)
_LARGEST_CHUNK = 256 * 1024
_READ_AT_ONCE = 1024 * 1024
_LONGEST_LINE = 4096
_REMOVED_AT_ONCE = 10
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


def size(session: Session, run_id: int) -> int:
    """Bytes that are stored so far."""
    query = (
        select(LogChunk.offset + func.length(LogChunk.content))
        .where(LogChunk.run_id == run_id)
        .order_by(LogChunk.offset.desc())
        .limit(1)
    )
    return session.scalar(query) or 0


def read_from(session: Session, run_id: int, offset: int, limit: int = _READ_AT_ONCE) -> bytes:
    """At most ``limit`` bytes of the log from a byte offset; empty at its present end.

    Raises ``NotFound`` if the log was removed.
    """
    begins = select(func.max(LogChunk.offset)).where(LogChunk.run_id == run_id, LogChunk.offset <= offset)
    query = (
        select(LogChunk.offset, LogChunk.content)
        .where(
            LogChunk.run_id == run_id,
            LogChunk.offset >= begins.scalar_subquery(),
            LogChunk.offset < offset + limit,
        )
        .order_by(LogChunk.offset)
    )
    found = b"".join(content[max(0, offset - start) :] for start, content in session.execute(query))
    if not found:
        _refuse_removed(session, run_id)
    return found[:limit]


def stream(database: Database, run_id: int, offset: int = 0) -> Iterator[bytes]:
    """From a byte offset to the present end, a piece at a time, with no transaction open in between."""
    while True:
        with database.reading() as session:
            piece = read_from(session, run_id, offset)
        if not piece:
            return
        offset += len(piece)
        yield piece


class Found(NamedTuple):
    """A line that has what was looked for; ``offset`` is that of its first byte."""

    offset: int
    line: bytes


def search(database: Database, run_id: int, text: str, offset: int = 0) -> Iterator[Found]:
    """Lines from a byte offset on that have ``text`` in them, whatever the case of ASCII letters.

    A line of more than 4 KiB counts as several.
    """
    wanted = _wanted(text)
    for begins, line in _lines(stream(database, run_id, offset), offset):
        if wanted in line.lower():
            yield Found(begins, line)


def search_some(
    database: Database, run_id: int, text: str, offset: int, *, most: int, within: int
) -> tuple[list[Found], int | None]:
    """As above: ``most`` lines, of those that begin in the next ``within`` bytes; and where to go on, if the
    log does.
    """
    found: list[Found] = []
    wanted = _wanted(text)
    for begins, line in _lines(stream(database, run_id, offset), offset):
        if begins - offset >= within or len(found) == most:
            return found, begins
        if wanted in line.lower():
            found.append(Found(begins, line))
    return found, None


def _wanted(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape").lower()


def _lines(pieces: Iterator[bytes], offset: int) -> Iterator[Found]:
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield from _parts(offset, line)
            offset += len(line) + 1
    yield from _parts(offset, rest)


def _parts(offset: int, line: bytes) -> Iterator[Found]:
    for start in range(0, len(line), _LONGEST_LINE):
        yield Found(offset + start, line[start : start + _LONGEST_LINE])


def remove_old(database: Database, ended_before: datetime, now: datetime) -> int:
    """Removes the logs of runs that ended before; a few in a transaction, so that nobody waits for long.

    Returns how many there were. The runs stay, and say when it was.
    """
    removed = 0
    while count := _remove_some(database, ended_before, now):
        removed += count
    return removed


def _remove_some(database: Database, ended_before: datetime, now: datetime) -> int:
    old = (
        select(Run.id)
        .where(Run.log_removed_at.is_(None), Run.ended_at < ended_before)
        .order_by(Run.ended_at)
        .limit(_REMOVED_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    with database.writing_connection() as connection:
        runs = connection.scalars(old).all()
        if runs:
            connection.execute(delete(LogChunk).where(LogChunk.run_id.in_(runs)))
            connection.execute(update(Run).where(Run.id.in_(runs)).values(log_removed_at=now))
        return len(runs)


def _refuse_removed(session: Session, run_id: int) -> None:
    removed_at = session.scalar(select(Run.log_removed_at).where(Run.id == run_id))
    if removed_at is not None:
        raise NotFound(
            f"the log of run {run_id} was removed on {removed_at:%Y-%m-%d}: it was kept long enough"
        )

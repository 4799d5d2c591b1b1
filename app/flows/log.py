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
_REMOVED_AT_ONCE = 4 * 1024 * 1024
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
        self._was_stored = True

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
        was_stored, self._was_stored = self._was_stored, False
        with self._database.writing() as session:
            if was_stored:
                session.add(chunk)
            else:  # a commit without an answer may have stored it, or less of it
                session.merge(chunk)
        self._was_stored = True
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


def stream(database: Database, run_id: int, offset: int = 0, limit: int = 2**63 - 1) -> Iterator[bytes]:
    """From a byte offset to the present end or ``limit``, each piece in its own transaction."""
    while limit:
        with database.reading() as session:
            piece = read_from(session, run_id, offset, min(limit, _READ_AT_ONCE))
        if not piece:
            return
        offset, limit = offset + len(piece), limit - len(piece)
        yield piece


class Found(NamedTuple):
    """A line that has what was looked for; ``offset`` is that of its first byte."""

    offset: int
    line: bytes


def search(database: Database, run_id: int, text: str, offset: int = 0) -> Iterator[Found]:
    """Lines from a byte offset on that have ``text`` in them, whatever the case of ASCII letters.

    A line of more than 4 KiB counts as several, which overlap.
    """
    wanted = _wanted(text)
    for begins, line in _lines(stream(database, run_id, offset), offset, len(wanted)):
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
    for begins, line in _lines(stream(database, run_id, offset), offset, len(wanted)):
        if begins - offset >= within or len(found) == most:
            return found, begins
        if wanted in line.lower():
            found.append(Found(begins, line))
    return found, None


def _wanted(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape").lower()


def _lines(pieces: Iterator[bytes], offset: int, wanted: int) -> Iterator[Found]:
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield from _parts(offset, line, wanted)
            offset += len(line) + 1
        *complete, (offset, rest) = _parts(offset, rest, wanted)
        yield from complete
    yield Found(offset, rest)


def _parts(offset: int, line: bytes, wanted: int) -> Iterator[Found]:
    """One at least; any ``wanted`` bytes in a row are whole in one of them, and so are UTF-8's characters."""
    size, start = max(_LONGEST_LINE, 2 * wanted), 0
    while len(line) - start > size:
        end = _character(line, start + size)
        yield Found(offset + start, line[start:end])
        start = _character(line, end - max(wanted - 1, 0))
    yield Found(offset + start, line[start:])


def _character(text: bytes, at: int) -> int:
    """Where the one begins of which a byte is there; none has more than three that go on."""
    for _ in range(3):
        at -= text[at] & 0xC0 == 0x80  # noqa: PLR2004 - RFC 3629 §3
    return at


def remove_old(database: Database, ended_before: datetime, now: datetime) -> int:
    """Removes the logs of runs that ended before; a few MB in a transaction, so that nobody waits for long.

    Returns how many there were. The runs stay, and say when it was.
    """
    removed = 0
    while (is_gone := _remove_some(database, ended_before, now)) is not None:
        removed += is_gone
    return removed


def _remove_some(database: Database, ended_before: datetime, now: datetime) -> bool | None:
    """Of the oldest log; whether nothing is left of it now, ``None`` if there was none."""
    oldest = (
        select(Run.id)
        .where(Run.log_removed_at.is_(None), Run.ended_at < ended_before)
        .order_by(Run.ended_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    with database.writing_connection() as connection:
        if (run := connection.scalar(oldest)) is None:
            return None
        begins = select(func.min(LogChunk.offset)).where(LogChunk.run_id == run)
        some = (LogChunk.run_id == run) & (LogChunk.offset < begins.scalar_subquery() + _REMOVED_AT_ONCE)
        connection.execute(delete(LogChunk).where(some))
        is_gone = connection.scalar(begins) is None
        if is_gone:
            connection.execute(update(Run).where(Run.id == run).values(log_removed_at=now))
        return is_gone


def _refuse_removed(session: Session, run_id: int) -> None:
    removed_at = session.scalar(select(Run.log_removed_at).where(Run.id == run_id))
    if removed_at is not None:
        raise NotFound(
            f"the log of run {run_id} was removed on {removed_at:%Y-%m-%d}: it was kept long enough"
        )

"""The chain: every row carries a hash over itself and the row before it of the same writer.

A writer is a database connection. Where its chain stands is kept with the connection, so that appending
asks the database nothing and waits for nobody: what the engine tells of a transaction's end moves the
head on or back. Whenever the outcome may be in doubt the writer is left behind, and the connection
begins a new one.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, Engine, ExceptionContext, event, insert

from app.ledger.models import LedgerWriter

WRITER_LIFE = timedelta(hours=1)
"""So that a checkpoint finds all chains that may have advanced among the latest writers; nor is a row older
than its writer by as much, or it could be dated back and signed."""

_KEY = "countersign.ledger"


def row_hash(previous: str, columns: Mapping[str, Any]) -> str:
    """SHA-256 over the predecessor's hash (64 hex digits) and all columns but ``hash`` as canonical JSON."""
    return sha256(previous.encode() + canonical(columns)).hexdigest()


def genesis(writer: int, started_at: datetime) -> str:
    """What stands in the predecessor's place of a writer's first row."""
    return row_hash("", {"writer": writer, "started_at": started_at.astimezone(UTC)})


def canonical(columns: Mapping[str, Any]) -> bytes:
    """Sorted names, no spaces; what is absent is left out, so that a column of tomorrow changes no hash."""
    present = {name: value for name, value in columns.items() if value is not None}
    return orjson.dumps(present, option=orjson.OPT_SORT_KEYS | orjson.OPT_UTC_Z)


class _Head(NamedTuple):
    process: int
    writer: int
    since: datetime
    until: datetime
    seq: int
    hash: str


@dataclass(slots=True)
class _Writing:
    """Where the connection's chain stands for everybody, and in the transaction under way."""

    committed: _Head | None = None
    current: _Head | None = None
    savepoints: dict[str, _Head | None] = field(default_factory=dict)


def append(connection: Connection, events: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The events as rows of this connection's chain, to be inserted in its transaction."""
    writing: _Writing = connection.info.setdefault(_KEY, _Writing())
    rows = []
    for columns in events:
        at = columns["at"].astimezone(UTC)
        head = writing.current
        if head is None or not head.since <= at < head.until or head.process != os.getpid():
            head = _begin_chain(connection, at)
        row = {**columns, "at": at, "writer": head.writer, "seq": head.seq + 1}
        row["hash"] = row_hash(head.hash, row)
        writing.current = head._replace(seq=row["seq"], hash=row["hash"])
        rows.append(row)
    return rows


def _begin_chain(connection: Connection, at: datetime) -> _Head:
    statement = insert(LedgerWriter).values(started_at=at).returning(LedgerWriter.id)
    writer = connection.execute(statement).scalar_one()
    return _Head(os.getpid(), writer, at - WRITER_LIFE, at + WRITER_LIFE, 0, genesis(writer, at))


@event.listens_for(Engine, "begin")
def _on_begin(connection: Connection) -> None:
    """Also what ended without a word, such as a connection that was dropped, is undone here."""
    if writing := connection.info.get(_KEY):
        writing.current = writing.committed
        writing.savepoints.clear()


@event.listens_for(Engine, "commit")
def _on_commit(connection: Connection) -> None:
    if writing := connection.info.get(_KEY):
        writing.committed = writing.current


@event.listens_for(Engine, "savepoint")
def _on_savepoint(connection: Connection, name: str) -> None:
    if writing := connection.info.get(_KEY):
        writing.savepoints[name] = writing.current


@event.listens_for(Engine, "rollback_savepoint")
def _on_rollback_savepoint(connection: Connection, name: str, _context: None) -> None:
    if writing := connection.info.get(_KEY):
        writing.current = writing.savepoints.get(name, writing.committed)


@event.listens_for(Engine, "handle_error")
def _on_error(context: ExceptionContext) -> None:
    """The commit itself may have failed, or PostgreSQL may answer the next one by rolling back."""
    connection = context.connection
    if connection is not None and not connection.closed and not connection.invalidated:
        connection.info.pop(_KEY, None)

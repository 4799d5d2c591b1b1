"""Walking along all chains: every hash computed again, and held against what checkpoints signed."""

import heapq
from collections.abc import Callable, Container, Iterator
from datetime import datetime
from itertools import groupby
from typing import Any, NamedTuple, cast

from sqlalchemy import JSON, Dialect, Select, String, Table, select, type_coerce
from sqlalchemy.orm import Session
from sqlalchemy.types import TypeEngine

from app.db import Base, UtcTime
from app.ledger.chain import WRITER_LIFE, genesis
from app.ledger.models import AuditRow, LedgerHead, LedgerWriter
from app.ledger.report import Finding, Report
from app.ledger.signed import Signed
from app.ledger.suspects import Place, Suspect, Suspects, safe_row_hash

_AT_A_TIME = {"yield_per": 2000}
_TELL_EVERY = 10_000
_MOST_CANDIDATES = 4
_BEHIND_ALL = float("inf")  # where SQLite sorts what is no number
_NOT_OURS = object()


class _Mark(NamedTuple):
    """What stands at a place: a writer before its rows, what was signed of a row before the row."""

    writer: Any
    seq: Any
    rank: int
    found: Any


class Walk:
    """Chain after chain, in constant memory but for what is wrong."""

    def __init__(
        self, session: Session, signed: Signed, report: Report, progress: Callable[[int], None]
    ) -> None:
        self._session = session
        self._bases = signed.bases
        self._covered_until = signed.at - WRITER_LIFE if signed.at else None
        self._report = report
        self._progress = progress
        self._suspects = Suspects()

    def verify(self) -> None:
        marks = heapq.merge(
            self._marks(LedgerWriter, 0), self._marks(LedgerHead, 1), self._marks(AuditRow, 2), key=_place
        )
        for writer, chain in groupby(marks, lambda mark: mark.writer):
            self._begin(writer)
            for mark in chain:
                (self._on_writer, self._on_head, self._on_event)[mark.rank](mark.found)
            self._end()
        for found in self._suspects.findings():
            self._report.add(found)

    def _begin(self, writer: Any) -> None:
        self._writer = writer
        self._known = False
        self._seq = self._signed = 0
        self._candidates: set[Any] = set()
        self._head: Any = None
        self._suspect: Suspect | None = None
        self._unproven: Suspect | None = None
        self._uncovered: Any = None
        self._waiting: datetime | None = None
        self._since: datetime | None = None

    def _on_writer(self, row: dict[str, Any]) -> None:
        self._known = True
        started_at = row["started_at"]
        if base := self._bases.get(row["id"]):
            self._seq = self._signed = base[0]
        if not isinstance(started_at, datetime):
            self._candidates = {"no hash follows from what is no time"}
            return
        self._candidates = {base[1] if base else genesis(row["id"], started_at)}
        self._since = started_at - WRITER_LIFE

    def _on_head(self, head: dict[str, Any]) -> None:
        if isinstance(head["seq"], int) and head["seq"] > self._signed:
            self._signed, self._head = head["seq"], head
            self._uncovered = self._waiting = None

    def _on_event(self, row: dict[str, Any]) -> None:
        self._count()
        stored, seq = row.pop("hash"), row["seq"]
        if isinstance(seq, int) and seq > self._seq + 1:
            self._gap(seq - self._seq - 1)
        self._link(row, stored)
        if isinstance(seq, int):
            self._seq = seq
            self._compare(row, stored)

    def _link(self, row: dict[str, Any], stored: Any) -> None:
        """Holds the row against what stands before it; its successor vouches for one that follows a gap."""
        hashes = {safe_row_hash(before, row) for before in self._candidates}
        if stored in hashes:
            self._suspect = None
            self._unproven = None
            self._candidates = {stored}
            return
        self._give_up_unproven()
        before = self._unvouched()
        self._suspect = Suspect(Place(self._writer, row["seq"]), row, stored, before)
        if self._known and not self._candidates:
            self._unproven, self._suspect = self._suspect, None
        else:
            self._suspects.add(self._suspect, self._candidates)
        self._candidates = {stored, *list(hashes - {None})[:_MOST_CANDIDATES]}

    def _unvouched(self) -> Place | None:
        """The row before, if nothing but its own hash, as it now stands, says that it is what was written."""
        signed = self._head is not None and self._head["seq"] == self._seq
        first = self._seq == (self._bases.get(self._writer) or (0,))[0]
        known = len(self._candidates) == 1 and self._suspect is None
        return None if signed or first or not known else Place(self._writer, self._seq)

    def _give_up_unproven(self) -> None:
        if self._unproven is not None:
            self._unproven.unproven = True
            self._suspects.add(self._unproven)
            self._unproven = None

    def _count(self) -> None:
        self._report.rows += 1
        if self._report.rows % _TELL_EVERY == 0:
            self._progress(self._report.rows)

    def _gap(self, count: int) -> None:
        """What came before the next row is lost, and with it the means to check that row."""
        self._suspects.add_gap(Place(self._writer, self._seq + 1), count, self._candidates)
        self._candidates = set()

    def _compare(self, row: dict[str, Any], stored: Any) -> None:
        """With what was signed; and a row that is older than a checkpoint must be under one."""
        place = Place(self._writer, row["seq"])
        head = self._head
        if head and (head["seq"], head["hash"]) == (place.seq, stored):
            self._unproven = None
        if head and head["seq"] == place.seq and head["hash"] != stored and self._suspect is None:
            said = (
                f"the chain was rewritten up to event {place}, which checkpoint {head['checkpoint']} signed"
            )
            self._report.add(Finding("rewritten", said, place.writer, place.seq))
        if self._suspect is None:
            self._compare_time(row["at"], place)

    def _compare_time(self, at: Any, place: Place) -> None:
        if _is_before(at, self._since):
            said = f"event {place} was inserted: it bears a time from before its chain began"
            self._report.add(Finding("inserted", said, place.writer, place.seq))
        elif place.seq > self._signed:
            self._waiting = self._waiting or at
            if _is_before(at, self._covered_until):
                self._uncovered = self._uncovered or place

    def _end(self) -> None:
        self._give_up_unproven()
        if self._signed > self._seq:
            self._gap(self._signed - self._seq)
        elif self._known and self._seq == 0:
            self._gap(1)
        self._report.unsigned += max(0, self._seq - self._signed)
        self._report.wait(self._waiting)
        if self._suspect is not None:
            self._suspect.may_be_inserted = self._seq > self._signed
        if place := self._uncovered:
            said = f"event {place} was inserted: it bears a time that checkpoints cover, and none has it"
            self._report.add(Finding("inserted", said, place.writer, place.seq))

    def _marks(self, model: type[Base], rank: int) -> Iterator[_Mark]:
        table = cast("Table", model.__table__)
        texts = _texts(table, self._session.get_bind().dialect)
        query = _as_stored(table, texts).order_by(*table.primary_key)
        for row in self._session.execute(query, execution_options=_AT_A_TIME).mappings():
            found = dict(row)
            for name, restored in texts.items():
                found[name] = restored(found[name])
            yield _Mark(found.get("writer", found.get("id")), found.get("seq", 0), rank, found)


def _place(mark: _Mark) -> tuple[float, float, int]:
    return _number(mark.writer), _number(mark.seq), mark.rank


def _number(value: Any) -> float:
    return value if isinstance(value, int | float) else _BEHIND_ALL


def _texts(table: Table, dialect: Dialect) -> dict[str, Callable[[Any], Any]]:
    """SQLite keeps whatever an editor writes: its times and JSON are read as text, to be found out."""
    typed = (c for c in table.columns if isinstance(c.type, UtcTime | JSON) and dialect.name == "sqlite")
    return {column.name: _restoring(column.type.dialect_impl(dialect), dialect) for column in typed}


def _as_stored(table: Table, texts: Container[str]) -> Select[Any]:
    return select(*(type_coerce(c, String).label(c.name) if c.name in texts else c for c in table.columns))


def _restoring(type_: TypeEngine[Any], dialect: Dialect) -> Callable[[Any], Any]:
    """Gives the value of a text, or what has no hash if we would have written that value otherwise."""
    read, write = type_.result_processor(dialect, None), type_.bind_processor(dialect)
    assert read is not None and write is not None  # noqa: S101, PT018 - SQLite has neither type

    def restored(stored: Any) -> Any:
        try:
            value = read(stored)
            return value if write(value) == stored else _NOT_OURS
        except (ValueError, TypeError):
            return _NOT_OURS

    return restored


def _is_before(at: Any, moment: datetime | None) -> bool:
    return moment is not None and isinstance(at, datetime) and at < moment

"""Walking along all chains: every hash computed again, and held against what checkpoints signed."""

import heapq
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, NamedTuple, cast

from sqlalchemy import Select, String, Table, select, type_coerce
from sqlalchemy.orm import Session

from app.db import Base
from app.ledger.chain import WRITER_LIFE, genesis
from app.ledger.models import AuditRow, LedgerHead, LedgerWriter
from app.ledger.report import Finding, Report
from app.ledger.signed import Signed
from app.ledger.suspects import Place, Suspect, Suspects, safe_row_hash

_AT_A_TIME = {"yield_per": 2000}
_TELL_EVERY = 10_000
_MOST_CANDIDATES = 4
_BEHIND_ALL = float("inf")  # where SQLite sorts what is no number


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

    def _on_writer(self, row: dict[str, Any]) -> None:
        self._known = True
        if base := self._bases.get(row["id"]):
            self._seq = self._signed = base[0]
            self._candidates = {base[1]}
        elif isinstance(row["started_at"], datetime):
            self._candidates = {genesis(row["id"], row["started_at"])}
        else:
            self._candidates = {"no hash follows from what is no time"}

    def _on_head(self, head: dict[str, Any]) -> None:
        if isinstance(head["seq"], int) and head["seq"] > self._signed:
            self._signed, self._head, self._uncovered = head["seq"], head, None

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
        self._suspect = None
        if stored in hashes:
            self._unproven = None
            self._candidates = {stored}
            return
        self._give_up_unproven()
        self._suspect = Suspect(Place(self._writer, row["seq"]), row, stored)
        if self._known and not self._candidates:
            self._unproven, self._suspect = self._suspect, None
        else:
            self._suspects.add(self._suspect, self._candidates)
        self._candidates = {stored, *list(hashes - {None})[:_MOST_CANDIDATES]}

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
        late = self._covered_until is not None and _is_before(row["at"], self._covered_until)
        if late and place.seq > self._signed and self._uncovered is None and self._suspect is None:
            self._uncovered = place

    def _end(self) -> None:
        self._give_up_unproven()
        if self._signed > self._seq:
            self._gap(self._signed - self._seq)
        elif self._known and self._seq == 0:
            self._gap(1)
        self._report.unsigned += max(0, self._seq - self._signed)
        if self._suspect is not None:
            self._suspect.may_be_inserted = self._seq > self._signed
        if place := self._uncovered:
            said = f"event {place} was inserted: it bears a time that checkpoints cover, and none has it"
            self._report.add(Finding("inserted", said, place.writer, place.seq))

    def _marks(self, model: type[Base], rank: int) -> Iterator[_Mark]:
        table = cast("Table", model.__table__)
        query = _as_stored(table, self._session).order_by(*table.primary_key)
        for row in self._session.execute(query, execution_options=_AT_A_TIME).mappings():
            found = {name: _restored(name, value) for name, value in row.items()}
            yield _Mark(found.get("writer", found.get("id")), found.get("seq", 0), rank, found)


def _place(mark: _Mark) -> tuple[float, float, int]:
    return _number(mark.writer), _number(mark.seq), mark.rank


def _number(value: Any) -> float:
    return value if isinstance(value, int | float) else _BEHIND_ALL


def _as_stored(table: Table, session: Session) -> Select[Any]:
    """SQLite keeps whatever an editor writes: times and JSON are read as text, to be found out."""
    if session.get_bind().dialect.name != "sqlite":
        return select(table)
    return select(*(type_coerce(c, String).label(c.name) if c.name in _AS_TEXT else c for c in table.columns))


def _restored(name: str, value: Any) -> Any:
    """The value of a column that was read as text; the text itself if it is none."""
    if not isinstance(value, str) or name not in _AS_TEXT:
        return value
    try:
        return _AS_TEXT[name](value)
    except ValueError:
        return value


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _is_before(at: Any, moment: datetime) -> bool:
    return isinstance(at, datetime) and at < moment


_AS_TEXT: dict[str, Callable[[str], Any]] = {"at": _time, "started_at": _time, "detail": json.loads}

"""Rows that do not follow from what stands before them: which are edited, which moved."""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from app.ledger.chain import row_hash
from app.ledger.report import Finding

_MOST_SUSPECTS = 200
"""More than that is not explained row by row: it grows with the square."""


class Place(NamedTuple):
    writer: Any
    seq: Any

    def __str__(self) -> str:
        return f"{self.writer}/{self.seq}"


@dataclass
class Suspect:
    """``before``: the row before it, if that one may have been edited together with its hash instead;
    ``may_be_inserted``: it ends its chain, and no checkpoint has it; ``unproven``: it follows a gap.
    """

    place: Place
    columns: Mapping[str, Any]
    hash: Any
    before: Place | None = None
    may_be_inserted: bool = False
    unproven: bool = False
    came_from: Place | None = None


@dataclass
class Suspects:
    """Collects them, and finds out in the end which is edited, which has moved, which is sound after all."""

    rows: list[Suspect] = field(default_factory=list)
    gaps: dict[Place, int] = field(default_factory=dict)
    _before: dict[Place, set[str]] = field(default_factory=dict)

    def add(self, suspect: Suspect, previous: AbstractSet[str] = frozenset()) -> None:
        self.rows.append(suspect)
        self._before.setdefault(suspect.place, set()).update(previous)

    def add_gap(self, first: Place, count: int, previous: AbstractSet[str]) -> None:
        self.gaps[first] = count
        self._before.setdefault(first, set()).update(previous)

    def findings(self) -> Iterator[Finding]:
        if len(self.rows) <= _MOST_SUSPECTS:
            self._trace()
        sources = {row.came_from for row in self.rows}
        yield from (_about(row) for row in self.rows if row.came_from != row.place)
        for first, count in self.gaps.items():
            if count > 1 or first not in sources:
                last = "" if count == 1 else f" to {first.seq + count - 1}"
                yield Finding("deleted", f"event {first}{last} is missing", first.writer, first.seq)

    def _trace(self) -> None:
        """A row belongs where its hash follows; each one placed tells what its successor follows from."""
        open_rows = list(self.rows)
        while placed := [row for row in open_rows if self._find(row)]:
            for row in placed:
                open_rows.remove(row)

    def _find(self, row: Suspect) -> bool:
        for place, hashes in self._before.items():
            if any(_fits(before, row, place) for before in hashes):
                row.came_from = place
                self._before.setdefault(Place(place.writer, place.seq + 1), set()).add(row.hash)
                return True
        return False


def _fits(previous: str, row: Suspect, place: Place) -> bool:
    columns = {**row.columns, "writer": place.writer, "seq": place.seq}
    return bool(safe_row_hash(previous, columns) == row.hash)


def safe_row_hash(previous: str, columns: Mapping[str, Any]) -> str | None:
    """``None`` for a row with values that no writer could have written."""
    try:
        return row_hash(previous, columns)
    except (TypeError, ValueError, AttributeError):
        return None


def _about(row: Suspect) -> Finding:
    writer, seq = row.place
    if row.came_from is not None:
        return Finding("moved", f"event {row.place} was moved here from {row.came_from}", writer, seq)
    if row.unproven:
        said = f"event {row.place} cannot be proven: what it followed is missing"
        return Finding("unproven", said, writer, seq)
    instead = f", or {row.before} before it together with its hash" if row.before else ""
    if row.may_be_inserted:
        said = f"event {row.place} was inserted, or edited since it was written{instead}"
        return Finding("inserted", said, writer, seq)
    return Finding("edited", f"event {row.place} was edited since it was written{instead}", writer, seq)

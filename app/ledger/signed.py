"""Verifying the checkpoints: their numbers, their hashes, their signatures, and an anchor among them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.ledger.anchor import Anchor
from app.ledger.checkpoints import RESTORED, checkpoint_hash, last_cut, signed_text
from app.ledger.kept import FILE_NAME, KeptCheckpoint
from app.ledger.key import LedgerPublicKey
from app.ledger.models import LedgerCheckpoint, LedgerHead
from app.ledger.report import Finding, Report

_AT_A_TIME = {"yield_per": 1000}

_Heads = list[tuple[int, int, str]]
_Vouched = Anchor | KeptCheckpoint | None


@dataclass(frozen=True)
class Signed:
    """``bases``: where retention cut each chain, writer to seq and hash; ``at``: of the last checkpoint."""

    bases: dict[int, tuple[int, str]] = field(default_factory=dict)
    at: datetime | None = None


def verify_checkpoints(
    session: Session,
    key: LedgerPublicKey,
    anchor: Anchor | None,
    kept: KeptCheckpoint | None,
    report: Report,
) -> Signed:
    cut = last_cut(session)
    number, previous = (int(cut["checkpoint"]), str(cut["hash"])) if cut else (0, None)
    first, at, heads_met = number, None, 0
    awaited = _unmet([anchor, kept], number, previous)
    for found, heads in _checkpoints(session):
        number, at = number + 1, found.at
        for fault in _faults(found, heads, number, previous, key):
            report.add(Finding("checkpoint", f"checkpoint {found.id} {fault}"))
        number, previous = found.id, found.hash
        awaited = _unmet(awaited, number, previous)
        report.checkpoints, heads_met = report.checkpoints + 1, heads_met + len(heads)
    if heads_met != session.scalar(select(func.count()).select_from(LedgerHead)):
        report.add(Finding("checkpoint", "heads of chains are left whose checkpoint is gone"))
    if anchor and anchor in awaited:
        report.add(Finding("anchor", _said_of(anchor, "the anchor", first, number)))
    if kept and kept in awaited and kept.checkpoint >= first:
        report.add(Finding("anchor", f"{_said_of(kept, FILE_NAME, first, number)}; {RESTORED}"))
    if cut is None:
        return Signed(at=at)
    report.since = str(cut["at"])
    return Signed({int(writer): (seq, row) for writer, (seq, row) in cut["heads"].items()}, at)


def _unmet(awaited: list[_Vouched], number: int, digest: str | None) -> list[_Vouched]:
    return [one for one in awaited if one and (one.checkpoint, one.hash) != (number, digest)]


def _faults(
    found: LedgerCheckpoint, heads: _Heads, number: int, previous: str | None, key: LedgerPublicKey
) -> Iterator[str]:
    if found.id != number:
        yield f"stands where {number} should"
    if found.previous != previous:
        yield "does not follow from the one before it"
    if found.hash != checkpoint_hash(found.id, found.at, found.previous, found.pruned, heads):
        yield "was edited since it was made"
    if not key.has_signed(signed_text(found.hash), found.signature):
        yield "is not signed by this ledger's key"


def _said_of(anchor: Anchor | KeptCheckpoint, name: str, first: int, last: int) -> str:
    which = f"checkpoint {anchor.checkpoint} of {name}"
    if anchor.checkpoint < first:
        return f"{which} is from before what retention has left: compare with a newer anchor"
    if anchor.checkpoint > last:
        return f"{which} is gone: the ledger ends with checkpoint {last}, its tail was cut off"
    return f"{which} is not the one in this ledger: it was replaced"


def _checkpoints(session: Session) -> Iterator[tuple[LedgerCheckpoint, _Heads]]:
    columns = select(LedgerHead.checkpoint, LedgerHead.writer, LedgerHead.seq, LedgerHead.hash)
    query = columns.order_by(LedgerHead.checkpoint, LedgerHead.writer)
    every = select(LedgerCheckpoint).order_by(LedgerCheckpoint.id)
    with session.execute(query, execution_options=_AT_A_TIME) as signed:
        groups = groupby(signed, lambda head: head.checkpoint)
        number, heads = next(groups, _NO_HEADS)
        for found in session.scalars(every, execution_options=_AT_A_TIME):
            if number != found.id:
                yield found, []
            else:
                yield found, [tuple(head)[1:] for head in heads]
                number, heads = next(groups, _NO_HEADS)
            session.expunge(found)


_NO_HEADS: tuple[None, Iterator[Any]] = (None, iter(()))

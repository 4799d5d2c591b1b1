"""A ledger that several processes wrote: whatever one edit does to one row is found, and the row is named."""

from collections import Counter
from datetime import timedelta

import orjson
import pytest
from sqlalchemy import delete, select

from app.ledger.anchor import Anchor, shape
from app.ledger.checkpoints import heads_of
from app.ledger.models import LedgerCheckpoint, LedgerHead
from app.ledger.retention import prune
from tests.support.components import OPERATOR, on_every_database
from tests.support.effort import count
from tests.unit.ledger.ledgers import EVENTS, Editor, chances, is_row, rows, verified, write
from tests.unit.ledger.processes import PROCESSES, written_by_processes
from tests.unit.ledger.test_tampering import CONTENT, other_value

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600), pytest.mark.usefixtures("unhurried")]

TRIES = count(ci=100, proof=1000)


@pytest.fixture
def ledger(components, tmp_path):
    """All of it signed, the last row of each chain too."""
    written_by_processes(components, str(tmp_path))
    components.checkpoints.make()
    report = verified(components)
    assert report.intact, report.findings
    assert report.unsigned == 0
    assert len({row["writer"] for row in rows(components)}) > PROCESSES
    return components


@pytest.fixture
def editor(ledger):
    editor = Editor(ledger)
    yield editor
    editor.close()


def places(report):
    return {(found.writer, found.seq) for found in report.findings}


def place(row):
    return row["writer"], row["seq"]


def edit(editor, chance, before):
    row, name = chance.choice(before), chance.choice(CONTENT)
    editor.change(row, **{name: other_value(row, name, chance)})
    return [row], {place(row)}


def remove(editor, chance, before):
    row = chance.choice(before)
    editor.remove(row)
    return [row], {place(row)}


def swap(editor, chance, before):
    one, other = chance.sample(before, 2)
    editor.remove(one, other)
    moved = [
        {**one, "writer": other["writer"], "seq": other["seq"]},
        {**other, "writer": one["writer"], "seq": one["seq"]},
    ]
    editor.put(*moved)
    return [one, other], {place(one), place(other)}


def swap_contents(editor, chance, before):
    """Two rows tell of each other's events, and keep their places and hashes."""
    one, other = chance.sample(before, 2)
    names = [name for name in CONTENT if name != "hash" and one[name] != other[name]]
    if not names:
        return [], set()
    editor.change(one, **{name: other[name] for name in names})
    editor.change(other, **{name: one[name] for name in names})
    return [one, other], {place(one), place(other)}


@on_every_database
def test_one_act_of_tampering_at_a_time(ledger, editor, record_property):
    chance, before, found = chances(11), rows(ledger), Counter()
    for number in range(TRIES):
        act = (edit, remove, swap, swap_contents)[number % 4]
        touched, expected = act(editor, chance, before)
        report = verified(ledger)
        assert expected <= places(report), (act.__name__, touched, report.findings)
        others = {each for each in report.findings if (each.writer, each.seq) not in expected}
        assert {each.kind for each in others} <= {"unproven"}, (act.__name__, touched, report.findings)
        found[act.__name__] += bool(expected)
        for row in touched:
            editor.do(delete(EVENTS).where(is_row(row)))
        if touched:
            editor.put(*touched)
    record_property("found and named", dict(found))
    assert verified(ledger).intact


def anchors_of(ledger):
    with ledger.database.reading() as session:
        made = list(session.scalars(select(LedgerCheckpoint).order_by(LedgerCheckpoint.id)))
        printed = [shape(each, heads_of(session, each.id), ledger.ledger_key.public) for each in made]
    return [Anchor.parse(orjson.dumps(each)) for each in printed]


@on_every_database
def test_a_tail_that_is_cut_without_a_trace_is_found_by_every_later_anchor(ledger, editor):
    """Back to any checkpoint: rows, heads, checkpoints and writers, as if nothing had happened since."""
    anchors = anchors_of(ledger)
    assert len(anchors) > 2
    for kept in (anchors[0], anchors[len(anchors) // 2], anchors[-2]):
        with editor.trying():
            cut_back(ledger, editor, kept.checkpoint)
            assert verified(ledger, kept=None).intact
            for anchor in anchors:
                report = verified(ledger, kept=None, anchor=anchor)
                assert report.intact is (anchor.checkpoint <= kept.checkpoint), report.findings
                assert {each.kind for each in report.findings} <= {"anchor"}


def cut_back(ledger, editor, checkpoint):
    with ledger.database.reading() as session:
        heads = {
            writer: seq for number in range(1, checkpoint + 1) for writer, seq, _ in heads_of(session, number)
        }
    editor.remove(*[row for row in rows(ledger) if row["seq"] > heads.get(row["writer"], 0)])
    editor.do(delete(LedgerHead).where(LedgerHead.checkpoint > checkpoint))
    editor.do(delete(LedgerCheckpoint).where(LedgerCheckpoint.id > checkpoint))
    editor.do("DELETE FROM ledger_writers WHERE id NOT IN (SELECT writer FROM audit_events)")


@on_every_database
def test_what_retention_leaves_is_proven_row_by_row(ledger, editor, clock):
    """The fixture's clock stands still at the fixtures' present, the processes' goes on: prune by theirs."""
    with ledger.database.reading() as session:
        last = session.scalars(select(LedgerCheckpoint.at).order_by(LedgerCheckpoint.id.desc())).first()
    clock.now = last + timedelta(minutes=1)
    write(ledger, 20)
    ledger.checkpoints.make()
    done = prune(ledger.database, ledger.checkpoints, clock, last, OPERATOR)
    assert done.rows > 0
    assert verified(ledger).intact
    chance, left = chances(12), rows(ledger)
    for _ in range(TRIES // 10):
        row = chance.choice(left)
        editor.change(row, actor="user:13")
        assert places(verified(ledger)) == {place(row)}
        editor.change(row, actor=row["actor"])
    assert verified(ledger).intact

"""Whatever is done to a row behind the ledger's back is found, and the row is named."""

from datetime import UTC, datetime, timedelta

import pytest

from app.ledger.chain import genesis, row_hash
from app.ledger.models import LedgerCheckpoint, LedgerHead, LedgerWriter
from tests.support.components import on_every_database
from tests.support.effort import count
from tests.unit.ledger.ledgers import (
    EVENTS,
    Editor,
    chances,
    rows,
    verified,
    write,
)

TRIES = count(ci=100, proof=1000)
CONTENT = [column.name for column in EVENTS.columns if column.name not in {"writer", "seq"}]


@pytest.fixture
def ledger(components, clock):
    """Signed in part: a checkpoint, then more rows of the same writers."""
    write(components, 1)
    components.checkpoints.make()
    clock.advance(minutes=1)
    write(components, 2)
    assert verified(components).intact
    return components


@pytest.fixture
def editor(ledger):
    editor = Editor(ledger)
    yield editor
    editor.close()


def other_value(row, name, chance):
    if name == "at":
        return row["at"] + timedelta(microseconds=chance.choice([-1, 1, 10**6]))
    if name == "run":
        return (row["run"] or 0) + 1 if row["run"] != 2**31 - 1 else None
    if name == "detail":
        return {**row["detail"], "more": chance.random()}
    if name == "hash":
        return row_hash("", {"n": chance.random()})
    return (
        chance.choice([None, ""])
        if row[name] and chance.random() < 0.3 and name in NULLABLE
        else f"{row[name]}x"
    )


NULLABLE = {column.name for column in EVENTS.columns if column.nullable}


def named(report):
    return {(found.writer, found.seq) for found in report.findings}


@on_every_database
def test_every_edit_of_any_column_is_found_and_named_to_the_row(ledger, editor):
    chance, before = chances(3), rows(ledger)
    for number in range(TRIES):
        row, name = chance.choice(before), CONTENT[number % len(CONTENT)]
        value = other_value(row, name, chance)
        editor.change(row, **{name: value})
        report = verified(ledger)
        assert named(report) == {(row["writer"], row["seq"])}, (name, row, value, report.findings)
        assert report.findings[0].kind in {"edited", "inserted"}
        editor.change(row, **{name: row[name]})
    assert verified(ledger).intact


@on_every_database
def test_a_row_that_is_given_another_number_or_writer_is_found(ledger, editor):
    chance, before = chances(4), rows(ledger)
    writers = sorted({row["writer"] for row in before})
    ends = {writer: max(row["seq"] for row in before if row["writer"] == writer) for writer in writers}
    for _ in range(TRIES // 4):
        row, writer = chance.choice(before), chance.choice(writers)
        place = {"writer": writer, "seq": ends[writer] + chance.randint(1, 3)}
        editor.change(row, **place)
        report = verified(ledger)
        assert {(row["writer"], row["seq"]), (writer, place["seq"])} & named(report), report.findings
        editor.change(place, writer=row["writer"], seq=row["seq"])
    assert verified(ledger).intact


@on_every_database
def test_deleted_rows_are_found_and_named(ledger, editor):
    chance, before = chances(5), rows(ledger)
    signed = signed_seqs(ledger)
    deletable = [
        row
        for row in before
        if any(r["writer"] == row["writer"] and r["seq"] > row["seq"] for r in before)
        or (row["writer"], row["seq"]) in signed
    ]
    for _ in range(TRIES // 2):
        row = chance.choice(deletable)
        editor.remove(row)
        report = verified(ledger)
        found = {(found.kind, found.writer, found.seq) for found in report.findings}
        unproven = ("unproven", row["writer"], row["seq"] + 1)  # when nothing yet vouches for the next one
        assert found - {unproven} == {("deleted", row["writer"], row["seq"])}
        editor.put(row)
    assert verified(ledger).intact


def signed_seqs(components):
    with components.database.reading() as session:
        return {(head.writer, head.seq) for head in session.query(LedgerHead)}


@on_every_database
def test_swapped_rows_are_found_and_only_they_are_named(ledger, editor):
    chance, before = chances(6), rows(ledger)
    for _ in range(TRIES // 4):
        one, other = chance.sample(before, 2)
        places = {(row["writer"], row["seq"]) for row in (one, other)}
        with editor.trying():
            editor.remove(one, other)
            editor.put(
                one | {"writer": other["writer"], "seq": other["seq"]},
                other | {"writer": one["writer"], "seq": one["seq"]},
            )
            report = verified(ledger)
            assert named(report) == places, report.findings
            assert "moved" in {found.kind for found in report.findings}
    assert verified(ledger).intact


@on_every_database
def test_an_inserted_row_is_found_even_if_the_editor_knows_how_to_hash(ledger, editor, clock):
    before = rows(ledger)
    last = before[-1]
    forged = last | {"seq": last["seq"] + 1, "actor": "user:1"}
    with editor.trying():
        editor.put(forged)
        assert named(verified(ledger)) == {(forged["writer"], forged["seq"])}
    with editor.trying():
        ledger.checkpoints.make()
        clock.advance(hours=3)
        write(ledger, 7)
        ledger.checkpoints.make()
        late = forged | {"at": last["at"]}
        late["hash"] = row_hash(last["hash"], {k: v for k, v in late.items() if k != "hash"})
        editor.put(late)
        report = verified(ledger)
        assert [(found.kind, found.writer, found.seq) for found in report.findings] == [
            ("inserted", late["writer"], late["seq"])
        ]


@on_every_database
def test_a_chain_that_is_rewritten_with_right_hashes_differs_from_what_was_signed(ledger, editor):
    writer = rows(ledger)[0]["writer"]
    with ledger.database.reading() as session:
        previous = genesis(writer, session.get_one(LedgerWriter, writer).started_at)
    for row in [row for row in rows(ledger) if row["writer"] == writer]:
        previous = row_hash(previous, {k: v for k, v in row.items() if k != "hash"} | {"actor": "user:13"})
        editor.change(row, actor="user:13", hash=previous)
    report = verified(ledger)
    assert {(found.kind, found.writer) for found in report.findings} == {("rewritten", writer)}


@on_every_database
def test_a_tail_that_was_signed_cannot_be_cut(ledger, editor):
    ledger.checkpoints.make()
    before = rows(ledger)
    for writer in {row["writer"] for row in before}:
        chain = [row for row in before if row["writer"] == writer]
        with editor.trying():
            editor.remove(*chain[-3:])
            assert named(verified(ledger)) == {(writer, chain[-3:][0]["seq"])}
        with editor.trying():
            editor.remove(*chain)
            editor.do(LedgerWriter.__table__.delete().where(LedgerWriter.id == writer))
            assert named(verified(ledger)) == {(writer, 1)}


@on_every_database
def test_an_edited_checkpoint_or_head_is_found(ledger, editor):
    checkpoints, heads = LedgerCheckpoint.__table__, LedgerHead.__table__
    for statement in (
        checkpoints.update().values(hash="0" * 64),
        checkpoints.update().values(signature="AAAA"),
        checkpoints.update().values(previous="x"),
        checkpoints.update().values(at=datetime(2020, 1, 1, tzinfo=UTC)),
        checkpoints.update().values(id=7),
        checkpoints.update().values(pruned={}),
        checkpoints.delete(),
        heads.update().where(heads.c.writer == 2).values(hash="0" * 64),
        heads.update().where(heads.c.writer == 2).values(seq=heads.c.seq + 1),
        heads.update().where(heads.c.writer == 2).values(checkpoint=9),
        heads.delete().where(heads.c.writer == 2),
    ):
        with editor.trying():
            editor.do(statement)
            found = verified(ledger).findings
            assert "checkpoint" in {each.kind for each in found}, statement
    assert verified(ledger).intact


@pytest.mark.parametrize("garbage", ["garbage", b"\x00\xff", -1.5])
def test_what_only_sqlite_lets_in_is_found_too(ledger, editor, garbage):
    row = rows(ledger)[4]
    for column in [*CONTENT, "writer", "seq"]:
        with editor.trying():
            statement = f'UPDATE audit_events SET "{column}" = :it WHERE writer = :writer AND seq = :seq'  # noqa: S608 - ours
            editor.do(statement, {"it": garbage, "writer": row["writer"], "seq": row["seq"]})
            assert not verified(ledger).intact, column

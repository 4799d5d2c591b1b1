"""Whatever is done to a row behind the ledger's back is found, and the row is named."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert

from app.ledger.chain import WRITER_LIFE, genesis, row_hash
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

pytestmark = pytest.mark.usefixtures("unhurried")

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
    of_one = heads.c.writer == min(signed_seqs(ledger))[0]  # there may have been one connection for all
    for statement in (
        checkpoints.update().values(hash="0" * 64),
        checkpoints.update().values(signature="AAAA"),
        checkpoints.update().values(previous="x"),
        checkpoints.update().values(at=datetime(2020, 1, 1, tzinfo=UTC)),
        checkpoints.update().values(id=7),
        checkpoints.update().values(pruned={}),
        checkpoints.delete(),
        heads.update().where(of_one).values(hash="0" * 64),
        heads.update().where(of_one).values(seq=heads.c.seq + 1),
        heads.update().where(of_one).values(checkpoint=9),
        heads.delete().where(of_one),
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


def put_text(editor, row, column, text):
    statement = f"UPDATE audit_events SET {column} = :it WHERE writer = :writer AND seq = :seq"  # noqa: S608 - ours
    editor.do(statement, {"it": text, "writer": row["writer"], "seq": row["seq"]})


@pytest.mark.parametrize(
    "spelling", ["{} {}+05:00", "{} {}+00:00", "{} {}Z", "{}T{}", "{}T{}Z", "{}  {}", " {} {}"]
)
def test_a_time_is_proven_as_it_is_spelt_for_spelling_is_what_sqlite_sorts_by(ledger, editor, spelling):
    row = rows(ledger)[4]
    text = spelling.format(*row["at"].replace(tzinfo=None).isoformat(" ").split())
    with editor.trying():
        put_text(editor, row, "at", text)
        assert (row["writer"], row["seq"]) in named(verified(ledger))
    with editor.trying():
        editor.do("UPDATE ledger_writers SET started_at = started_at || '+05:00' WHERE id = 2")
        assert {found.writer for found in verified(ledger).findings} == {2}
        editor.do("UPDATE ledger_writers SET started_at = substr(started_at, 1, 26)")
        assert verified(ledger).intact


FORGERIES = {
    "NaN": ("null", "NaN"),
    "Infinity": ("null", "Infinity"),
    "a duplicate key": ('"n":', '"n":99,"n":'),
    "another number": ('"n":1.5', '"n":1.50'),
    "a space": ('"n":1.5', '"n": 1.5'),
}


@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES)
def test_json_is_proven_as_it_is_spelt_for_readers_differ_over_what_it_says(ledger, editor, forgery):
    row = next(row for row in rows(ledger) if "deep" in row["detail"])
    true = json.dumps(row["detail"], separators=(",", ":"), sort_keys=True)
    forged = true.replace(*forgery)
    assert forged != true
    put_text(editor, row, "detail", forged)
    assert named(verified(ledger)) == {(row["writer"], row["seq"])}
    put_text(editor, row, "detail", true)
    assert verified(ledger).intact


@on_every_database
@pytest.mark.parametrize("began_before", [timedelta(), timedelta(days=30)])
def test_a_row_that_is_dated_back_is_found_before_and_after_the_next_checkpoint(
    ledger, editor, clock, began_before
):
    for seed in range(3):
        clock.advance(hours=2)
        write(ledger, seed, writers=1, transactions=2)
        ledger.checkpoints.make()
    writer, began_at = 1 + max(row["writer"] for row in rows(ledger)), clock() - began_before
    forged = {**rows(ledger)[0], "writer": writer, "seq": 1, "at": clock() - timedelta(days=30)}
    del forged["hash"]
    editor.do(insert(LedgerWriter.__table__).values(id=writer, started_at=began_at))
    editor.put({**forged, "hash": row_hash(genesis(writer, began_at), forged)})
    for _ in range(2):
        report = verified(ledger)
        assert named(report) == {(writer, 1)}
        assert {found.kind for found in report.findings} == {"inserted"}
        clock.advance(minutes=1)
        ledger.checkpoints.make_if_due()


@on_every_database
def test_a_clock_that_is_set_back_begins_a_chain(ledger, clock):
    clock.advance(seconds=-WRITER_LIFE.total_seconds() - 1)
    write(ledger, 3, writers=1)
    ledger.checkpoints.make()
    report = verified(ledger)
    assert report.intact
    assert report.unsigned == 0


@on_every_database
def test_a_row_that_was_edited_together_with_its_hash_is_named_beside_its_successor(ledger, editor):
    chains = {}
    for row in rows(ledger):
        chains.setdefault(row["writer"], []).append(row)
    chain, signed = max(chains.values(), key=len), signed_seqs(ledger)
    first, edited, successor = next(
        three
        for three in zip(chain, chain[1:], chain[2:], strict=False)
        if (three[1]["writer"], three[1]["seq"]) not in signed and three[2] is not chain[-1]
    )
    columns = {name: value for name, value in edited.items() if name != "hash"} | {"actor": "user:13"}
    editor.change(edited, actor="user:13", hash=row_hash(first["hash"], columns))
    (found,) = verified(ledger).findings
    writer = edited["writer"]
    assert found.text == (
        f"event {writer}/{successor['seq']} was edited since it was written, "
        f"or {writer}/{edited['seq']} before it together with its hash"
    )


def test_a_row_that_a_checkpoint_vouches_for_is_not_named_beside_its_successor(ledger, editor):
    signed = signed_seqs(ledger)
    row = next(row for row in rows(ledger) if (row["writer"], row["seq"] - 1) in signed)
    editor.change(row, actor="user:13")
    (found,) = verified(ledger).findings
    assert "before it" not in found.text


@on_every_database
def test_how_long_rows_have_waited_for_a_checkpoint_is_told(ledger, clock):
    assert verified(ledger).waiting_since == clock()
    ledger.checkpoints.make()
    assert verified(ledger).waiting_since is None

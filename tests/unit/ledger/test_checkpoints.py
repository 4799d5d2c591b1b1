"""Checkpoints, anchors, the key, retention."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import orjson
import pytest
from sqlalchemy import delete

from app.errors import InvalidInput, NotFound
from app.ledger.anchor import Anchor, shape
from app.ledger.checkpoints import Checkpoints, heads_of, last_checkpoint
from app.ledger.key import LedgerKey, LedgerKeyError
from app.ledger.models import LedgerCheckpoint, LedgerHead
from app.ledger.retention import prune
from app.secret import Secret
from tests.support.components import OPERATOR, PASSPHRASE, on_every_database
from tests.unit.ledger.ledgers import TABLES, Editor, chances, rows, verified, write

pytestmark = pytest.mark.usefixtures("unhurried")


def anchor_of(components, made):
    with components.database.reading() as session:
        printed = shape(made, heads_of(session, made.id), components.ledger_key.public)
    return Anchor.parse(orjson.dumps(printed))


@pytest.fixture
def editor(components):
    editor = Editor(components)
    yield editor
    editor.close()


@on_every_database
def test_a_checkpoint_signs_the_chains_that_have_advanced_and_only_those(components):
    write(components, 1, writers=2)
    first = components.checkpoints.make()
    with components.database.reading() as session:
        known = {writer: seq for writer, seq, _ in heads_of(session, first.id)}
    assert known == {row["writer"]: row["seq"] for row in rows(components)}
    assert components.checkpoints.make().id == first.id
    write(components, 2, writers=1)
    second = components.checkpoints.make()
    assert (second.id, second.previous) == (first.id + 1, first.hash)
    with components.database.reading() as session:
        signed = {writer: seq for writer, seq, _ in heads_of(session, second.id)}
    now = {row["writer"]: row["seq"] for row in rows(components)}
    assert signed == dict(now.items() - known.items()) != {}
    assert verified(components).intact


def test_one_a_minute_whoever_asks(components, clock):
    write(components, 1)
    assert components.checkpoints.make_if_due()
    write(components, 2)
    assert not components.checkpoints.make_if_due()
    clock.advance(minutes=1)
    assert components.checkpoints.make_if_due()
    clock.advance(minutes=1)
    assert not components.checkpoints.make_if_due()  # nothing has happened


@on_every_database
def test_of_nodes_that_make_one_at_once_one_does(components, clock):
    write(components, 1)
    nodes = [Checkpoints(components.database, components.ledger_key, clock) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(lambda node: node.make_if_due(), nodes))
    assert sum(made) == 1
    with components.database.reading() as session:
        assert last_checkpoint(session).id == 1


@on_every_database
def test_a_chain_is_signed_however_long_ago_the_last_checkpoint_was(components, clock):
    for seed, days in enumerate((0, 30, 0.03, 400)):
        clock.advance(days=days)
        write(components, seed)
        components.checkpoints.make()
        report = verified(components)
        assert report.intact
        assert report.unsigned == 0


@on_every_database
def test_an_anchor_finds_a_cut_tail(components, editor, clock):
    write(components, 1)
    components.checkpoints.make()
    before = rows(components)
    clock.advance(minutes=1)
    write(components, 2)
    anchor = anchor_of(components, components.checkpoints.make())
    assert verified(components, anchor=anchor).intact
    with editor.trying():
        editor.remove(*[row for row in rows(components) if row not in before])
        editor.do(delete(LedgerHead).where(LedgerHead.checkpoint == 2))
        editor.do(delete(LedgerCheckpoint).where(LedgerCheckpoint.id == 2))
        editor.do("DELETE FROM ledger_writers WHERE id NOT IN (SELECT writer FROM audit_events)")
        assert verified(components, kept=None).intact
        (found,) = verified(components, kept=None, anchor=anchor).findings
        assert found.kind == "anchor"
        assert "cut off" in found.text


@on_every_database
def test_an_anchor_finds_a_ledger_that_was_replaced_as_a_whole(components, editor):
    write(components, 1)
    anchor = anchor_of(components, components.checkpoints.make())
    for table in reversed(TABLES):
        editor.do(delete(table))
    components.database.dispose()
    (components.settings.keys_dir / "ledger.anchor").unlink()
    write(components, 3)
    components.checkpoints.make()
    assert verified(components).intact
    (found,) = verified(components, anchor=anchor).findings
    assert found.kind == "anchor"
    assert "replaced" in found.text


def test_an_anchor_by_another_key_does_not_fit(components, tmp_path):
    write(components, 1)
    made = components.checkpoints.make()
    other = LedgerKey(tmp_path, Secret(PASSPHRASE))
    other.ensure()
    printed = shape(made, [], components.ledger_key.public)
    with pytest.raises(InvalidInput, match="damaged"):
        Anchor.parse(orjson.dumps(printed | {"public_key": other.public.text}))


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"null", b'{"id": 1}', b'{"public_key": "AAAA"}'])
def test_what_is_no_anchor_is_refused_in_words(content):
    with pytest.raises(InvalidInput, match="countersign audit head"):
        Anchor.parse(content)


@on_every_database
def test_what_retention_leaves_is_proven_from_the_cut_on(components, editor, clock):
    anchors = []
    for seed in range(6):
        write(components, seed)
        anchors.append(anchor_of(components, components.checkpoints.make()))
        clock.advance(minutes=20)
    before = rows(components)
    done = prune(
        components.database, components.checkpoints, clock, clock() - timedelta(minutes=50), OPERATOR
    )
    assert 0 < done.rows < len(before)
    report = verified(components, anchor=anchors[-1])
    assert report.intact
    assert report.since is not None
    assert len(rows(components)) == len(before) - done.rows + 1
    assert "ledger:events:prune" in {row["action"] for row in rows(components)}
    assert [each.kind for each in verified(components, anchor=anchors[0]).findings] == ["anchor"]

    chance = chances(1)
    for row in chance.sample(rows(components), 5):
        editor.change(row, actor="user:13")
        assert {(each.writer, each.seq) for each in verified(components).findings} == {
            (row["writer"], row["seq"])
        }
        editor.change(row, actor=row["actor"])
    with editor.trying():
        editor.put(next(row for row in before if row not in rows(components)))
        assert not verified(components).intact
    first = min(rows(components), key=lambda row: (row["writer"], row["seq"]))
    with editor.trying():
        editor.remove(first)
        assert not verified(components).intact

    write(components, 9)
    clock.advance(days=1)
    assert prune(components.database, components.checkpoints, clock, clock(), OPERATOR).rows > 0
    write(components, 10)
    assert verified(components).intact


def test_without_a_checkpoint_that_old_nothing_is_pruned(components, clock):
    write(components, 1)
    components.checkpoints.make()
    with pytest.raises(NotFound, match="nothing to prune"):
        prune(components.database, components.checkpoints, clock, clock() - timedelta(1), OPERATOR)


def test_of_processes_that_start_together_one_makes_the_key(tmp_path):
    keys = [LedgerKey(tmp_path / "keys", Secret(PASSPHRASE)) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(LedgerKey.ensure, keys))
    assert len({key.public.text for key in keys}) == 1
    assert [path.name for path in (tmp_path / "keys").iterdir()] == ["ledger.pem"]
    assert (tmp_path / "keys" / "ledger.pem").stat().st_mode & 0o777 == 0o600


def test_a_lost_key_is_not_replaced_in_silence(components):
    write(components, 1)
    components.checkpoints.make()
    path = components.settings.keys_dir / "ledger.pem"
    path.rename(path.with_name("kept"))
    components.prepare(OPERATOR)
    lost = LedgerKey(components.settings.keys_dir, Secret(PASSPHRASE))
    with pytest.raises(LedgerKeyError, match=r"ledger.pem from a backup"):
        lost.sign(b"")


def test_a_wrong_passphrase_is_told_from_a_lost_key(components):
    key = LedgerKey(components.settings.keys_dir, Secret("not the passphrase of it"))
    with pytest.raises(LedgerKeyError, match="COUNTERSIGN_KEYS_PASSPHRASE") as refused:
        key.sign(b"")
    assert "not the passphrase of it" not in str(refused.value)


def test_another_key_does_not_go_on_with_the_checkpoints(components, clock, tmp_path):
    write(components, 1)
    components.checkpoints.make()
    write(components, 2)
    other = LedgerKey(tmp_path, Secret(PASSPHRASE))
    other.ensure()
    with pytest.raises(LedgerKeyError, match="another ledger key"):
        Checkpoints(components.database, other, clock).make()

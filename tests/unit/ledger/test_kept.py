"""``ledger.anchor``, the last checkpoint beside the ledger's key: an editor cannot take it back."""

from datetime import timedelta

import pytest
from sqlalchemy import delete

from app.ledger.chain import genesis, row_hash
from app.ledger.kept import Kept
from app.ledger.key import LedgerKeyError
from app.ledger.models import LedgerCheckpoint, LedgerHead, LedgerWriter
from app.ledger.retention import prune
from tests.support.components import OPERATOR, on_every_database
from tests.unit.ledger.ledgers import TABLES, Editor, rows, verified, write

pytestmark = pytest.mark.usefixtures("unhurried")


@pytest.fixture
def ledger(components, clock):
    """Under two checkpoints."""
    for seed in (1, 2):
        write(components, seed, writers=2, transactions=3)
        components.checkpoints.make()
        clock.advance(minutes=1)
    return components


@pytest.fixture
def editor(ledger):
    editor = Editor(ledger)
    yield editor
    editor.close()


@pytest.fixture
def file(ledger):
    return ledger.settings.keys_dir / "ledger.anchor"


def drop_checkpoints(editor, *, after):
    editor.do(delete(LedgerHead).where(LedgerHead.checkpoint > after))
    editor.do(delete(LedgerCheckpoint).where(LedgerCheckpoint.id > after))


def rewrite_all(ledger, editor):
    """Another actor in every row, and all hashes made anew."""
    with ledger.database.reading() as session:
        ends = {one.id: genesis(one.id, one.started_at) for one in session.query(LedgerWriter)}
    for row in rows(ledger):
        columns = {name: value for name, value in row.items() if name != "hash"} | {"actor": "user:13"}
        ends[row["writer"]] = row_hash(ends[row["writer"]], columns)
        editor.change(row, actor="user:13", hash=ends[row["writer"]])


def restores(ledger):
    return [row for row in rows(ledger) if row["action"] == "ledger:events:restore"]


@on_every_database
def test_a_ledger_that_was_rewritten_under_no_checkpoint_is_found_and_never_signed(ledger, editor, file):
    drop_checkpoints(editor, after=0)
    rewrite_all(ledger, editor)
    (found,) = verified(ledger).findings
    assert found.kind == "anchor"
    assert "countersign audit head --restored" in found.text
    for sign in (ledger.checkpoints.make, ledger.checkpoints.make_if_due):
        with pytest.raises(LedgerKeyError, match=r"checkpoint 2, which ledger\.anchor vouches for"):
            sign()
    file.unlink()
    assert verified(ledger).intact


@on_every_database
def test_a_ledger_that_another_took_the_place_of_is_found_and_never_signed(ledger, editor, file):
    true = file.read_bytes()
    for table in reversed(TABLES):
        editor.do(delete(table))
    ledger.database.dispose()
    file.unlink()
    for seed in (3, 4, 5):
        write(ledger, seed, writers=1, transactions=2)
        ledger.checkpoints.make()
    file.write_bytes(true)
    (found,) = verified(ledger).findings
    assert "was replaced" in found.text
    with pytest.raises(LedgerKeyError, match=r"ledger\.anchor"):
        prune(ledger.database, ledger.checkpoints, ledger.clock, ledger.clock(), OPERATOR)


@on_every_database
def test_who_restored_an_older_backup_goes_on_with_it_on_record(ledger, editor):
    lost = ledger.checkpoints.kept.read()
    drop_checkpoints(editor, after=1)
    made = ledger.checkpoints.make_restored(OPERATOR)
    (told,) = restores(ledger)
    assert (told["actor"], told["detail"]) == (OPERATOR.name, {"checkpoint": 1, "lost": lost._asdict()})
    assert ledger.checkpoints.kept.read() == (made.id, made.hash) != lost
    assert verified(ledger).intact
    ledger.checkpoints.make_restored(OPERATOR)
    assert len(restores(ledger)) == 1


@on_every_database
def test_the_file_of_a_node_may_lag_even_behind_what_retention_took(ledger, clock, file):
    lagging = file.read_bytes()
    write(ledger, 3)
    ledger.checkpoints.make()
    file.write_bytes(lagging)
    assert verified(ledger).intact
    clock.advance(days=1)
    prune(ledger.database, ledger.checkpoints, clock, clock() - timedelta(hours=1), OPERATOR)
    assert ledger.checkpoints.kept.read().checkpoint == 4
    file.write_bytes(lagging)
    write(ledger, 4)
    assert verified(ledger).intact
    assert ledger.checkpoints.make().id == 5
    assert verified(ledger).intact


def test_what_is_rolled_back_is_not_kept(ledger):
    before = ledger.checkpoints.kept.read()
    write(ledger, 3)
    with ledger.database.writing() as session:
        ledger.checkpoints.record_cut(session, ledger.checkpoints.locked_last(session), {})
        session.rollback()
    assert ledger.checkpoints.kept.read() == before


def test_a_file_that_cannot_be_written_stops_no_checkpoint(ledger, file):
    write(ledger, 3)
    made = ledger.checkpoints
    made.kept = Kept(file)  # no directory, whoever runs this
    assert made.make().id == 3


def test_a_key_that_has_signed_is_not_replaced_although_no_checkpoint_is_left(ledger, editor, file):
    key = file.with_name("ledger.pem")
    key.unlink()
    drop_checkpoints(editor, after=0)
    ledger.checkpoints.ensure_key()
    assert not key.exists()


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"null", b'{"id": "x", "hash": ""}'])
def test_a_damaged_file_is_refused_in_words(tmp_path, content):
    assert Kept(tmp_path).read() is None
    (tmp_path / "ledger.anchor").write_bytes(content)
    with pytest.raises(LedgerKeyError, match="another node"):
        Kept(tmp_path).read()

"""What writers do to their chains: commits, rollbacks, savepoints, errors, crashes; all of it verifies."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from app.ledger.actions import AuditAction
from app.ledger.chain import WRITER_LIFE, canonical
from app.ledger.record import Actor, record
from tests.support.components import on_every_database
from tests.support.effort import count
from tests.unit.ledger.ledgers import GivenUp, chances, rows, verified, write

pytestmark = pytest.mark.usefixtures("unhurried")
ACTOR = Actor(name="operator:tester")


def happened(components, number=1, **fields):
    return [ACTOR.did(AuditAction.RUN_START, components.clock(), **fields) for _ in range(number)]


def places(components):
    return [(row["writer"], row["seq"]) for row in rows(components)]


@on_every_database
@pytest.mark.parametrize("seed", range(count(ci=3, proof=30)))
def test_writers_at_once_with_rollbacks_between_leave_gapless_chains(components, seed):
    write(components, seed, writers=6, transactions=10)
    components.checkpoints.make()
    report = verified(components)
    assert report.intact
    assert report.rows == len(rows(components)) > 60
    assert report.unsigned == 0


@on_every_database
def test_events_of_one_transaction_follow_each_other_in_one_chain(components):
    with components.database.writing() as session:
        record(session, *happened(components, 2))
        record(session, *happened(components))
    with components.database.writing_connection() as connection:
        record(connection, *happened(components, 3))
    writer, last = places(components)[-1]
    assert places(components)[-6:] == [(writer, seq) for seq in range(last - 5, last + 1)]
    assert verified(components).intact


@on_every_database
def test_a_rolled_back_transaction_leaves_no_gap(components):
    with components.database.writing() as session:
        record(session, *happened(components))
    before = places(components)
    with suppress(GivenUp), components.database.writing() as session:
        record(session, *happened(components, 2))
        raise GivenUp
    with components.database.writing() as session:
        record(session, *happened(components))
    writer, last = before[-1]
    assert places(components) == [*before, (writer, last + 1)]
    assert verified(components).intact


@on_every_database
def test_a_savepoint_that_is_rolled_back_takes_its_events_along(components):
    with components.database.writing() as session:
        record(session, *happened(components, jti="kept"))
        with suppress(GivenUp), session.begin_nested():
            record(session, *happened(components, jti="gone"))
            with session.begin_nested():
                record(session, *happened(components, jti="gone"))
            raise GivenUp
        with session.begin_nested():
            record(session, *happened(components, jti="kept"))
        record(session, *happened(components, jti="kept"))
    assert [row["jti"] for row in rows(components)][-3:] == ["kept"] * 3
    assert verified(components).intact


@on_every_database
def test_a_first_event_in_a_savepoint_that_is_rolled_back_takes_its_writer_along(components):
    components.database.dispose()
    with components.database.writing() as session:
        with suppress(GivenUp), session.begin_nested():
            record(session, *happened(components))
            raise GivenUp
        record(session, *happened(components))
    assert verified(components).intact


@on_every_database
def test_after_an_error_that_somebody_swallowed_the_chain_still_holds(components):
    with components.database.writing_connection() as connection:
        record(connection, *happened(components))
    for _ in range(2):
        with components.database.writing_connection() as connection:
            record(connection, *happened(components))
            with pytest.raises(DBAPIError):
                connection.execute(text("SELECT no_such_column FROM users"))
        # PostgreSQL answers this COMMIT with a ROLLBACK, without a word
    with components.database.writing_connection() as connection:
        record(connection, *happened(components))
    assert verified(components).intact


def fail_to_commit(components):
    with components.database.writing_connection() as connection:
        record(connection, *happened(components, jti="never"))
        connection.execute(text("INSERT INTO late VALUES (1), (1)"))


@on_every_database
def test_a_commit_that_fails_leaves_no_gap(components):
    with components.database.writing_connection() as connection:
        record(connection, *happened(components))
        if not components.database.is_sqlite:
            connection.execute(text("CREATE TABLE late (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)"))
        else:
            connection.execute(text("CREATE TABLE above (n INTEGER PRIMARY KEY)"))
            references = "REFERENCES above (n) DEFERRABLE INITIALLY DEFERRED"
            connection.execute(text(f"CREATE TABLE late (n INTEGER {references})"))
    with pytest.raises(IntegrityError):
        fail_to_commit(components)
    with components.database.writing_connection() as connection:
        record(connection, *happened(components))
    assert "never" not in {row["jti"] for row in rows(components)}
    assert verified(components).intact


@on_every_database
def test_a_connection_that_is_lost_takes_its_writer_along(components):
    for _ in range(2):
        with components.database.engine.execution_options(writing=True).connect() as connection:
            record(connection, *happened(components))
            connection.commit()
            record(connection, *happened(components, jti="never"))
            connection.invalidate()
    assert "never" not in {row["jti"] for row in rows(components)}
    assert len({writer for writer, _ in places(components)}) >= 2
    assert verified(components).intact


def test_a_connection_that_nobody_closed_leaves_no_gap(components):
    writing = components.database.engine.execution_options(writing=True)
    with components.database.writing_connection() as connection:
        record(connection, *happened(components))
    connection = writing.connect()
    record(connection, *happened(components))
    connection.connection.rollback()  # as the pool does with what the collector brings back
    connection.close()
    with components.database.writing_connection() as connection:
        record(connection, *happened(components))
    assert verified(components).intact


def test_a_writer_writes_for_an_hour_at_most(components, clock):
    for _ in range(3):
        with components.database.writing() as session:
            record(session, *happened(components))
        clock.advance(seconds=WRITER_LIFE.total_seconds() / 2)
    writers = [writer for writer, _ in places(components)][-3:]
    assert writers[0] == writers[1] < writers[2]


def test_a_forked_process_begins_a_chain_of_its_own(components, monkeypatch):
    with components.database.writing() as session:
        record(session, *happened(components))
    monkeypatch.setattr(os, "getpid", lambda: 1)
    with components.database.writing() as session:
        record(session, *happened(components))
    (*_, (before, _), (after, seq)) = places(components)
    assert after == before + 1
    assert seq == 1


KILLED = """
import sys
from app.db import Database, Patience
from app.ledger.actions import AuditAction
from app.ledger.record import Actor, record
from app.clock import system_clock
database = Database(sys.argv[1], Patience(connect=60, lock=60, statement=0))
while True:
    with database.writing() as session:
        for _ in range(3):
            record(session, Actor(name="operator:killed").did(AuditAction.RUN_START, system_clock()))
    print("committed", flush=True)
"""


@pytest.mark.slow
@on_every_database
def test_processes_that_are_killed_amid_writing_leave_whole_chains(components):
    chance = chances(8)
    for _ in range(count(ci=2, proof=20)):
        url = components.database.url.render_as_string(hide_password=False)
        writers = [
            subprocess.Popen([sys.executable, "-c", KILLED, url], stdout=subprocess.PIPE) for _ in range(2)
        ]
        for process in writers:
            for _ in range(chance.randint(1, 20)):
                assert process.stdout.readline()
            process.send_signal(signal.SIGKILL)
        for process in writers:
            process.communicate()
        components.checkpoints.make()
        assert verified(components).intact
    killed = [row for row in rows(components) if row["actor"] == "operator:killed"]
    assert len(killed) % 3 == 0  # a transaction is there as a whole or not at all


def test_what_is_absent_does_not_enter_the_hash_and_order_does_not_matter(clock):
    one = canonical({"at": clock(), "b": {"y": 1, "x": [None]}, "none": None})
    assert one == canonical({"b": {"x": [None], "y": 1}, "at": clock()})
    assert one == b'{"at":"2026-11-22T10:00:00.123456Z","b":{"x":[null],"y":1}}'


@pytest.mark.parametrize("detail", [{"n": 2**70}, {"t": timedelta(1)}, {"k": "\ud800"}, {1: "no text"}])
def test_what_could_not_be_proven_later_is_not_written(components, detail):
    before = places(components)
    with pytest.raises(TypeError), components.database.writing() as session:
        record(session, *happened(components, detail=detail))
    assert places(components) == before

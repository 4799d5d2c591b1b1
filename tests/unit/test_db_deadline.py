"""A PostgreSQL that hangs keeps nobody waiting for longer than one that works may take."""

import time
from contextlib import contextmanager
from dataclasses import replace

import psycopg
import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import OperationalError

from app.db import AT_LEISURE, IN_A_REQUEST, Database, Patience

HURRIED = Patience(connect=5, lock=5, statement=5)  # enough for what is answered, on a busy machine
MARGIN = 2.0
A_BUSY_MACHINE = 40.0
PID = "SELECT pg_backend_pid()"


@contextmanager
def opened(url, *patience):
    database = Database(url, *patience)
    try:
        yield database
    finally:
        database.dispose()


@contextmanager
def fails_within(seconds):
    began = time.monotonic()
    with pytest.raises(OperationalError) as failed:
        yield failed
    assert time.monotonic() - began < seconds + A_BUSY_MACHINE


def ask(connection, question="SELECT 1"):
    return connection.execute(text(question)).scalar_one()


def seconds(database):
    """How long a statement on a fresh connection may keep us waiting."""
    with database.connection() as connection:
        return connection.connection.driver_connection.seconds


def test_a_statement_that_is_not_answered_fails_and_its_connection_is_discarded(postgresql, postgresql_url):
    with opened(postgresql_url, HURRIED) as database:
        with database.reading_connection() as connection:
            pid = ask(connection, PID)
            with postgresql.frozen(), fails_within(HURRIED.statement + MARGIN) as failed:
                ask(connection)
            assert failed.value.connection_invalidated
        with database.reading_connection() as connection:
            assert ask(connection, PID) != pid


def test_so_does_a_commit(postgresql, postgresql_url):
    with opened(postgresql_url, HURRIED) as database, database.engine.connect() as connection:
        ask(connection)
        with postgresql.frozen(), fails_within(HURRIED.statement + MARGIN):
            connection.commit()


def test_a_connection_of_the_pool_is_not_waited_for_as_long_as_a_statement(postgresql, postgresql_url):
    with opened(postgresql_url, replace(HURRIED, statement=300)) as database:
        with database.reading_connection() as connection:
            ask(connection)
        with (
            postgresql.frozen(),
            fails_within(MARGIN + HURRIED.connect),
            database.reading_connection() as connection,
        ):
            ask(connection)
        with database.reading_connection() as connection:
            assert ask(connection) == 1


def test_a_slow_statement_is_ended_by_the_server_which_keeps_its_connection(postgresql_url):
    with opened(postgresql_url, HURRIED) as database, database.engine.connect() as connection:
        pid = ask(connection, PID)
        with fails_within(HURRIED.statement) as failed:
            ask(connection, "SELECT pg_sleep(250)")
        assert isinstance(failed.value.orig, psycopg.errors.QueryCanceled)
        connection.rollback()
        assert ask(connection, PID) == pid


@pytest.mark.parametrize(
    ("patience", "options", "expected"),
    [
        (IN_A_REQUEST, "", IN_A_REQUEST.statement + MARGIN),
        (AT_LEISURE, "", None),
        (IN_A_REQUEST, "-c statement_timeout=1min", 60 + MARGIN),
        (IN_A_REQUEST, "-c statement_timeout=1500ms", 1.5 + MARGIN),
        (AT_LEISURE, "-c statement_timeout=2500", 2.5 + MARGIN),
        (IN_A_REQUEST, "-c statement_timeout=0", None),
    ],
)
def test_we_wait_a_little_longer_than_the_server_works(postgresql_url, patience, options, expected):
    url = make_url(postgresql_url).update_query_dict({"options": options} if options else {})
    with opened(url.render_as_string(hide_password=False), patience) as database:
        assert seconds(database) == expected


def test_a_migration_takes_as_long_as_it_takes_and_nothing_after_it(postgresql_url, monkeypatch):
    seen = []

    def look(config, _revision):
        seen.append(config.attributes["connection"].connection.driver_connection.seconds)

    monkeypatch.setattr("alembic.command.upgrade", look)
    with opened(postgresql_url, IN_A_REQUEST) as database:
        database.upgrade()
        assert seen == [None]
        assert seconds(database) == IN_A_REQUEST.statement + MARGIN

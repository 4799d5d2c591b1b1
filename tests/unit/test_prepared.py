"""Prepared statements: the same as SQLAlchemy's own, and failing as those do."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    MetaData,
    String,
    Table,
    bindparam,
    event,
    insert,
    select,
)
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from app.db import Database, Patience, UtcTime
from app.prepared import Prepared
from tests.support.components import NOW, on_every_database

THINGS = Table(
    "things",
    MetaData(),
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("at", UtcTime()),
    Column("detail", JSON),
    Column("is_dear", Boolean),
    Column("name", String),
)
INSERT = Prepared(insert(THINGS))
FIND = select(THINGS, THINGS.c.name.is_(None).label("is_nameless")).where(
    THINGS.c.id >= bindparam("least"), THINGS.c.name.in_(("a", "b")) | THINGS.c.name.is_(None)
)


def thing(number: int, name: str | None = "a") -> dict[str, Any]:
    at = NOW + timedelta(microseconds=number)
    return {"id": number, "at": at, "detail": {"n": [number, None]}, "is_dear": number % 2 == 0, "name": name}


@pytest.fixture
def database(empty_database):
    with empty_database.writing_connection() as connection:
        THINGS.create(connection)
        INSERT.execute(connection, thing(1))
        INSERT.execute(connection, *(thing(number) for number in range(2, 5)))
        INSERT.execute(connection, thing(5, None), thing(6, "c"))
    return empty_database


@on_every_database
@pytest.mark.parametrize("least", [0, 3, 7])
def test_rows_are_those_that_sqlalchemy_finds(database, least):
    with database.reading_connection() as connection:
        expected = connection.execute(FIND, {"least": least}).all()
        found = Prepared(FIND).rows(connection, {"least": least})
    assert [tuple(row) for row in found] == [tuple(row) for row in expected]
    assert [(row.at, row.is_nameless) for row in found] == [(row.at, row.is_nameless) for row in expected]


@on_every_database
def test_one_row_is_one_or_none_and_never_the_first_of_several(database):
    with database.connection() as connection:
        assert Prepared(FIND).row(connection, {"least": 5}).id == 5
        assert Prepared(FIND).row(connection, {"least": 7}) is None
        with pytest.raises(AssertionError):
            Prepared(FIND).row(connection, {"least": 1})


@on_every_database
def test_a_value_for_every_column_or_nothing(database):
    lacking = {name: value for name, value in thing(9).items() if name != "detail"}
    with pytest.raises(KeyError), database.writing_connection() as connection:
        INSERT.execute(connection, lacking)


@on_every_database
def test_nothing_is_written_outside_a_transaction(database):
    with database.connection() as connection, pytest.raises(AssertionError):
        INSERT.execute(connection, thing(9))


@on_every_database
def test_what_fails_is_an_error_of_sqlalchemys_and_told_to_its_listeners(database):
    told = []
    event.listen(database.engine, "handle_error", lambda context: told.append(context.original_exception))
    with pytest.raises(IntegrityError), database.writing_connection() as connection:
        INSERT.execute(connection, thing(1))
    nowhere = Prepared(select(Table("nowhere", MetaData(), Column("id", BigInteger))))
    with database.connection() as connection, pytest.raises(DBAPIError):
        nowhere.rows(connection, {})
    assert len(told) == 2


@on_every_database
def test_one_connection_reads_writes_and_reads_again(database):
    find = Prepared(FIND)
    with database.connection() as connection:
        assert find.row(connection, {"least": 5})
        with database.writing_on(connection):
            INSERT.execute(connection, thing(7))
        with pytest.raises(IntegrityError), database.writing_on(connection):
            INSERT.execute(connection, thing(8), thing(7))
        assert [row.id for row in find.rows(connection, {"least": 6})] == [7]


def test_writing_on_a_connection_takes_the_only_writers_lock_at_once(database):
    other = Database(database.url.render_as_string(), Patience(connect=1, lock=0, statement=1))
    refused = pytest.raises(OperationalError, match="locked")
    with database.connection() as first, database.writing_on(first), refused, other.writing_connection():
        pass
    with database.connection() as connection, other.writing_connection():
        assert Prepared(FIND).rows(connection, {"least": 1})
        connection.execute(FIND, {"least": 1})
    other.dispose()

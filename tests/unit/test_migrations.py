"""Each revision goes up, down and up again with rows in place; the schema is what the code says."""

from datetime import UTC, datetime

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, Table, inspect, select

import app.flows.models  # noqa: F401 - each fills Base.metadata
import app.identity.session_models  # noqa: F401
import app.ledger.models  # noqa: F401
import app.tokens.models  # noqa: F401
from app.db import Base, Database, head
from tests.support.components import on_every_database
from tests.support.together import together
from tests.support.tools import ROOT

SCRIPTS = ScriptDirectory(str(ROOT / "migrations"))
REVISIONS = [revision.revision for revision in reversed(list(SCRIPTS.walk_revisions()))]
SAMPLES = {
    "BOOLEAN": True,
    "DATETIME": datetime(2026, 11, 22, 10, 0, 0, 123456, tzinfo=UTC),
    "TIMESTAMP": datetime(2026, 11, 22, 10, 0, 0, 123456, tzinfo=UTC),
    "JSON": {"a": [1, None, "ä"]},
    "BLOB": b"\x00\xff",
    "BYTEA": b"\x00\xff",
    "INTEGER": 1,
    "BIGINT": 1,
    "VARCHAR": "text",
}
ENUMS = {"kind": "user", "state": "active", "method": "link"}
KINDS = {"audiences": "api", "issued_tokens": "access"}
STATES = {"runs": "running"}


def tables(connection) -> list[Table]:
    """As they are in the database now, those first that others refer to."""
    there = MetaData()
    there.reflect(connection)
    return [table for table in there.sorted_tables if table.name != "alembic_version"]


def sample(table: Table) -> dict[str, object]:
    """A row whose every column is filled."""
    row: dict[str, object] = {
        column.name: SAMPLES[str(column.type).split("(")[0]] for column in table.columns
    }
    row |= {name: value for name, value in ENUMS.items() if name in row}
    row |= {"kind": KINDS[table.name]} if table.name in KINDS else {}
    row |= {"state": STATES[table.name]} if table.name in STATES else {}
    return row | {"kid": "text"} if "kid" in row else row


def fill(database: Database) -> None:
    with database.writing_connection() as connection:
        for table in tables(connection):
            connection.execute(table.insert().values(**sample(table)))


def content(database: Database) -> dict[str, object]:
    with database.reading_connection() as connection:
        return {table.name: connection.execute(select(table)).all() for table in tables(connection)}


@on_every_database
@pytest.mark.parametrize("revision", REVISIONS)
def test_a_revision_goes_up_down_and_up_with_rows_in_place(empty_database, revision):
    empty_database.upgrade(revision)
    fill(empty_database)
    before = SCRIPTS.get_revision(revision).down_revision or "base"
    empty_database.downgrade(before)
    empty_database.upgrade(revision)
    with empty_database.reading_connection() as connection:
        assert MigrationContext.configure(connection).get_current_revision() == revision


@on_every_database
def test_rows_survive_an_upgrade_that_has_nothing_to_do(empty_database):
    empty_database.upgrade()
    fill(empty_database)
    rows = content(empty_database)
    empty_database.upgrade()
    assert content(empty_database) == rows
    assert all(rows.values())


@on_every_database
def test_the_schema_is_what_the_models_say(empty_database):
    empty_database.upgrade()
    with empty_database.reading_connection() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


@on_every_database
def test_each_check_of_the_models_is_in_the_schema(empty_database):
    """Alembic does not compare these."""
    empty_database.upgrade()
    with empty_database.reading_connection() as connection:
        inspector = inspect(connection)
        there = {
            (name, check["name"])
            for name in inspector.get_table_names()
            for check in inspector.get_check_constraints(name)
        }
    wanted = {
        (table.name, constraint.name)
        for table in Base.metadata.sorted_tables
        for constraint in table.constraints
        if type(constraint).__name__ == "CheckConstraint"
    }
    assert there == wanted


@on_every_database
def test_there_is_one_head_and_the_base_has_no_table(empty_database):
    assert SCRIPTS.get_heads() == [head()]
    assert not empty_database.at_head()
    empty_database.upgrade()
    assert empty_database.at_head()
    empty_database.downgrade("base")
    assert not empty_database.at_head()
    with empty_database.reading_connection() as connection:
        assert tables(connection) == []


@on_every_database
def test_a_failed_upgrade_leaves_the_schema_as_it_was(empty_database):
    with empty_database.writing_connection() as connection:
        connection.exec_driver_sql("CREATE TABLE users (id INTEGER)")
    with pytest.raises(Exception, match="users"):
        empty_database.upgrade()
    with empty_database.reading_connection() as connection:
        assert [table.name for table in tables(connection)] == ["users"]


def migrate(url: str) -> None:
    Database(url).upgrade()


@pytest.mark.slow
@on_every_database
def test_processes_that_start_together_migrate_once(empty_database):
    url = empty_database.url.render_as_string(hide_password=False)
    assert together(3, migrate, url) == [0, 0, 0]
    assert empty_database.at_head()

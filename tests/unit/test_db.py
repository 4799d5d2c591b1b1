"""The database: what is promised of both kinds, and how SQLite is opened."""

import os
import threading
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, MetaData, Table, delete, insert, make_url, select, text
from sqlalchemy.exc import OperationalError, StatementError

from app.db import IN_A_REQUEST, Database, UtcTime
from app.identity import accounts, projects
from app.identity.models import Principal, ServiceAccount, User
from app.ledger.models import AuditRow
from tests.support.components import NOW, OPERATOR, on_every_database

ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.builds(
    lambda microseconds, zone: (NOW + timedelta(microseconds=microseconds)).astimezone(zone),
    st.integers(-(10**15), 10**17),
    ZONES,
)


class TestATime:
    @pytest.fixture
    def moments(self, empty_database):
        table = Table("moments", MetaData(), Column("moment", UtcTime()))
        with empty_database.writing_connection() as connection:
            table.create(connection)
        return empty_database, table

    @on_every_database
    @settings(
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=40
    )
    @given(moment=MOMENTS)
    def test_comes_back_in_utc_to_the_microsecond(self, moments, moment):
        database, table = moments
        with database.writing_connection() as connection:
            connection.execute(delete(table))
            connection.execute(insert(table).values(moment=moment))
            back = connection.execute(select(table.c.moment)).scalar_one()
            assert connection.execute(select(table.c.moment).where(table.c.moment == moment)).scalar_one()
        assert back == moment
        assert back.tzinfo is UTC

    @on_every_database
    def test_that_is_absent_stays_absent(self, moments):
        database, table = moments
        with database.writing_connection() as connection:
            connection.execute(insert(table).values(moment=None))
            assert connection.execute(select(table.c.moment)).scalar_one() is None

    @on_every_database
    def test_without_a_zone_is_refused(self, moments):
        database, table = moments
        naive = datetime(2026, 11, 22)  # noqa: DTZ001 - the point of the test
        with (
            pytest.raises(StatementError, match="without a zone"),
            database.writing_connection() as connection,
        ):
            connection.execute(insert(table).values(moment=naive))


@on_every_database
class TestATransaction:
    def test_that_fails_leaves_nothing(self, components):
        with pytest.raises(RuntimeError), components.database.writing() as session:  # noqa: PT012 - the point
            accounts.create_user(session, "alice", "a@example.com", is_admin=False, by=OPERATOR, now=NOW)
            raise RuntimeError
        with components.database.reading() as session:
            assert (
                session.query(User).count()
                == session.query(AuditRow).filter_by(action="identity:user:create").count()
                == 0
            )

    def test_that_reads_sees_one_state(self, components):
        with components.database.reading_connection() as reading:
            before = reading.execute(text("SELECT count(*) FROM audit_events")).scalar_one()
            with components.database.writing() as session:
                accounts.create_user(session, "alice", "a@example.com", is_admin=False, by=OPERATOR, now=NOW)
            assert reading.execute(text("SELECT count(*) FROM audit_events")).scalar_one() == before


@on_every_database
def test_a_forked_process_has_connections_of_its_own(components):
    """Under `gunicorn --preload` all workers would talk over the one connection of their parent."""
    database = components.database
    me = select(text("pg_backend_pid()" if not database.is_sqlite else "1"))
    with database.reading_connection() as connection:
        ours = connection.execute(me).scalar_one()
        dbapi = connection.connection.dbapi_connection

    def theirs():
        with database.reading_connection() as connection:
            mine = connection.connection.dbapi_connection
            return mine is not dbapi and (database.is_sqlite or connection.execute(me).scalar_one() != ours)

    for child in [fork(theirs) for _ in range(2)]:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    with database.reading_connection() as connection:
        assert connection.execute(me).scalar_one() == ours


def fork(holds) -> int:
    """A child that exits with 0 if it does."""
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if holds() else 1)
        finally:
            os._exit(2)
    return child


class TestSqlite:
    @pytest.mark.parametrize(
        ("pragma", "value"),
        [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("busy_timeout", 2_000)],
    )
    def test_is_opened_for_durability(self, components, pragma, value):
        for connecting in (components.database.reading_connection, components.database.writing_connection):
            with connecting() as connection:
                assert connection.execute(text(f"PRAGMA {pragma}")).scalar_one() == value

    def test_waits_longer_for_the_command_line_and_the_worker(self, components):
        at_leisure = Database(str(components.database.url))
        with at_leisure.reading_connection() as connection:
            assert connection.execute(text("PRAGMA busy_timeout")).scalar_one() == 10_000
        at_leisure.dispose()

    def test_waits_for_ever_while_others_migrate(self, components, monkeypatch):
        seen = []

        def look(config, revision):
            seen.append(config.attributes["connection"].execute(text("PRAGMA busy_timeout")).scalar_one())

        monkeypatch.setattr("alembic.command.upgrade", look)
        components.database.upgrade()
        assert seen == [2**31 - 1]
        with components.database.reading_connection() as connection:
            assert connection.execute(text("PRAGMA busy_timeout")).scalar_one() == 2_000

    def test_refuses_a_row_that_refers_to_nothing(self, components):
        with (
            pytest.raises(Exception, match="FOREIGN KEY"),
            components.database.writing_connection() as writing,
        ):
            writing.execute(text("INSERT INTO members VALUES (4711, 4712, 'owner')"))

    def test_a_writing_transaction_holds_the_lock_from_its_begin(self, components):
        impatient = Database(str(components.database.url))
        with components.database.writing_connection():
            with impatient.reading_connection() as connection:
                assert connection.execute(select(Principal.id)).all() == []
            with impatient.engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA busy_timeout=0")
                connection.exec_driver_sql("ROLLBACK")
                with pytest.raises(OperationalError, match="locked"):
                    connection.exec_driver_sql("BEGIN IMMEDIATE")
        impatient.dispose()

    @pytest.mark.usefixtures("unhurried")
    def test_writers_wait_for_each_other_and_none_is_lost(self, world):
        def create(number):
            with world.components.database.writing() as session:
                count = session.query(User).count()
                accounts.create_user(
                    session, f"user-{count}", "u@example.com", is_admin=False, by=OPERATOR, now=NOW
                )

        threads = [threading.Thread(target=create, args=[number]) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with world.components.database.reading() as session:
            logins = set(session.scalars(select(User.login)))
        assert logins == {"alice", *(f"user-{number}" for number in range(1, 9))}


@on_every_database
class TestANumber:
    """Of a principal: one sequence for humans and machines, and never one twice."""

    def test_is_of_one_sequence(self, components):
        with components.database.writing() as session:
            made = [
                accounts.create_user(session, "a", "a@example.com", is_admin=False, by=OPERATOR, now=NOW).id,
                accounts.create_service_account(session, "b", is_composite=True, by=OPERATOR, now=NOW).id,
                accounts.create_user(session, "c", "c@example.com", is_admin=False, by=OPERATOR, now=NOW).id,
            ]
        assert made == sorted(set(made))
        with components.database.reading() as session:
            numbers = set(session.scalars(select(User.id))) | set(session.scalars(select(ServiceAccount.id)))
        assert numbers == set(made)

    def test_is_not_given_again(self, components):
        database = components.database
        with database.writing() as session:
            last = accounts.create_user(
                session, "last", "l@example.com", is_admin=False, by=OPERATOR, now=NOW
            ).id
        with database.writing_connection() as connection:
            connection.execute(delete(User).where(User.id == last))
            connection.execute(delete(Principal).where(Principal.id == last))
        with database.writing() as session:
            fresh = accounts.create_service_account(
                session, "fresh", is_composite=True, by=OPERATOR, now=NOW
            ).id
        assert fresh > last

    def test_of_a_project_is_not_given_again_either(self, components):
        with components.database.writing() as session:
            first = projects.create_project(session, "acme/one", by=OPERATOR, now=NOW)
            number = first.id
            session.delete(first)
        with components.database.writing() as session:
            assert projects.create_project(session, "acme/two", by=OPERATOR, now=NOW).id > number


class TestPostgresql:
    @staticmethod
    def limits(url, *patience):
        database = Database(url, *patience)
        with database.reading_connection() as connection:
            names = ("lock_timeout", "statement_timeout")
            found = tuple(connection.execute(text(f"SHOW {name}")).scalar_one() for name in names)
        database.dispose()
        return found

    def test_keeps_no_request_waiting(self, postgresql_url):
        assert self.limits(postgresql_url, IN_A_REQUEST) == ("2s", "5s")

    def test_lets_an_export_take_its_time(self, postgresql_url):
        assert self.limits(postgresql_url) == ("10s", "0")

    def test_obeys_what_the_url_says_itself(self, postgresql_url):
        url = make_url(postgresql_url).update_query_dict({"options": "-c statement_timeout=7s"})
        shown = url.render_as_string(hide_password=False)
        assert self.limits(shown, IN_A_REQUEST) == ("2s", "7s")

    def test_a_migration_is_not_cut_short(self, postgresql_url, monkeypatch):
        seen = {}

        def look(config, revision):
            for name in ("lock_timeout", "statement_timeout"):
                seen[name] = config.attributes["connection"].execute(text(f"SHOW {name}")).scalar_one()

        monkeypatch.setattr("alembic.command.upgrade", look)
        database = Database(postgresql_url, IN_A_REQUEST)
        database.upgrade()
        database.dispose()
        assert seen == {"lock_timeout": "0", "statement_timeout": "0"}


@on_every_database
def test_an_error_does_not_show_what_was_to_be_written(components):
    with pytest.raises(StatementError) as failed, components.database.writing_connection() as connection:
        connection.execute(text("INSERT INTO nowhere VALUES (:value)"), {"value": "canary-of-a-secret"})
    assert "canary" not in str(failed.value)


def test_a_password_in_the_url_is_not_shown():
    database = Database("postgresql+psycopg://countersign:hunter2@localhost/none")
    assert "hunter2" not in f"{database.url}{database.engine}"


def test_a_database_that_is_not_there_is_not_at_head(tmp_path):
    nowhere = Database(f"postgresql+psycopg://countersign@/none?host={tmp_path}")
    assert not nowhere.at_head()
    nowhere.dispose()

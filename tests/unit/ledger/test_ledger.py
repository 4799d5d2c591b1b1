"""The ledger: written with what it tells of, read newest first, exported whole."""

import csv
import io
import json
import re
from datetime import timedelta

import pytest
from sqlalchemy import Connection, text

from app.clock import rfc3339
from app.ledger.actions import AuditAction, Outcome
from app.ledger.record import Actor, record
from app.ledger.search import Filter, newest, oldest_first
from tests.support.components import NOW, OPERATOR, on_every_database
from tests.support.server import Installation

COLUMNS = (
    "at action outcome actor user service_account project run jti kid request_id detail".split()  # noqa: SIM905
)


@pytest.mark.parametrize("action", AuditAction)
def test_an_action_is_source_subject_verb(action):
    assert re.fullmatch(r"(identity|keys|tokens|flows|ledger|api):[a-z_]+:[a-z]+", action.value)


def test_no_two_actions_are_one():
    assert len({action.value for action in AuditAction}) == len(AuditAction)


@on_every_database
def test_an_event_is_read_back_as_it_was_written(components):
    event = Actor(name="service_account:7", request_id="abc").did(
        AuditAction.SECRET_READ,
        NOW,
        outcome=Outcome.FAILED,
        user="user:42",
        service_account="service_account:7",
        project="acme/webapp",
        run=5,
        jti="j",
        kid="k",
        detail={"path": "ops/ä", "version": 3, "none": None},
    )
    with components.database.writing_connection() as connection:
        record(connection, event)
    with components.database.reading() as session:
        [row] = newest(session, Filter(run=5), 10)
    assert {name: getattr(row, name) for name in COLUMNS} == vars(event)


@on_every_database
def test_it_is_searched_by_party_run_and_time(components):
    with components.database.writing_connection() as connection:
        fill(connection)
    with components.database.reading() as session:

        def found(limit=10, **wanted):
            return [row.detail["n"] for row in newest(session, Filter(**wanted), limit)]

        assert found(user="user:1") == [8, 6, 4, 2, 0]
        assert found(user="user:1", limit=2) == [8, 6]
        assert found(user="user:1", service_account="service_account:3") == [6, 0]
        assert found(run=4) == [9, 4]
        assert found(user="user:1", since=NOW + timedelta(seconds=6)) == [8, 6]
        assert found(user="user:2") == []
        oldest = oldest_first(session, Filter(user="user:1"))
        assert [row.detail["n"] for row in oldest] == [0, 2, 4, 6, 8]


def fill(connection: Connection) -> None:
    for number in range(10):
        at = NOW + timedelta(seconds=number)
        parties = {
            "user": f"user:{1 + number % 2 * 6}",
            "service_account": f"service_account:{3 + number % 3}",
        }
        event = OPERATOR.did(AuditAction.RUN_START, at, run=number % 5, detail={"n": number}, **parties)
        record(connection, event)


@pytest.mark.parametrize("column", ["user", "service_account", "run"])
def test_a_search_is_answered_by_an_index(components, column):
    """Never by reading the whole ledger, nor by sorting what was found."""
    order = "at DESC, writer DESC, seq DESC"
    query = f'SELECT * FROM audit_events WHERE "{column}" = 1 ORDER BY {order} LIMIT 100'  # noqa: S608 - ours
    with components.database.reading_connection() as connection:
        plan = str(connection.execute(text(f"EXPLAIN QUERY PLAN {query}")).all())
    assert f"USING INDEX ix_audit_events_{column}" in plan
    assert "B-TREE" not in plan


@pytest.fixture(scope="module")
def busy(tmp_path_factory):
    """An installation where things have happened."""
    fresh = Installation(tmp_path_factory.mktemp("installation"))
    fresh.invoke("init")
    fresh.invoke("user", "create", "alice", "--email", "=cmd@example.com")
    fresh.invoke("service-account", "create", "duo")
    fresh.invoke("delegation", "grant", "--user", "alice", "--service-account", "duo")
    return fresh


class TestTheCommand:
    """`countersign audit`."""

    def test_lists_the_newest_first(self, busy):
        rows = busy.invoke("audit", "list", json=True).data
        assert [row["action"] for row in rows][:2] == [
            "identity:delegation:grant",
            "identity:service_account:create",
        ]
        assert all(set(COLUMNS) <= row.keys() for row in rows)
        assert all(row["actor"].startswith("operator:") for row in rows)
        assert all(row["at"].endswith("Z") for row in rows)

    def test_finds_by_name(self, busy):
        rows = busy.invoke("audit", "list", "--user", "alice", json=True).data
        assert {row["action"].partition(":")[2] for row in rows} == {"user:create", "delegation:grant"}
        rows = busy.invoke("audit", "list", "--service-account", "duo", json=True).data
        assert {row["action"].partition(":")[2] for row in rows} == {
            "service_account:create",
            "delegation:grant",
        }

    def test_finds_since_a_moment_or_a_while(self, busy):
        rows = busy.invoke("audit", "list", "--since", "1h", json=True).data
        assert rows
        last = rows[0]["at"]
        assert busy.invoke("audit", "list", "--since", last, json=True).data[0]["at"] == last
        assert busy.invoke("audit", "list", "--since", rfc3339(NOW + timedelta(9999)), json=True).data == []

    @pytest.mark.parametrize("since", ["yesterday", "2026-11-22", "2026-11-22T10:00:00"])
    def test_a_time_without_a_zone_is_a_usage_error(self, busy, since):
        refused = busy.invoke("audit", "list", "--since", since, exit_code=2)
        assert "--since" in refused.stderr
        assert refused.stdout == ""

    def test_exports_lines_of_json_the_oldest_first(self, busy):
        lines = busy.invoke("audit", "export").stdout.splitlines()
        places = [(row["at"], row["writer"], row["seq"]) for row in map(json.loads, lines)]
        assert places == sorted(places)
        listed = busy.invoke("audit", "list", json=True).data
        assert [json.loads(line) for line in reversed(lines)] == listed

    def test_exports_a_table_of_the_same(self, busy):
        table = list(csv.DictReader(io.StringIO(busy.invoke("audit", "export", "--format", "csv").stdout)))
        listed = busy.invoke("audit", "list", json=True).data
        for name in ("writer", "seq"):
            assert [int(row[name]) for row in reversed(table)] == [row[name] for row in listed]
        assert [json.loads(row["detail"]) for row in reversed(table)] == [row["detail"] for row in listed]
        assert set(COLUMNS) <= table[0].keys()

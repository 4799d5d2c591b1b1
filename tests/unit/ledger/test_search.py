"""Searching: pages that never skip or repeat, and every filter by index."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import event, insert, text

from app.errors import InvalidInput
from app.ledger.actions import Outcome
from app.ledger.models import AuditRow, LedgerWriter
from app.ledger.search import NEWEST_FIRST, Filter, cursor, matching, newest, oldest_first
from tests.support.components import NOW, on_every_database
from tests.unit.ledger.ledgers import write

pytestmark = pytest.mark.usefixtures("unhurried")

MANY = 20_000
FILTERS = [
    Filter(),
    Filter(user="user:7"),
    Filter(service_account="service_account:3"),
    Filter(user="user:7", service_account="service_account:3"),
    Filter(project="acme/p5"),
    Filter(run=15),
    Filter(jti="jti-77"),
    Filter(request_id="request-25"),
    Filter(action="flows:run:start"),
    Filter(outcome=Outcome.SUCCESS),
    Filter(outcome=Outcome.DENIED),
    Filter(outcome=Outcome.FAILED),
    Filter(since=NOW + timedelta(seconds=MANY - 100)),
    Filter(until=NOW + timedelta(seconds=MANY / 2)),
    Filter(user="user:7", since=NOW, until=NOW + timedelta(seconds=MANY / 2)),
]


def busy(number):
    """Rows as a year leaves them: most succeed, and most are of a few."""
    return {
        "writer": 1_000_000,
        "seq": number,
        "at": NOW + timedelta(seconds=number),
        "action": "flows:run:start" if number % 50 == 0 else "tokens:access_token:issue",
        "outcome": "denied" if number % 97 == 0 else "failed" if number % 101 == 0 else "success",
        "actor": "service_account:3",
        "user": f"user:{number % 40}" if number % 2 else None,
        "service_account": f"service_account:{number % 9}",
        "project": f"acme/p{number % 30}" if number % 3 else None,
        "run": number % 1000 if number % 5 == 0 else None,
        "jti": f"jti-{number}",
        "request_id": f"request-{number // 3}",
        "detail": {},
        "hash": "0" * 64,
    }


@pytest.fixture
def many(components):
    with components.database.writing_connection() as connection:
        connection.execute(insert(LedgerWriter).values(id=1_000_000, started_at=NOW))
        connection.execute(insert(AuditRow), [busy(number) for number in range(1, MANY + 1)])
    with components.database.writing_connection() as connection:
        connection.execute(text("ANALYZE"))
    return components


@on_every_database
def test_every_filter_and_its_next_page_is_served_by_an_index_in_order(many):
    """No scan of the whole, no sort, neither for the first page nor for one in the middle."""
    with many.database.reading() as session:
        if not many.database.is_sqlite:  # it may sort a handful of rows; that it need not is what counts
            session.execute(text("SET LOCAL enable_sort = off"))
        for wanted in FILTERS:
            query = matching(wanted).order_by(*NEWEST_FIRST).limit(100)
            plan = explained(session, query)
            assert "ix_audit_events" in plan, (wanted, plan)
            assert not re.search(r"Seq Scan|Sort|TEMP B-TREE|SCAN audit_events\n", plan), (wanted, plan)


def explained(session, query):
    """The plan, made with the very parameters."""
    dialect = session.get_bind().dialect
    words = "EXPLAIN QUERY PLAN" if dialect.name == "sqlite" else "EXPLAIN"

    def explain(_connection, _cursor, statement, parameters, _context, _many):
        return f"{words} {statement}", parameters

    event.listen(session.get_bind(), "before_cursor_execute", explain, retval=True)
    try:
        rows = session.connection().execute(query).cursor.fetchall()
    finally:
        event.remove(session.get_bind(), "before_cursor_execute", explain)
    return "\n".join(str(row[-1]) for row in rows) + "\n"


@on_every_database
def test_pages_follow_each_other_without_a_gap_or_a_repetition(components, clock):
    for seed in range(4):
        write(components, seed)
        clock.advance(seconds=seed % 2)
    with components.database.reading() as session:
        everything = list(oldest_first(session, Filter()))
        pages, after = [], None
        while page := newest(session, Filter(), 7, after):
            pages.append(page)
            after = cursor(page[-1])
            if len(pages) == 2:
                write(components, 9)  # what is new is never on a later page
                clock.advance(seconds=1)
    walked = [(row.writer, row.seq) for page in pages for row in page]
    known = {(row.writer, row.seq) for row in everything}
    assert len(walked) == len(set(walked))
    assert set(walked) >= known
    assert [place for place in walked if place in known] == [
        (row.writer, row.seq) for row in reversed(everything)
    ]


@on_every_database
def test_a_filter_finds_what_it_says(many):
    with many.database.reading() as session:
        for wanted in FILTERS[1:]:
            found = newest(session, wanted, 10_000)
            assert found
            for name in (
                "user",
                "service_account",
                "project",
                "run",
                "jti",
                "request_id",
                "action",
                "outcome",
            ):
                if (value := getattr(wanted, name)) is not None:
                    assert {getattr(row, name) for row in found} == {value}
            assert all(row.at >= wanted.since for row in found if wanted.since)
            assert all(row.at < wanted.until for row in found if wanted.until)


@pytest.mark.parametrize(
    "forged",
    [
        "",
        "x",
        "!!!",
        "W10",
        "WzEsMiwzXQ",
        "WyIyMDI2LTExLTIyIiwxLDFd",
        "é",
        "WyIyMDI2LTExLTIyVDEwOjAwWiIsIjEiLDFd",
    ],
)
def test_a_cursor_that_no_page_gave_is_refused(components, forged):
    with components.database.reading() as session, pytest.raises(InvalidInput, match="cursor"):
        newest(session, Filter(), 10, forged)

"""Rows that were there before the chain become the chain of the first writer; down and up again too."""

import json

import pytest
from sqlalchemy import text

from app.clock import system_clock
from app.ledger.actions import AuditAction
from app.ledger.key import LedgerKey
from app.ledger.record import Actor, record
from app.ledger.verification import verify
from app.secret import Secret
from tests.support.components import PASSPHRASE, on_every_database

MANY = 2500  # more than one batch
CONTENT = 'at, action, outcome, actor, "user", service_account, project, run, jti, kid, request_id, detail'


@pytest.fixture
def public(tmp_path):
    key = LedgerKey(tmp_path, Secret(PASSPHRASE))
    key.ensure()
    return key.public


def old_row(number):
    return {
        "at": f"2026-11-{number % 28 + 1:02} 10:00:00.{number:06}",
        "user": None if number % 2 else "user:1",
        "run": number if number % 3 else None,
        "detail": json.dumps({"deep": [1.5, None, "é"], "n": number}, separators=(",", ":")),
    }


def content(database):
    with database.reading_connection() as connection:
        rows = connection.execute(text(f"SELECT {CONTENT} FROM audit_events"))  # noqa: S608 - ours
        return sorted(str(tuple(row)) for row in rows)


@on_every_database
def test_rows_are_chained_as_they_are_and_come_through_down_and_up(empty_database, public):
    database = empty_database
    database.upgrade("0002")
    insert = f"""INSERT INTO audit_events ({CONTENT})
        VALUES (:at, 'flows:run:start', 'success', 'operator:x', :user, NULL, 'a/b', :run, NULL, 'k', 'r',
                :detail)"""  # noqa: S608 - ours
    with database.writing_connection() as connection:
        connection.execute(text(insert), [old_row(number) for number in range(MANY)])
    before = content(database)
    for _ in range(2):
        database.upgrade("0003")
        assert content(database) == before
        report = verify(database, public)
        assert report.intact
        assert (report.rows, report.unsigned) == (MANY, MANY)
        database.downgrade("0002")
        assert content(database) == before


@on_every_database
def test_new_rows_begin_chains_of_their_own_and_all_come_through(empty_database, public):
    database = empty_database
    database.upgrade()
    for number in range(3):
        with database.writing() as session:
            did = Actor(name="operator:x").did(AuditAction.RUN_START, system_clock(), run=number)
            record(session, did, did)
        database.dispose()
    before = content(database)
    assert verify(database, public).intact
    database.downgrade("0002")
    database.upgrade("0003")
    assert content(database) == before
    report = verify(database, public)
    assert report.intact
    assert report.rows == 6

"""The ledger on the screen: filters that live in the address, pages, one event, and files of them."""

import csv
import io
import json
import re

import pytest
from sqlalchemy import update

from app.ledger.actions import AuditAction, Outcome
from app.ledger.models import AuditRow
from tests.support.console_client import text_of

from .test_overview import MARKUP, become, tell

FORMULA = '=HYPERLINK("https://evil.example")'


@pytest.fixture
def overseer(world, visit):
    become(world, "auditor")
    return visit("alice")


def shown_actions(answer):
    return re.findall(r'aria-label="Event \d+/\d+: ([a-z_:]+)"', answer.text)


@pytest.mark.parametrize(
    ("query", "matches"),
    [
        ("", lambda _: True),
        ("?action=identity:user:create", lambda row: row.action == "identity:user:create"),
        ("?outcome=denied", lambda row: row.outcome == "denied"),
        ("?user=alice&service_account=duo", lambda row: bool(row.user and row.service_account)),
        ("?project=acme/webapp&outcome=", lambda row: row.project == "acme/webapp"),
        ("?actor=operator:tester", lambda row: row.actor == "operator:tester"),
        ("?since=2026-11-22T10:00&until=", lambda _: True),
        ("?until=2026-11-22T10:00", lambda _: False),
        ("?until=2026-11-22T10:00:00Z", lambda _: False),
        ("?jti=%20none%20", lambda row: row.jti == "none"),
        ("?request_id=none", lambda row: row.request_id == "none"),
    ],
)
def test_filters_are_those_of_the_command_line(overseer, world, query, matches):
    tell(world, AuditAction.OPERATION_CALL, outcome=Outcome.DENIED, detail={})
    answer = overseer.get(f"/audit{query}")
    assert answer.status_code == 200
    assert shown_actions(answer) == [row.action for row in world.events() if matches(row)][:50]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("run=x", "run"),
        ("user=ghost", "user"),
        ("since=yesterday", "since"),
        ("action=x", "action"),
        ("outcome=x", "outcome"),
    ],
)
def test_a_filter_that_is_none_is_said_at_its_field_and_stays(overseer, query, field):
    answer = overseer.get(f"/audit?{query}")
    assert answer.status_code == 422
    assert f'id="field-{field}-error"' in answer.text
    if field != "outcome":
        assert f'value="{query.partition("=")[2]}"' in answer.text


def test_a_cursor_that_is_none_is_refused(overseer):
    answer = overseer.get("/audit?cursor=x")
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text


def test_pages_follow_each_other_with_the_filter_in_their_address(overseer, world):
    for number in range(120):
        tell(world, AuditAction.OPERATION_CALL, outcome=Outcome.DENIED, detail={"operation": f"n{number}"})
    path, shown = "/audit?outcome=denied", 0
    while path:
        answer = overseer.get(path)
        shown += len(shown_actions(answer))
        found = re.search(r'href="/console(/audit\?[^"]*)" rel="next"', answer.text)
        path = found[1].replace("&amp;", "&") if found else ""
        assert "outcome=denied" in (path or "outcome=denied")
    assert shown == 120
    assert 'href="/console/audit?outcome=denied">Newest' in answer.text


def test_an_empty_search_has_a_sentence_an_action_and_its_command(overseer):
    said = text_of(overseer.get("/audit?project=acme/none"))
    assert "Nothing has happened that matches this." in said
    assert "countersign audit list --project acme/none" in said


def test_an_event_names_the_agent_and_the_human_and_its_place(overseer, world):
    world.ask(scope=world.scope)
    row = world.events("tokens:access_token:issue")[0]
    path = f"/audit/events/{row.writer}/{row.seq}"
    said = text_of(overseer.get(path))
    for part in ("Agent duo", "For whom alice", row.jti, row.kid, row.hash, "from what stands before it"):
        assert part in said
    assert "the next checkpoint" in said
    world.components.checkpoints.make()
    assert "checkpoint 1" in text_of(overseer.get(path))


def test_the_drawer_gets_the_facts_alone(overseer, world):
    row = world.events()[0]
    path = f"/console/audit/events/{row.writer}/{row.seq}"
    fragment = overseer.client.get(path, headers={"HX-Request": "true"})
    assert "<html" not in fragment.text
    assert row.hash in fragment.text
    assert f'href="{path}"' in overseer.get("/audit").text


def test_an_event_that_was_edited_does_not_follow(overseer, world):
    row = world.events()[0]
    with world.components.database.writing_connection() as connection:
        here = (AuditRow.writer == row.writer) & (AuditRow.seq == row.seq)
        connection.execute(update(AuditRow).where(here).values(actor="user:4711"))
    assert "not from what stands before it" in text_of(overseer.get(f"/audit/events/{row.writer}/{row.seq}"))


def test_a_member_sees_what_is_about_them_and_no_other_event(world, visit):
    world.new_user("bob")
    others = world.events("identity:user:create")[0]
    own = world.events("identity:delegation:grant")[0]
    alice = visit("alice")
    assert alice.get(f"/audit/events/{own.writer}/{own.seq}").status_code == 200
    assert alice.get(f"/audit/events/{others.writer}/{others.seq}").status_code == 404
    assert alice.get("/audit/events/4711/1").status_code == 404
    listed = alice.get("/audit")
    assert len(shown_actions(listed)) == len(
        [row for row in world.events() if row.user == f"user:{world.alice}"]
    )
    assert "Chain" not in text_of(listed)
    assert alice.get("/audit?user=bob").status_code == 403
    assert alice.get("/audit/export.csv?user=bob").status_code == 403


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_the_current_filter_is_a_file(overseer, world, ending):
    tell(world, AuditAction.OPERATION_CALL, outcome=Outcome.DENIED, project=FORMULA)
    page = overseer.get("/audit?outcome=denied")
    link = f"/audit/export.{ending}?outcome=denied"
    assert f'href="/console{link}"' in page.text
    answer = overseer.get(link)
    assert f".{ending}" in answer.headers["Content-Disposition"]
    denied = [row for row in world.events() if row.outcome == "denied"]
    if ending == "jsonl":
        found = [json.loads(line) for line in answer.text.splitlines()]
        assert [each["hash"] for each in found] == [row.hash for row in denied]
        assert found[0]["project"] == FORMULA
    else:
        table = list(csv.DictReader(io.StringIO(answer.text)))
        assert [each["hash"] for each in table] == [row.hash for row in denied]
        assert table[0]["project"] == f"'{FORMULA}"


def test_a_file_of_a_filter_that_is_none_is_refused(overseer):
    assert overseer.get("/audit/export.csv?run=x").status_code == 422
    assert overseer.get("/audit/export.xml").status_code == 404


def test_markup_is_text_wherever_it_stands(overseer, world):
    tell(world, AuditAction.OPERATION_CALL, outcome=Outcome.DENIED, project=MARKUP, detail={"cause": MARKUP})
    row = world.events("api:operation:call")[0]
    for path in (
        "/audit",
        f"/audit/events/{row.writer}/{row.seq}",
        "/",
        "/audit?user=%3Cscript%3Ealert(1)%3C/script%3E",
    ):
        answer = overseer.get(path)
        assert MARKUP not in answer.text
        assert "&lt;script&gt;alert(1)" in answer.text


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("new", "not signed yet"),
        ("signed", "It covers everything."),
        ("waiting", "Newer events wait"),
        ("late", "No worker has signed since"),
        ("forged", "Another key than the ledger's has signed"),
        ("lost", "The ledger's key cannot be had here."),
    ],
)
def test_how_the_chain_stands(overseer, world, state, said):
    parts = world.components
    if state != "new":
        parts.checkpoints.make()
        world.clock.advance(seconds=1)
    if state in {"waiting", "late"}:
        tell(world, AuditAction.OPERATION_CALL, detail={})
    if state == "late":
        world.clock.advance(minutes=5)
    if state == "forged":
        with parts.database.writing_connection() as connection:
            connection.exec_driver_sql("UPDATE ledger_checkpoints SET signature = 'AAAA'")
    if state == "lost":
        vars(parts).pop("ledger_key", None)
        (parts.settings.keys_dir / "ledger.pem").unlink()
    said_there = text_of(overseer.get("/audit"))
    assert said in said_there
    assert "countersign audit verify" in said_there

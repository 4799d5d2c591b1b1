"""The ledger, through the API: everybody's rows for administrators, a project's for its owners, one's own."""

import pytest

from app.identity.permissions import Role
from app.ledger.anchor import Anchor

from .conftest import CALLERS, problem
from .scenes import everybody, give, new_run

EVENTS = "/audit-events"


def rows(api, caller, query=""):
    answer = api(caller, "GET", f"{EVENTS}{query}")
    assert answer.status_code == 200, answer.text
    return answer.get_json()["items"]


def own(api):
    alice, duo = f"user:{api.world.alice}", f"service_account:{api.world.duo}"
    return {"alice": {"user": alice}, "composite token": {"user": alice, "service_account": duo}}


@pytest.mark.parametrize("caller", ["alice", "composite token"])
def test_everybody_sees_what_is_about_them_and_nothing_else(api, caller):
    new_run(api.world)
    mine = own(api)[caller]
    shown = rows(api, caller, "?limit=200")
    everything = rows(api, "administrator", "?limit=200")
    assert shown == [row for row in everything if mine.items() <= row.items()]
    assert 0 < len(shown) < len(everything)


def test_a_stranger_sees_no_more_than_themselves(api):
    shown = rows(api, "stranger", "?limit=200")
    assert {row["user"] for row in shown} == {api("stranger", "GET", "/me").get_json()["user"]["principal"]}


@pytest.mark.parametrize("query", ["?user=alice", "?user=alice&project=acme/webapp", "?user=root"])
def test_to_ask_for_others_events_is_refused_rather_than_narrowed(api, query):
    problem(api("stranger", "GET", EVENTS + query), 403)
    problem(api("account", "GET", f"{EVENTS}?service_account=duo"), 403)
    problem(api("composite token", "GET", f"{EVENTS}?user=root"), 403)


def test_a_token_without_the_scope_sees_nothing(shared_api):
    problem(shared_api("narrow", "GET", EVENTS), 403)
    problem(shared_api("nobody", "GET", EVENTS), 401)
    problem(shared_api("client secret", "GET", EVENTS), 401)


@pytest.mark.parametrize("role", Role, ids=lambda role: role.label)
@pytest.mark.parametrize("caller", ["alice", "composite token", "account"])
def test_a_projects_rows_are_for_its_owners(api, caller, role):
    everybody(api.world, role.label)
    give(api.world, "guest", "user:bob")
    shown = rows(api, caller, "?project=acme/webapp&limit=200")
    bob = api("administrator", "GET", "/users/bob").get_json()["principal"]
    assert (bob in {row["user"] for row in shown}) is (role is Role.OWNER)
    assert {row["project"] for row in shown} <= {"acme/webapp"}


@pytest.mark.parametrize(
    ("query", "matches"),
    [
        ("?action=identity:user:create", lambda row: row["action"] == "identity:user:create"),
        ("?outcome=denied", lambda row: row["outcome"] == "denied"),
        ("?user=alice&service_account=duo", lambda row: row["user"] and row["service_account"]),
        ("?project=acme/webapp", lambda row: row["project"] == "acme/webapp"),
        ("?since=2026-11-22T10:00:00Z", lambda _: True),
        ("?until=2026-11-22T10:00:00Z", lambda _: False),
        ("?run=1", lambda row: row["run"] == 1),
        ("?jti=none", lambda row: row["jti"] == "none"),
    ],
)
def test_every_filter_of_the_command_line(api, query, matches):
    new_run(api.world)
    problem(api("stranger", "GET", "/users/alice"), 404)
    everything = rows(api, "administrator", "?limit=200")
    assert rows(api, "administrator", f"{query}&limit=200") == [row for row in everything if matches(row)]


def test_pages_follow_each_other(api):
    everything = rows(api, "administrator", "?limit=200")
    cursor, shown = "", []
    while cursor is not None:
        query = "?limit=7" + (f"&cursor={cursor}" if cursor else "")
        page = api("administrator", "GET", EVENTS + query).get_json()
        shown += page["items"]
        cursor = page["next_cursor"]
    assert shown == everything


@pytest.mark.parametrize(
    "query",
    [
        *("?limit=0", "?limit=201", "?cursor=x", "?action=x", "?outcome=x", "?since=yesterday", "?run=x"),
        *("?more=1", "?user=nobody-at-all", "?service_account=none", "?project=x", "?run=0"),
        "?user=alice&user=bob",
    ],
)
def test_what_no_filter_is_is_refused(shared_api, query):
    problem(shared_api("administrator", "GET", EVENTS + query), 422)


@pytest.mark.parametrize("caller", [each for each in CALLERS if each != "administrator"])
def test_where_the_ledger_stands_is_for_administrators(shared_api, caller):
    answer = shared_api(caller, "GET", f"{EVENTS}/head")
    problem(answer, 401 if caller in {"nobody", "client secret"} else 403)


def test_the_head_is_an_anchor(api):
    first = Anchor.parse(api("administrator", "GET", f"{EVENTS}/head").data)
    assert first.checkpoint == 1, "where there is none one is made"
    give(api.world, "guest", "user:bob")
    made = api.world.components.checkpoints.make()
    second = Anchor.parse(api("administrator", "GET", f"{EVENTS}/head").data)
    assert (second.checkpoint, second.hash) == (2, made.hash)


def test_a_lost_ledger_key_is_no_fault_of_the_callers(api):
    api.world.components.checkpoints.make()
    vars(api.world.components).pop("ledger_key")
    (api.world.components.settings.keys_dir / "ledger.pem").unlink()
    assert "ledger.pem" not in problem(api("administrator", "GET", f"{EVENTS}/head"), 503)["detail"]

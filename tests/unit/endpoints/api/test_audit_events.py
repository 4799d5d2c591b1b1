"""The ledger, through the API: everybody's rows for administrators, a project's for its owners, one's own."""

import json
from base64 import urlsafe_b64encode
from datetime import timedelta

import pytest

from app.identity import accounts, composite, delegations, facts, projects
from app.identity.permissions import Role
from app.identity.policy import Question
from app.ledger.anchor import Anchor
from app.tokens.grants import for_run
from tests.support.components import ISSUER, OPERATOR

from .conftest import CALLERS, problem
from .scenes import everybody, give, new_run

EVENTS = "/audit-events"
FORGED = [
    ("0001-01-01T00:00:00+23:59", 1, 1),
    ("9999-12-31T23:59:59-23:59", 1, 1),
    ("2026-11-22T10:00:00+00:00", 2**63, 1),
    ("2026-11-22T10:00:00+00:00", 1, -1),
]


def cursor_of(*position):
    return urlsafe_b64encode(json.dumps(position).encode()).rstrip(b"=").decode()


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


@pytest.mark.parametrize("caller", ["alice", "composite token", "account", "stranger"])
@pytest.mark.parametrize("key", ["user", "service_account"])
@pytest.mark.parametrize("where", ["", "&project=acme/webapp"])
def test_nobody_learns_from_the_ledger_who_else_there_is(api, caller, key, where):
    everybody(api.world, "owner")
    api.world.new_account("quiet")
    there = {"user": "root", "service_account": "quiet"}[key]
    answers = [api(caller, "GET", f"{EVENTS}?{key}={name}{where}") for name in (there, "ghost")]
    shown = [
        (each.status_code, each.get_json().get("detail"), each.get_json().get("items")) for each in answers
    ]
    assert shown[0] == shown[1]


def test_a_pair_sees_no_further_than_its_delegation(api):
    world = api.world
    world.change(projects.create_project, "acme/other")
    give(world, "developer", "user:alice", "service_account:duo", path="acme")
    run = new_run(world)
    api("composite token", "PUT", "/projects/acme/other/variables/PLAN", {"value": "x"})
    world.change(delegations.revoke, world.delegation)
    with world.components.database.writing() as session:
        limited = delegations.grant(
            session,
            accounts.find_user(session, "alice"),
            accounts.find_service_account(session, "duo"),
            scopes=["audit.read", "project.read"],
            project=projects.find_project(session, "acme/webapp"),
            expires_at=world.clock() + timedelta(days=1),
            by=OPERATOR,
            now=world.clock(),
        )
    api.authorization["run"] = run_token(world, run, limited.id)
    problem(api("run", "GET", EVENTS), 403)
    problem(api("run", "GET", f"{EVENTS}?project=acme/other"), 403)
    shown = rows(api, "run", "?project=acme/webapp")
    assert {row["project"] for row in shown} == {"acme/webapp"}
    page = api("run", "GET", "/projects?limit=1").get_json()
    assert [row["path"] for row in page["items"]] == ["acme/webapp"]
    assert api("run", "GET", "/groups").get_json()["items"] == []


def run_token(world, run, delegation):
    """Of the pair in its run, from this delegation."""
    parts, scopes = world.components, ("audit.read", "project.read")
    with parts.database.writing() as session:
        place = facts.project_at(session, world.project)
        known = facts.load(session, user_id=world.alice, service_account_id=world.duo, place=place)
        pair = composite.pair(known, Question(None, scopes, delegation), world.clock())
        grant = for_run(
            session.connection(), pair, scopes, None, issuer=ISSUER, project=world.project, run_id=run
        )
    return f"Bearer {parts.mint.for_run(grant, [], OPERATOR).access.token.reveal()}"


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
        ("?actor=operator:tester", lambda row: row["actor"] == "operator:tester"),
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
        *(f"?cursor={cursor_of(*position)}" for position in FORGED),
    ],
)
def test_what_no_filter_is_is_refused(shared_api, query):
    refused = problem(shared_api("administrator", "GET", EVENTS + query), 422)
    assert " " not in refused["errors"][0]["key"].replace("(unknown key)", "")


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

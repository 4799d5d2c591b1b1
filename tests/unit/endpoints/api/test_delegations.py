"""Delegations, over HTTP: given by the human, or by an administrator on record; seen, and ended."""

import pytest

from app.clock import rfc3339
from app.flows import runs
from app.identity import projects
from tests.support.components import claims_of, on_every_database

from .conftest import problem
from .scenes import new_run


def granted(api, caller="alice", **body):
    answer = api(caller, "POST", "/delegations", {"service_account": "duo"} | body)
    assert answer.status_code == 201, answer.text
    return answer.get_json()


def last_acts(api):
    items = api("alice", "GET", "/me/delegations").get_json()["items"]
    return {each["service_account_name"]: each["last_act"] for each in items}


@on_every_database
def test_a_human_lets_an_account_act_for_them_until_they_end_it(api):
    api.world.new_account("builder")
    mine = granted(api, service_account="builder", scopes=["code.read"], project="acme/webapp")
    world = api.world
    assert mine == {
        "id": mine["id"],
        "user": f"user:{world.alice}",
        "user_login": "alice",
        "user_active": True,
        "service_account": mine["service_account"],
        "service_account_name": "builder",
        "service_account_active": True,
        "scopes": ["code.read"],
        "project": "acme/webapp",
        "granted_by": f"user:{world.alice}",
        "granted_by_login": "alice",
        "created_at": "2026-11-22T10:00:00.123456Z",
        "expires_at": "2026-12-22T10:00:00.123456Z",
        "revoked_at": None,
    }
    acting = [each["id"] for each in api("alice", "GET", "/me/delegations").get_json()["items"]]
    assert acting == [world.delegation, mine["id"]]
    path = f"/delegations/{mine['id']}"
    assert api("alice", "DELETE", path).status_code == 204
    assert api("alice", "DELETE", path).status_code == 204
    acting = [each["id"] for each in api("alice", "GET", "/me/delegations").get_json()["items"]]
    assert acting == [world.delegation]
    assert api("alice", "GET", path).get_json()["revoked_at"] == "2026-11-22T10:00:00.123456Z"
    told = [row.action for row in world.events() if row.actor == f"user:{world.alice}"]
    assert told == ["identity:delegation:revoke", "identity:delegation:grant"]


def test_it_says_which_side_is_disabled_and_so_does_its_entity_tag(api):
    path = f"/delegations/{api.world.delegation}"
    before = api("administrator", "GET", path).headers["ETag"]
    for name, key in (("duo", "service_account_active"), ("alice", "user_active")):
        api.world.set_active(name, active=False)
        told = api("administrator", "GET", path)
        assert (told.get_json()[key], told.get_json()["revoked_at"]) == (False, None)
    problem(api("administrator", "DELETE", path, If_Match=before), 412)
    after = api("administrator", "GET", path).headers["ETag"]
    assert api("administrator", "DELETE", path, If_Match=after).status_code == 204


def test_every_token_names_the_delegation_it_lives_from(api):
    assert api("alice", "DELETE", f"/delegations/{api.world.delegation}").status_code == 204
    assert api.world.ask(scope=f"api {api.world.scope}").status_code == 400
    mine = granted(api)
    claims = claims_of(api.world.ask(scope=f"api {api.world.scope}"))
    assert claims["delegation_id"] == str(mine["id"])
    [token, *_] = reversed(api.world.tokens())
    assert token.delegation_id == mine["id"]


def test_an_administrator_may_for_anybody_and_is_on_record(api):
    given = granted(api, "administrator", user="bob")
    root = api("administrator", "GET", "/me").get_json()["user"]["principal"]
    assert (given["user_login"], given["granted_by"]) == ("bob", root)
    row = api.last_event()
    assert (row.actor, row.user) == (root, given["user"])
    assert api("stranger", "DELETE", f"/delegations/{given['id']}").status_code == 204


def test_each_sees_their_own_and_an_administrator_all(api):
    others, mine = granted(api, "stranger")["id"], api.world.delegation
    api("stranger", "DELETE", f"/delegations/{others}")

    def seen(caller, query=""):
        items = api(caller, "GET", f"/delegations{query}").get_json()["items"]
        return [each["id"] for each in items]

    assert (seen("alice"), seen("stranger"), seen("administrator")) == ([mine], [others], [mine, others])
    assert seen("alice", "?user=bob") == []
    assert seen("administrator", "?user=bob") == [others]
    assert seen("administrator", "?live=true") == [mine]
    assert seen("administrator", "?live=false") == [others]
    assert seen("administrator", "?service_account=duo&user=alice") == [mine]
    assert seen("administrator", "?service_account=none") == []


@pytest.mark.parametrize(
    ("body", "key"),
    [
        ({"service_account": "none"}, "service_account"),
        ({"service_account": "shop"}, "service_account"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["everything"]}, "scopes.0"),
        ({"project": "acme/none"}, "project"),
        ({"expires_at": "2026-11-22T10:00:00Z"}, "expires_at"),
        ({"expires_at": "2999-01-01T00:00:00Z"}, "expires_at"),
        ({"service_account": None}, "service_account"),
        ({"granted_by": "user:9"}, "(unknown key)"),
        ({"projects": "acme/webapp"}, "projects"),
    ],
)
def test_what_cannot_be_is_refused_by_its_key(shared_api, body, key):
    answer = shared_api("alice", "POST", "/delegations", {"service_account": "duo"} | body)
    assert [each["key"] for each in problem(answer, 422)["errors"]] == [key]


def test_a_project_that_one_may_not_see_is_none(api):
    api.world.change(projects.create_project, "secret/plan")
    bodies = [{"service_account": "duo", "project": path} for path in ("secret/plan", "secret/none")]
    hidden, absent = (problem(api("alice", "POST", "/delegations", body), 422) for body in bodies)
    assert hidden | {"request_id": ""} == absent | {"request_id": ""}
    assert granted(api, "administrator", user="alice", project="secret/plan")["project"] == "secret/plan"


def test_who_may_act_for_me_tells_what_each_did_last(api):
    api.world.new_account("idle")
    granted(api, service_account="idle")  # which is what alice did, and nobody else
    api.world.clock.advance(seconds=5)
    assert api.world.ask(scope=api.world.scope).status_code == 200
    assert last_acts(api) == {
        "duo": {"at": rfc3339(api.world.clock()), "action": "tokens:access_token:issue", "project": None},
        "idle": None,
    }


def test_what_a_run_did_as_the_agent_is_an_act_of_the_agent(api):
    before = last_acts(api)
    api.world.clock.advance(seconds=5)
    run = new_run(api.world)
    assert last_acts(api) == before  # that it was started is the starter's act
    api.world.change(runs.begin, run, "0" * 64)
    told = {"at": rfc3339(api.world.clock()), "action": "flows:run:start", "project": "acme/webapp"}
    assert last_acts(api) == {"duo": told}
    api.world.clock.advance(seconds=5)
    api("alice", "POST", f"/runs/{run}/cancel")
    assert last_acts(api) == {"duo": told}

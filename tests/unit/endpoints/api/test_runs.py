"""Runs and keys, through the API."""

import pytest

from app.identity.permissions import Role

from .conftest import CALLERS, problem
from .scenes import everybody, new_run

RUNS = "/projects/acme/webapp/runs"
MEMBERS = ("alice", "composite token", "account")


@pytest.fixture
def run(api):
    return new_run(api.world)


@pytest.mark.parametrize("role", Role, ids=lambda role: role.label)
@pytest.mark.parametrize("caller", MEMBERS)
def test_who_may_see_and_cancel_a_run(api, run, caller, role):
    everybody(api.world, role.label)
    may_read, may_cancel = role >= Role.REPORTER, role >= Role.DEVELOPER
    assert api(caller, "GET", f"/runs/{run}").status_code == (200 if may_read else 403)
    assert api(caller, "GET", RUNS).status_code == (200 if may_read else 403)
    assert api(caller, "POST", f"/runs/{run}/cancel").status_code == (200 if may_cancel else 403)


@pytest.mark.parametrize(
    ("caller", "status"), [("stranger", 404), ("narrow", 404), ("nobody", 401), ("client secret", 401)]
)
def test_others_learn_nothing_of_a_run_not_even_that_it_is_there(api, run, caller, status):
    for number in (run, 999):
        for method, path in (("GET", f"/runs/{number}"), ("POST", f"/runs/{number}/cancel")):
            body = problem(api(caller, method, path), status)
            assert "acme" not in body["detail"]


def test_who_may_read_a_run_but_not_end_it_is_told_so(api, run):
    everybody(api.world, "developer")
    made = api("alice", "POST", "/users/alice/tokens", {"scopes": ["run.read"]}).get_json()
    api.authorization["reader"] = f"Bearer {made['token']}"
    assert api("reader", "GET", f"/runs/{run}").status_code == 200
    assert "scopes" in problem(api("reader", "POST", f"/runs/{run}/cancel"), 403)["detail"]


def test_a_run_has_the_shape_that_the_command_line_shows(api, run):
    shape = api("alice", "GET", f"/runs/{run}").get_json()
    assert {
        *("id", "state", "reason", "project", "flow", "user", "service_account"),
        *("id_tokens", "secrets", "exit_code", "started_at", "ended_at"),
    } <= shape.keys()
    assert (shape["id"], shape["state"], shape["flow"]) == (run, "pending", "fix-ci")


def test_a_run_is_cancelled_once_in_the_name_of_both(api, run):
    answer = api("composite token", "POST", f"/runs/{run}/cancel")
    assert answer.get_json()["state"] == "cancelled"
    both = (f"user:{api.world.alice}", f"service_account:{api.world.duo}")
    told = api.world.events("flows:run:cancel")
    assert [(event.user, event.service_account, event.actor) for event in told] == [(*both, both[1])]
    problem(api("composite token", "POST", f"/runs/{run}/cancel"), 409)


def test_runs_are_listed_the_newest_first(api):
    numbers = [new_run(api.world) for _ in range(3)]
    first = api("alice", "GET", f"{RUNS}?limit=2").get_json()
    second = api("alice", "GET", f"{RUNS}?limit=2&cursor={first['next_cursor']}").get_json()
    assert [row["id"] for row in first["items"] + second["items"]] == numbers[::-1]
    assert second["next_cursor"] is None


def test_a_run_of_a_deleted_project_is_for_administrators(api, run):
    assert api("administrator", "DELETE", "/projects/acme/webapp").status_code == 204
    problem(api("alice", "GET", f"/runs/{run}"), 404)
    assert api("administrator", "GET", f"/runs/{run}").status_code == 200


@pytest.mark.parametrize("caller", CALLERS)
def test_keys_are_shown_to_everybody_who_is_known(shared_api, caller):
    answer = shared_api(caller, "GET", "/keys")
    if caller in {"nobody", "client secret"}:
        problem(answer, 401)
        return
    assert {row["state"] for row in answer.get_json()["items"]} == {"active", "next"}
    assert "private" not in answer.text

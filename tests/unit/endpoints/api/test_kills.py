"""The kill switch, through the API: what is theirs, what is a project's, and what is an administrator's."""

import pytest

from app.identity import members
from app.identity.permissions import Role
from tests.support.components import parts

from .conftest import problem
from .scenes import everybody, new_run

KINDS = ("user", "service_account", "delegation", "run", "token")


def targets(api):
    token = api.authorization["composite token"].removeprefix("Bearer ")
    return {
        "user": "alice",
        "service_account": "duo",
        "delegation": api.world.delegation,
        "run": new_run(api.world),
        "token": parts(token)[1]["jti"],
    }


def pull(api, caller, **named):
    return api(caller, "POST", "/kills", {"reason": "laptop stolen"} | named)


TABLE = """
                 user  service_account  delegation  run  token
administrator    yes   yes              yes         yes  yes
alice            yes   -                yes         yes  yes
narrow           -     -                -           -    -
stranger         -     -                -           -    -
composite_token  -     -                -           yes  -
account          -     -                -           yes  -
"""
HEAD, *LINES = [line.split() for line in TABLE.strip().splitlines()]
CELLS = [
    (who.replace("_", " "), kind, cell == "yes")
    for who, *cells in LINES
    for kind, cell in zip(HEAD, cells, strict=True)
]


@pytest.mark.parametrize(("caller", "kind", "allowed"), CELLS)
def test_who_may_kill_what(api, caller, kind, allowed):
    everybody(api.world, "developer")
    answer = pull(api, caller, **{kind: targets(api)[kind]})
    if allowed:
        assert answer.status_code == 200, answer.text
        assert answer.get_json()["kind"] == kind
    else:
        problem(answer, 403)
        assert api.world.events("identity:cut_off:create") == []
        assert api.last_event().outcome == "denied"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("caller", ["nobody", "client secret"])
def test_nobody_kills_nothing(shared_api, caller, kind):
    problem(pull(shared_api, caller, **{kind: "x"}), 401)


@pytest.mark.parametrize("role", Role, ids=lambda role: role.label)
@pytest.mark.parametrize("caller", ["composite token", "account"])
def test_a_projects_runs_are_for_whoever_may_cancel_them(api, caller, role):
    run = new_run(api.world)
    everybody(api.world, role.label)
    assert pull(api, caller, run=run).status_code == (200 if role >= Role.DEVELOPER else 403)


def test_a_human_kills_their_run_though_they_are_no_member_any_more(api):
    run = new_run(api.world)
    api.world.change(
        lambda session, **by_now: members.remove_member(
            session, members.find_place(session, "acme/webapp"), "user:alice", **by_now
        )
    )
    assert pull(api, "alice", run=run).get_json()["runs"] == [run]


def test_what_is_not_theirs_and_what_is_not_there_are_told_in_the_same_words(api):
    api.world.new_user("carol")
    for named in (
        {"user": "carol"},
        {"user": "nobody-at-all"},
        {"delegation": 999},
        {"token": "x"},
        {"run": 999},
    ):
        answer = problem(pull(api, "stranger", **named), 403)
        assert answer["detail"] == "There is nothing of this number or name that you may kill."
        if named != {"user": "carol"}:
            problem(pull(api, "administrator", **named), 422)


def test_the_answer_tells_what_died_and_what_cannot_be_undone(api):
    answer = pull(api, "alice", user="alice").get_json()
    assert answer["target"] == f"user:{api.world.alice}"
    assert answer["access_tokens"] == 1
    assert len(answer["personal_access_tokens"]) == 2
    assert answer["audiences"] == ["http://localhost:8000/api/v1"]
    assert answer["accepted_offline_until"] is not None
    for caller in ("alice", "narrow", "composite token"):
        problem(api(caller, "GET", "/keys"), 401)


@pytest.mark.parametrize(
    "body",
    [
        {"reason": "x"},
        {"reason": "x", "user": "alice", "run": 1},
        {"user": "alice"},
        {"user": "alice", "reason": ""},
        {"user": "alice", "reason": "  "},
        {"user": "alice", "reason": "x" * 501},
        {"run": "1", "reason": "x"},
        {"reason": "x", "all": True},
    ],
)
def test_a_kill_names_one_thing_and_says_why(shared_api, body):
    problem(shared_api("administrator", "POST", "/kills", body), 422)
    assert shared_api.world.events("identity:cut_off:create") == []


@pytest.mark.parametrize(("caller", "kind", "allowed"), CELLS)
def test_whoever_may_kill_it_may_ask_what_that_would_end(api, caller, kind, allowed):
    everybody(api.world, "developer")
    path = f"/kills/impact?{kind}={targets(api)[kind]}"
    answer = api(caller, "GET", path)
    if allowed:
        assert answer.status_code == 200, answer.text
        assert answer.get_json()["kind"] == kind
    else:
        problem(answer, 403)
        assert api.last_event().outcome == "denied"
    assert api.world.events("identity:cut_off:create") == []


def test_the_impact_foretells_what_dies(api):
    run = new_run(api.world)
    for kind, named in targets(api).items():
        foretold = api("administrator", "GET", f"/kills/impact?{kind}={named}").get_json()
        assert foretold["target"] == (f"user:{api.world.alice}" if kind == "user" else foretold["target"])
        if kind in {"user", "service_account", "delegation"}:
            assert run in foretold["runs"]
            assert foretold["delegations"] == 1
    foretold = api("administrator", "GET", "/kills/impact?user=alice").get_json()
    killed = pull(api, "administrator", user="alice").get_json()
    for name in ("target", "access_tokens", "id_tokens", "runs", "accepted_offline_until", "audiences"):
        assert foretold[name] == killed[name]
    assert foretold["personal_access_tokens"] == len(killed["personal_access_tokens"])
    after = api("administrator", "GET", "/kills/impact?user=alice").get_json()
    assert (after["access_tokens"], after["runs"], after["personal_access_tokens"]) == (0, [], 0)


@pytest.mark.parametrize("query", ["", "?user=alice&run=1", "?run=x", "?reason=x", "?user=nobody-at-all"])
def test_an_impact_is_of_one_thing_that_there_is(shared_api, query):
    problem(shared_api("administrator", "GET", f"/kills/impact{query}"), 422)

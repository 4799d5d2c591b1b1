"""Explanations, through the API: the decision in full, for those whom it concerns."""

import pytest

from .conftest import problem
from .scenes import give

PAIR = {"user": "alice", "service_account": "duo"}
ASKED = {
    "the pair": PAIR,
    "the human": {"user": "alice"},
    "the agent alone": {"service_account": "duo"},
    "another human": {"user": "bob"},
    "shop": {"service_account": "shop"},
}
MAY_KNOW = {
    "administrator": set(ASKED),
    "alice": {"the pair", "the human"},
    "stranger": {"another human"},
    "narrow": {"the human"},
    "composite token": {"the pair"},
    "account": {"shop"},
}


def explain(api, caller, **asked):
    body = {"action": "code.write", "resource": "acme/webapp"} | asked
    return api(caller, "POST", "/explanations", body)


@pytest.mark.parametrize("caller", MAY_KNOW)
@pytest.mark.parametrize("who", ASKED)
def test_who_may_know_about_whom(shared_api, caller, who):
    answer = explain(shared_api, caller, **ASKED[who])
    if who in MAY_KNOW[caller]:
        assert answer.status_code == 200, answer.text
    else:
        problem(answer, 403)


@pytest.mark.parametrize("caller", ["nobody", "client secret"])
def test_nobody_is_told_anything(shared_api, caller):
    problem(explain(shared_api, caller, **PAIR), 401)


def test_each_conjunct_has_its_reason(shared_api):
    answer = explain(shared_api, "alice", **PAIR, action="member.manage", scope=["code.read"]).get_json()
    assert answer["allowed"] is False
    refusing = [each["name"] for each in answer["conjuncts"] if not each["allowed"]]
    assert refusing == ["human", "service_account", "scope"]
    assert answer["conjuncts"][0]["reason"] == "alice is developer in acme/webapp; member.manage needs owner"


def test_a_group_is_a_resource_too(api):
    assert explain(api, "alice", **PAIR, resource="acme").get_json()["allowed"] is False
    give(api.world, "developer", "user:alice", "service_account:duo", path="acme")
    assert explain(api, "alice", **PAIR, resource="acme").get_json()["allowed"] is True


@pytest.mark.parametrize(
    "asked",
    [
        {},
        PAIR | {"action": "code.delete"},
        PAIR | {"scope": []},
        PAIR | {"scope": ["all"]},
        {"user": "nobody-at-all"},
        {"user": "alice", "service_account": "nothing"},
        PAIR | {"resource": "//"},
    ],
)
def test_what_cannot_be_asked_is_refused(shared_api, asked):
    problem(explain(shared_api, "administrator", **asked), 422)


def test_whoever_may_not_know_learns_not_even_who_there_is(shared_api):
    there, not_there = (explain(shared_api, "stranger", user=each) for each in ("alice", "nobody-at-all"))
    assert problem(there, 403)["detail"] == problem(not_there, 403)["detail"]


def test_a_private_project_is_explained_as_if_it_did_not_exist(shared_api):
    there, not_there = (
        explain(shared_api, "stranger", user="bob", resource=each).get_json()
        for each in ("acme/webapp", "acme/nothing")
    )
    assert there == not_there
    assert shared_api("stranger", "GET", "/projects/acme/webapp").status_code == 404
    told = explain(shared_api, "administrator", user="bob").get_json()["conjuncts"][0]["reason"]
    assert told == "bob is no member in acme/webapp; code.write needs developer"

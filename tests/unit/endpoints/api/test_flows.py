"""What a configuration declares, its versions, what runs were given, and runs of all projects."""

import pytest

from app.flows import configurations
from app.identity.permissions import Role
from tests.support import living_run
from tests.support.components import OPERATOR

from .conftest import problem
from .scenes import everybody, give, new_run

CONFIGURATION = b"""
id_tokens: {VAULT_ID_TOKEN: {aud: "https://$STAGE.acme.example", ttl: 5m}}
secrets: {PASSWORD: {vault: production/db/password@ops}}
variables: {STAGE: test}
cache: {}
flows:
  fix-ci:
    inputs: {attempts: {type: number, default: 3, options: [1, 3]}}
    access_token: {scopes: [code.read]}
    script: [make test]
"""
PROJECT = "/projects/acme/webapp"


def configure(api, content=CONFIGURATION):
    parts = api.world.components
    return configurations.store(parts.database, parts.clock, api.world.project, content, OPERATOR).id


def test_flows_are_told_with_all_that_they_declare(api):
    number = configure(api)
    answer = api("alice", "GET", f"{PROJECT}/flows").get_json()
    assert answer["configuration"] == number
    [flow] = answer["flows"]
    assert flow["subject"] == "project_path:acme/webapp:flow:fix-ci"
    assert (flow["name"], flow["timeout"], flow["scopes"]) == ("fix-ci", 3600, ["code.read"])
    assert flow["id_tokens"] == [
        {"name": "VAULT_ID_TOKEN", "aud": ["https://test.acme.example"], "ttl": 300, "refusal": None}
    ]
    [secret] = flow["secrets"]
    assert (secret["token"], secret["place"]) == ("VAULT_ID_TOKEN", "production/db/password@ops")
    [given] = flow["inputs"]
    assert (given["type"], given["default"], given["options"]) == ("number", "3", ["1", "3"])
    assert "has no effect" in answer["warnings"][0]["message"]


def test_without_a_configuration_there_are_none(api):
    problem(api("alice", "GET", f"{PROJECT}/flows"), 404)


@pytest.mark.parametrize("path", ["/flows", "/config/versions", "/config/versions/1"])
@pytest.mark.parametrize(("caller", "status"), [("stranger", 404), ("nobody", 401)])
def test_others_learn_nothing_of_a_configuration(api, path, caller, status):
    configure(api)
    problem(api(caller, "GET", PROJECT + path), status)


def test_versions_are_listed_the_newest_first_and_kept_as_they_were(api):
    first, second = configure(api), configure(api, b"flows: {}\n")
    listed = api("alice", "GET", f"{PROJECT}/config/versions").get_json()["items"]
    assert [each["id"] for each in listed] == [second, first]
    assert "content" not in listed[0]
    old = api("alice", "GET", f"{PROJECT}/config/versions/{first}").get_json()
    assert old["content"] == CONFIGURATION.decode()
    problem(api("alice", "GET", f"{PROJECT}/config/versions/999"), 404)


@pytest.mark.parametrize("role", Role, ids=lambda role: role.label)
@pytest.mark.parametrize("caller", ["alice", "composite token", "account"])
def test_runs_of_all_projects_are_those_that_one_may_read(api, caller, role):
    run = new_run(api.world)
    everybody(api.world, role.label)
    items = api(caller, "GET", "/runs").get_json()["items"]
    assert [each["id"] for each in items] == ([run] if role >= Role.REPORTER else [])


def test_runs_of_all_projects_are_paged_and_filtered(api):
    numbers = [new_run(api.world) for _ in range(3)]
    first = api("alice", "GET", "/runs?limit=2").get_json()
    second = api("alice", "GET", f"/runs?limit=2&cursor={first['next_cursor']}").get_json()
    assert [each["id"] for each in first["items"] + second["items"]] == numbers[::-1]
    assert api("alice", "GET", "/runs?state=failed").get_json()["items"] == []
    assert len(api("administrator", "GET", "/runs").get_json()["items"]) == 3
    assert api("stranger", "GET", "/runs").get_json()["items"] == []


def test_a_receipt_names_tokens_and_no_value(api):
    living_run.configure(api.world)
    living = living_run.begun(api.world)
    answer = api("alice", "GET", f"/runs/{living.number}/receipt")
    [token, _] = sorted(answer.get_json()["id_tokens"], key=lambda each: each["name"], reverse=True)
    assert (token["name"], token["aud"], token["outcome"]) == (
        "VAULT_ID_TOKEN",
        [living_run.VERIFIER],
        "success",
    )
    for each in living.tokens.ids.values():
        assert each.token.reveal() not in answer.text
    problem(api("stranger", "GET", f"/runs/{living.number}/receipt"), 404)


def test_a_receipt_needs_run_read(api):
    run = new_run(api.world)
    give(api.world, "guest", "user:alice")
    problem(api("alice", "GET", f"/runs/{run}/receipt"), 403)

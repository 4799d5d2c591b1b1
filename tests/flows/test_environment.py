"""What a run gets: exactly the documented set, what its flow declares, and nothing else."""

import re
from datetime import datetime
from urllib.parse import urlsplit

import pytest

from tests.support.sample_flow import FLOW, HAND_OUT, PROJECT
from tests.support.tools import ROOT

REFERENCE = ROOT / "docs/reference/run-environment.md"
PROMISED = {
    *("PATH", "HOME", "LANG", "TMPDIR"),
    *("COUNTERSIGN_ISSUER", "COUNTERSIGN_RUN_ID", "COUNTERSIGN_PROJECT_PATH", "COUNTERSIGN_FLOW"),
    *("COUNTERSIGN_USER", "COUNTERSIGN_SERVICE_ACCOUNT", "COUNTERSIGN_ACCESS_TOKEN", "COUNTERSIGN_RUN_TOKEN"),
    *("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"),
}
OWN_TO_A_RUN = {
    *("PATH", "HOME", "TMPDIR"),
    *("COUNTERSIGN_RUN_ID", "COUNTERSIGN_ACCESS_TOKEN", "COUNTERSIGN_RUN_TOKEN"),
}
ID_TOKENS = {"VAULT_ID_TOKEN": {"aud": "https://vault.acme.example"}}


def test_the_reference_lists_what_was_promised():
    """Its first table has the names, in backticks, in the first column."""
    table = re.search(r"(?:^\|.*\n)+", REFERENCE.read_text(), re.MULTILINE)
    assert table
    first_column = (line.split("|")[1] for line in table[0].splitlines()[2:])
    documented = [name for cell in first_column for name in re.findall(r"`([A-Z_]+)`", cell)]
    assert sorted(documented) == sorted(PROMISED)


def without_own(environment):
    return {name: value for name, value in environment.items() if name not in OWN_TO_A_RUN}


def test_a_run_that_declares_nothing_gets_the_documented_set_alone(shared_flow, monkeypatch):
    monkeypatch.setenv("SERVER_ONLY", "stays-here")
    shared_flow.configure_flow(HAND_OUT, inputs={"OUT": {"type": "string"}})
    given = shared_flow.handed_out(f"OUT={shared_flow.out}")
    assert set(given) == PROMISED | {"OUT"}


def test_its_values_say_who_and_where(shared_flow):
    shared_flow.configure_flow()
    run = shared_flow.start().data
    given = shared_flow.given()
    host = urlsplit(shared_flow.installation.issuer).hostname
    expected = {
        "LANG": "C.UTF-8",
        "COUNTERSIGN_ISSUER": shared_flow.installation.issuer,
        "COUNTERSIGN_RUN_ID": str(run["id"]),
        "COUNTERSIGN_PROJECT_PATH": PROJECT,
        "COUNTERSIGN_FLOW": FLOW,
        "COUNTERSIGN_USER": "alice",
        "COUNTERSIGN_SERVICE_ACCOUNT": "duo",
        "GIT_AUTHOR_NAME": "duo",
        "GIT_AUTHOR_EMAIL": f"duo@noreply.{host}",
        "GIT_COMMITTER_NAME": "alice",
        "GIT_COMMITTER_EMAIL": "alice@acme.example",
    }
    assert {name: given[name] for name in expected} == expected
    home = shared_flow.installation.folder / "var/runs"
    assert given["HOME"].startswith(str(home))
    assert given["TMPDIR"].startswith(str(home))
    assert not list(home.iterdir())


def test_id_tokens_add_their_variables_and_change_nothing_else(shared_flow):
    shared_flow.configure_flow()
    without = shared_flow.handed_out()
    shared_flow.configure_flow(id_tokens=ID_TOKENS)
    given = shared_flow.handed_out()
    assert given.pop("VAULT_ID_TOKEN").count(".") == 2
    assert set(given) == PROMISED | {"OUT"}
    assert without_own(given) == without_own(without)


def test_a_human_alone_gets_the_same_but_for_the_agent(sample_flow):
    """With ID tokens and without: they write their own commits, and nothing names an account."""
    sample_flow.cli("project", "workload", "set", PROJECT, "user")
    for id_tokens in ({}, ID_TOKENS):
        sample_flow.configure_flow(id_tokens=id_tokens)
        sample_flow.cli("flow", "start", FLOW, "--project", PROJECT, "--user", "alice")
        given = sample_flow.given()
        assert set(given) == PROMISED - {"COUNTERSIGN_SERVICE_ACCOUNT"} | {"OUT", *id_tokens}
        names = ("COUNTERSIGN_USER", "GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME")
        assert {given[name] for name in names} == {"alice"}
        assert given["GIT_AUTHOR_EMAIL"] == given["GIT_COMMITTER_EMAIL"] == "alice@acme.example"


def test_variables_and_inputs_reach_the_steps_under_their_names(shared_flow):
    shared_flow.configure_flow(
        top={"variables": {"STAGE": "test", "LEVEL": "top"}},
        variables={"LEVEL": "flow", "NUMBER": 5432},
        inputs={"ISSUE": {"default": "none"}, "GIVEN": {}},
    )
    given = shared_flow.handed_out("GIVEN=a=b c\nd", "ISSUE=17")
    wanted = {"STAGE": "test", "LEVEL": "flow", "NUMBER": "5432", "ISSUE": "17", "GIVEN": "a=b c\nd"}
    assert {name: given[name] for name in wanted} == wanted


@pytest.fixture
def trusting_flow(sample_flow):
    """Its audience comes from a variable that the project sets; every other fact is the configuration's."""
    sample_flow.cli("project", "variable", "set", PROJECT, "DEPLOY_AUDIENCE=https://project.example")
    sample_flow.configure_flow(
        id_tokens={"DEPLOY_ID_TOKEN": {"aud": "$DEPLOY_AUDIENCE"}}, inputs={"FREE": {"default": "free"}}
    )
    return sample_flow


def claims(sample_flow, token):
    shown = sample_flow.cli("token", "inspect", "-", stdin=token, json=True).data
    return {
        name: value for name, value in shown["claims"].items() if name not in {"jti", "iat", "nbf", "exp"}
    }


@pytest.mark.parametrize(
    "text",
    [
        "$DEPLOY_AUDIENCE",
        "https://evil.example",
        "project_path:acme/other:flow:deploy",
        "${VAULT_ID_TOKEN}",
        '"}, "sub": "x',
    ],
)
def test_what_a_starter_types_is_in_no_claim(trusting_flow, text):
    before = claims(trusting_flow, trusting_flow.handed_out()["DEPLOY_ID_TOKEN"])
    given = trusting_flow.handed_out(f"FREE={text}")
    after = claims(trusting_flow, given["DEPLOY_ID_TOKEN"])
    assert given["FREE"] == text
    assert after.pop("run_id") != before.pop("run_id")
    assert after == before


@pytest.mark.parametrize(
    "name", ["DEPLOY_AUDIENCE", "VAULT_SERVER_URL", "VAULT_AUTH_ROLE", "DEPLOY_ID_TOKEN"]
)
def test_an_input_that_the_flow_does_not_declare_is_refused(trusting_flow, name):
    refused = trusting_flow.start(f"{name}=https://evil.example", exit_code=1)
    assert f"inputs.{name}: is not declared" in refused.stderr
    assert "evil" not in refused.stderr


@pytest.mark.parametrize("name", ["VAULT_SERVER_URL", "VAULT_AUTH_ROLE", "VAULT_ANYTHING", "DEPLOY_AUDIENCE"])
def test_a_flow_cannot_declare_an_input_that_its_audience_or_vault_would_read(sample_flow, name):
    flow = {"script": ["true"], "inputs": {name: {}}}
    top = {"id_tokens": {"DEPLOY_ID_TOKEN": {"aud": "$DEPLOY_AUDIENCE"}}}
    refused = sample_flow.configure({**top, "flows": {FLOW: flow}}, exit_code=1)
    assert name in refused.stderr


def test_the_projects_variable_wins_in_an_audience_over_the_configurations(sample_flow):
    sample_flow.configure_flow(
        variables={"PLACE": "https://file.example"}, id_tokens={"DEPLOY_ID_TOKEN": {"aud": "$PLACE"}}
    )
    assert claims(sample_flow, sample_flow.handed_out()["DEPLOY_ID_TOKEN"])["aud"] == "https://file.example"
    sample_flow.cli("project", "variable", "set", PROJECT, "PLACE=https://project.example")
    assert (
        claims(sample_flow, sample_flow.handed_out()["DEPLOY_ID_TOKEN"])["aud"] == "https://project.example"
    )


def test_an_audience_is_expanded_once(sample_flow):
    sample_flow.cli("project", "variable", "set", PROJECT, "OUTER=https://x/$INNER", "INNER=no")
    sample_flow.configure_flow(id_tokens={"DEPLOY_ID_TOKEN": {"aud": ["$OUTER", "$$INNER", "$OUTER"]}})
    token = sample_flow.handed_out()["DEPLOY_ID_TOKEN"]
    assert claims(sample_flow, token)["aud"] == ["https://x/$INNER", "$INNER"]


def test_an_id_token_says_what_the_issuer_knows(shared_flow):
    shared_flow.configure_flow(id_tokens=ID_TOKENS)
    run = shared_flow.start().data
    token = claims(shared_flow, shared_flow.given()["VAULT_ID_TOKEN"])
    [(sha256, group)] = shared_flow.rows(
        "SELECT v.sha256, p.group_id FROM configuration_versions v JOIN projects p ON p.id = v.project_id"
        " ORDER BY v.id DESC LIMIT 1"
    )
    assert token == {
        "iss": shared_flow.installation.issuer,
        "sub": f"project_path:{PROJECT}:flow:{FLOW}",
        "aud": "https://vault.acme.example",
        "namespace_id": str(group),
        "namespace_path": "acme",
        "project_id": "1",
        "project_path": PROJECT,
        "user_id": "1",
        "user_login": "alice",
        "user_email": "alice@acme.example",
        "user_access_level": "developer",
        "service_account_id": "3",
        "service_account": "duo",
        "act": {"sub": "service_account:3"},
        "flow": FLOW,
        "run_id": str(run["id"]),
        "run_source": "cli",
        "config_sha": sha256,
    }


def test_the_access_token_of_a_run_names_both_and_the_run(shared_flow):
    shared_flow.configure_flow(access_token={"scopes": ["code.read"]})
    run = shared_flow.start().data
    token = claims(shared_flow, shared_flow.given()["COUNTERSIGN_ACCESS_TOKEN"])
    assert token["sub"] == "service_account:3"
    assert set(token["scope"].split()) == {"code.read", "user:1"}
    assert (token["user_id"], token["run_id"]) == ("1", str(run["id"]))
    assert token["aud"] == f"{shared_flow.installation.issuer}/api/v1"


def delegate_instead(sample_flow, *grants):
    """Nothing but these, each the options of one delegation from alice to duo."""
    for delegation in sample_flow.cli("delegation", "list", json=True).data:
        sample_flow.cli("delegation", "revoke", str(delegation["id"]))
    for options in grants:
        sample_flow.cli("delegation", "grant", "--user", "alice", "--service-account", "duo", *options)


READS_A_SECRET = {
    "access_token": {"scopes": ["code.read"]},
    "id_tokens": ID_TOKENS,
    "secrets": {"DATABASE_PASSWORD": {"vault": "production/db/password@secret"}},
}
READ_CODE, READ_SECRETS = ("--scope", "code.read"), ("--scope", "secret.read")


@pytest.mark.parametrize(
    ("own", "grants", "uncovered"),
    [
        ({"access_token": {"scopes": ["code.write"]}}, [READ_CODE], "code.write"),
        (READS_A_SECRET, [READ_CODE], "code.read secret.read"),
        (READS_A_SECRET, [READ_SECRETS], "code.read secret.read"),
        (READS_A_SECRET, [READ_CODE, READ_SECRETS], "code.read secret.read"),
    ],
    ids=["the access token's scopes", "its secrets", "both", "two do not add up"],
)
def test_one_delegation_has_to_cover_the_whole_run(sample_flow, own, grants, uncovered):
    delegate_instead(sample_flow, *grants)
    sample_flow.configure_flow('touch "$OUT/ran"', **own)
    refused = sample_flow.start(exit_code=1)
    assert f"delegation: no delegation covers {uncovered}\n" in refused.stderr
    assert refused.stdout == ""
    assert not (sample_flow.out / "ran").exists()
    assert sample_flow.count("runs") == sample_flow.count("issued_tokens") == 0


@pytest.mark.parametrize("covering", [(*READ_CODE, *READ_SECRETS), ("--scope", "api"), ()])
def test_a_delegation_that_covers_the_secrets_too_lets_the_run_begin(sample_flow, covering):
    """Which then ends at Vault, that this project has none of."""
    delegate_instead(sample_flow, covering)
    sample_flow.configure_flow(**READS_A_SECRET)
    refused = sample_flow.start(exit_code=1)
    assert refused.data["state"] == "failed"
    assert "VAULT_SERVER_URL" in refused.data["reason"]


def test_a_delegation_for_a_project_works_in_its_flows_and_gives_no_token_elsewhere(sample_flow):
    delegate_instead(sample_flow, ("--project", PROJECT))
    sample_flow.configure_flow(access_token={"scopes": ["code.read"]})
    token = claims(sample_flow, sample_flow.handed_out()["COUNTERSIGN_ACCESS_TOKEN"])
    assert (token["scope"], token["delegation_id"]) == ("code.read user:1", "3")
    asked = ("token", "issue", "--service-account", "duo", "--scope", "code.read user:1")
    refused = sample_flow.cli(*asked, exit_code=1)
    assert "for one project, and not for this" in refused.stderr
    assert refused.stdout == ""


def test_no_token_of_a_run_outlives_its_delegation(sample_flow):
    delegate_instead(sample_flow, ("--expires", "2m"))
    sample_flow.configure_flow(id_tokens={"LONG_ID_TOKEN": {**ID_TOKENS["VAULT_ID_TOKEN"], "ttl": "1h"}})
    given = sample_flow.handed_out()
    ends = datetime.fromisoformat(sample_flow.cli("delegation", "list", json=True).data[-1]["expires_at"])
    for name in ("LONG_ID_TOKEN", "COUNTERSIGN_ACCESS_TOKEN"):
        shown = sample_flow.cli("token", "inspect", "-", stdin=given[name], json=True).data
        assert shown["claims"]["exp"] == int(ends.timestamp())

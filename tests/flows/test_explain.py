"""`countersign explain`: for each of the five conjuncts, that it and only it refuses."""

import json
import os
from dataclasses import replace
from datetime import timedelta

import pytest
from click.testing import CliRunner

from app.cli.main import main
from app.clock import system_clock
from app.identity import accounts, delegations, members, projects
from tests.support.components import (  # noqa: F401 - pytest finds fixtures by name
    OPERATOR,
    PASSPHRASE,
    SECRET_KEY,
    ManualClock,
    inhabited,
    peopled,
    prepared,
)

FULL = ["--user", "alice", "--service-account", "duo", "--action", "code.write", "--resource", "acme/webapp"]
NAMES = ["human", "service_account", "delegation", "scope", "active"]


@pytest.fixture
def world(peopled, tmp_path, monkeypatch):  # noqa: F811 - the fixture
    """Alice and duo in an installation that the command line works on, in the present."""
    for name in [name for name in os.environ if name.startswith("COUNTERSIGN_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COUNTERSIGN_HOME_DIR", str(tmp_path / "var"))
    monkeypatch.setenv("COUNTERSIGN_KEYS_DIR", str(tmp_path / "keys"))
    monkeypatch.setenv("COUNTERSIGN_KEYS_PASSPHRASE", PASSPHRASE)
    monkeypatch.setenv("COUNTERSIGN_SECRET_KEY", SECRET_KEY)
    with inhabited(peopled, tmp_path, ManualClock(system_clock())) as world:
        revoke(world)  # of a fixed day, and over some day
        yield replace(world, delegation=world.delegate())


def countersign(*words):
    return CliRunner().invoke(main, words)


def explain(*more, words=FULL):
    result = countersign("explain", *words, *more, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def refusing(answer):
    assert [each["name"] for each in answer["conjuncts"]] == NAMES
    assert all(each.keys() == {"name", "allowed", "reason"} for each in answer["conjuncts"])
    refused = [each["name"] for each in answer["conjuncts"] if not each["allowed"]]
    assert answer["allowed"] is (not refused)
    return refused


def set_role(world, principal, role):
    world.change(
        lambda session, **by_now: members.add_member(
            session, members.find_place(session, "acme/webapp"), principal, role, **by_now
        )
    )


def revoke(world):
    world.change(lambda session, **by_now: delegations.revoke(session, world.delegation, **by_now))


REFUSALS = {
    "human": lambda world: set_role(world, "user:alice", "reporter"),
    "service_account": lambda world: set_role(world, "service_account:duo", "reporter"),
    "delegation": revoke,
    "active": lambda world: world.set_active("alice", active=False),
}


def test_all_five_allow(world):
    answer = explain("--scope", "api")
    assert answer["allowed"] is True
    assert refusing(answer) == []


@pytest.mark.parametrize("name", REFUSALS)
def test_one_conjunct_and_only_it_refuses(world, name):
    REFUSALS[name](world)
    assert refusing(explain("--scope", "api")) == [name]


def test_the_tokens_scopes_and_only_they_refuse(world):
    assert refusing(explain("--scope", "code.read", "--scope", "run.read")) == ["scope"]


def test_a_human_alone(world):
    revoke(world)
    alone = [word for word in FULL if word not in {"--service-account", "duo"}]
    assert refusing(explain(words=alone)) == []


def test_an_enforced_account_alone_is_refused_for_want_of_a_human(world):
    alone = [word for word in FULL if word not in {"--user", "alice"}]
    assert refusing(explain(words=alone)) == ["human"]


def test_what_is_inherited_counts(world):
    set_role(world, "user:alice", "guest")
    assert countersign("member", "add", "acme", "user:alice", "--role", "developer").exit_code == 0
    answer = explain()
    assert refusing(answer) == []
    assert answer["conjuncts"][0]["reason"] == "alice is developer in acme/webapp, which has code.write"


def test_a_group_may_be_asked_about(world):
    words = [*FULL[:-1], "acme"]
    assert refusing(explain(words=words)) == ["human", "service_account"]


def test_a_deleted_project_denies(world):
    assert countersign("project", "delete", "acme/webapp").exit_code == 0
    assert refusing(explain()) == ["human", "service_account"]


def test_for_a_person_it_is_a_table(world):
    revoke(world)
    result = countersign("explain", *FULL)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == "denied"
    assert "no   delegation       the delegation was revoked" in result.stdout.splitlines()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--action", "code.write", "--resource", "acme/webapp"], 2),
        ([*FULL, "--scope", "code.delete"], 2),
        ([*FULL, "--action", "code.delete"], 2),
        (["--user", "nobody", *FULL[4:]], 1),
        (["--user", "alice", "--service-account", "nobody", *FULL[4:]], 1),
    ],
)
def test_what_cannot_be_answered_is_a_refusal_and_no_answer(world, words, code):
    result = countersign("explain", *words)
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr


def test_groups_members_and_paths_on_the_command_line(world):
    assert countersign("project", "create", "acme/tools/cli").exit_code == 0
    groups = json.loads(countersign("group", "list", "--json").stdout)
    assert [each["path"] for each in groups] == ["acme", "acme/tools"]
    added = countersign("member", "add", "acme", "service_account:duo", "--role", "owner", "--json")
    principal = f"service_account:{world.duo}"
    assert json.loads(added.stdout) == {"group": "acme", "principal": principal, "role": "owner"}
    listed = json.loads(countersign("member", "list", "acme/tools/cli", "--json").stdout)
    row = {"principal": principal, "name": "duo", "role": "owner", "from": "acme", "effective": True}
    assert listed == [row]
    removed = countersign("member", "remove", "acme/tools/cli", "service_account:duo")
    assert removed.exit_code == 1
    assert countersign("member", "remove", "acme", "service_account:duo").exit_code == 0
    renamed = countersign("project", "rename", "acme/tools/cli", "acme/cli", "--json")
    assert json.loads(renamed.stdout)["path"] == "acme/cli"
    assert countersign("group", "create", "acme/tools/cli").exit_code == 1
    paths = [each["path"] for each in json.loads(countersign("project", "list", "--json").stdout)]
    assert paths == ["acme/cli", "acme/webapp"]


def test_a_flow_of_a_deleted_project_does_not_start(world):
    assert countersign("project", "delete", "acme/webapp").exit_code == 0
    started = countersign(
        "flow", "start", "fix-ci", "--project", "acme/webapp", "--user", "alice", "--service-account", "duo"
    )
    assert started.exit_code == 1
    assert "there is no project" in started.stderr


def test_a_delegation_for_another_project_refuses(world):
    revoke(world)
    with world.components.database.writing() as session:
        by_now = {"by": OPERATOR, "now": world.clock()}
        delegations.grant(
            session,
            accounts.find_user(session, "alice"),
            accounts.find_service_account(session, "duo"),
            scopes=None,
            project=projects.create_project(session, "acme/other", **by_now),
            expires_at=world.clock() + timedelta(days=1),
            **by_now,
        )
    answer = explain()
    assert refusing(answer) == ["delegation"]
    assert answer["conjuncts"][2]["reason"] == "the delegation is for one project, and not for this"

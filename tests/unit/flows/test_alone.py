"""A human runs a flow alone, where the project allows it: then nothing names an agent."""

import pytest

from app import representation as shapes
from app.errors import Denied, InvalidInput
from app.flows import configurations, runs
from app.flows.kill import kill
from app.flows.start import StartRequest, start
from app.identity import members, projects
from app.identity.cut_offs import CutOffKind
from tests.support.components import OPERATOR, on_every_database, parts

from .test_overtaken import executed

FLOW = """
id_tokens:
  VAULT_ID_TOKEN: {{aud: https://vault.acme.example}}
flows:
  fix-ci:
    access_token: {{scopes: {scopes}}}
    script: ['{print}']
"""


def configure(world, scopes="[code.read]", script="true"):
    body = FLOW.format(scopes=scopes, print=script).encode()
    configurations.store(world.components.database, world.clock, world.project, body, OPERATOR)


def in_project(world, change, *arguments, **keywords):
    return world.change(
        lambda session, **by_now: change(
            session, projects.find_project(session, world.project), *arguments, **keywords, **by_now
        )
    )


def begin(world, account=None):
    wanted = StartRequest(
        project=world.project,
        flow="fix-ci",
        user="alice",
        service_account=account,
        inputs={},
        source="cli",
    )
    return start(world.components.database, world.clock, wanted, OPERATOR)


@pytest.fixture
def alone(world):
    """A project in which humans may run flows alone."""
    configure(world)
    in_project(world, projects.set_workload, "user")
    return world


@pytest.fixture
def minted(alone):
    """The claims of the access token and of the ID token of a run of Alice's."""
    found = []
    number = begin(alone)
    executed(
        alone,
        number,
        after=lambda tokens: found.extend(
            parts(each.token.reveal())[1] for each in (tokens.access, *tokens.ids.values())
        ),
    )
    return found


def test_the_id_token_names_the_human_and_no_agent(alone, minted):
    claims = minted[1]
    assert {"act", "service_account", "service_account_id"}.isdisjoint(claims)
    assert (claims["user_id"], claims["user_login"]) == (str(alone.alice), "alice")
    assert claims["sub"] == "project_path:acme/webapp:flow:fix-ci"


def test_the_access_token_is_the_humans(alone, minted):
    claims = minted[0]
    assert (claims["sub"], claims["scope"]) == (f"user:{alone.alice}", "code.read")
    assert claims["client_id"] == "countersign"
    assert {"act", "service_account", "service_account_id", "delegation_id"}.isdisjoint(claims)
    assert claims["run_id"] == "1"


@pytest.mark.usefixtures("minted")
def test_the_ledger_and_the_rows_name_the_human_alone(alone):
    user = f"user:{alone.alice}"
    rows = [event for event in alone.events() if event.run is not None]
    assert {(event.user, event.service_account) for event in rows} == {(user, None)}
    assert {"flows:run:create", "flows:run:finish", "tokens:id_token:issue"} <= {each.action for each in rows}
    assert {(row.user_id, row.service_account_id, row.delegation_id) for row in alone.tokens()} == {
        (alone.alice, None, None)
    }


def test_its_access_token_is_taken_while_it_runs_for_what_the_scopes_and_the_human_may(alone):
    answers = []

    def after(tokens):
        bearer = {"Authorization": f"Bearer {tokens.access.token.reveal()}"}
        for path in ("/api/v1/me", "/api/v1/projects/acme/webapp/runs"):
            answers.append(alone.http.get(path, headers=bearer))  # noqa: PERF401 - in this order

    number = begin(alone)
    token = []
    executed(alone, number, after=lambda tokens: (after(tokens), token.append(tokens.access.token)))
    me, listed = answers
    assert me.status_code == 200, me.text
    assert listed.status_code == 404, "its scope is code.read"
    bearer = {"Authorization": f"Bearer {token[0].reveal()}"}
    assert alone.http.get("/api/v1/me", headers=bearer).status_code == 401, "the run is over"


def test_its_access_token_is_for_the_runs_project_alone(alone):
    """The human owns another project as well: a delegation would bound an agent, the run does this."""
    other = "acme/other"
    alone.change(projects.create_project, other)
    for path in (alone.project, other):
        alone.change(
            lambda session, path=path, **by: members.add_member(
                session, members.find_place(session, path), "user:alice", "owner", **by
            )
        )
    configure(alone, "[project.read, run.read, audit.read, configuration.write]")
    answers = {}

    def after(tokens):
        token = tokens.access.token.reveal()
        bearer = {"Authorization": f"Bearer {token}"}
        for path in (
            *("/projects", "/groups", "/audit-events", f"/audit-events?project={other}"),
            *(f"/audit-events?project={alone.project}", f"/projects/{alone.project}", f"/projects/{other}"),
            f"/projects/{other}/runs",
        ):
            answers[path] = alone.http.get("/api/v1" + path, headers=bearer)
        variable = f"/projects/{other}/variables/AUD"
        answers["write"] = alone.http.put("/api/v1" + variable, json={"value": "x"}, headers=bearer)
        for kind, named in (("access_token", token), ("user", str(alone.alice))):
            for path in (alone.project, other):
                question = {
                    "subject": {"type": kind, "id": named},
                    "action": {"name": "project.read"},
                    "resource": {"type": "project", "id": path},
                }
                answers[kind, path] = alone.http.post("/access/v1/evaluation", json=question, headers=bearer)

    executed(alone, begin(alone), after=after)
    assert [each["path"] for each in answers.pop("/projects").get_json()["items"]] == [alone.project]
    assert answers.pop("/groups").get_json()["items"] == []
    for kind in ("access_token", "user"):
        assert answers.pop((kind, alone.project)).get_json()["decision"] is True
        assert answers.pop((kind, other)).get_json()["decision"] is False
    assert {path: answer.status_code for path, answer in answers.items()} == {
        "/audit-events": 403,
        f"/audit-events?project={other}": 403,
        f"/audit-events?project={alone.project}": 200,
        f"/projects/{alone.project}": 200,
        f"/projects/{other}": 404,
        f"/projects/{other}/runs": 404,
        "write": 404,
    }


def test_the_shape_of_the_run_has_no_service_account(alone):
    number = begin(alone)
    with alone.components.database.reading() as session:
        shape = shapes.run(runs.find_run(session, number))
    assert (shape["user_login"], shape["service_account"], shape["service_account_name"]) == (
        "alice",
        None,
        None,
    )


@pytest.mark.parametrize(("account", "agent"), [(None, None), ("duo", "duo")])
def test_the_environment_names_who_runs_it(alone, account, agent):
    configure(alone, script="env")
    number, output = begin(alone, account), []
    alone.components.executions.execute(number, output.append, OPERATOR)
    given = dict(line.split("=", 1) for line in b"".join(output).decode().splitlines())
    assert given.get("COUNTERSIGN_SERVICE_ACCOUNT") == agent
    assert given["COUNTERSIGN_USER"] == given["GIT_COMMITTER_NAME"] == "alice"
    assert given["GIT_AUTHOR_NAME"] == (agent or "alice")
    assert given["GIT_AUTHOR_EMAIL"] == ("duo@noreply.localhost" if agent else "alice@example.com")


# Who may


def refused(world, error=Denied):
    with pytest.raises(error) as refusal:
        begin(world)
    event = world.events("flows:run:create")[0]
    assert (event.outcome, event.user, event.service_account) == ("denied", f"user:{world.alice}", None)
    return str(refusal.value)


def test_without_the_projects_leave_an_account_has_to_be_named(world):
    configure(world)
    assert refused(world) == (
        "in acme/webapp nobody runs a flow alone: name a service account (duo), or let a maintainer "
        "allow it: countersign project workload set acme/webapp user"
    )


def test_of_several_accounts_none_is_chosen(world):
    configure(world)
    world.new_account("ada")
    world.delegate(account="ada")
    assert "name a service account (ada or duo)" in refused(world)


def test_an_account_may_still_be_named(alone):
    number = begin(alone, "duo")
    with alone.components.database.reading() as session:
        assert runs.find_run(session, number).service_account_id == alone.duo


def role(world, named):
    in_project(world, members.add_member, "user:alice", named)


@pytest.mark.parametrize(
    ("held", "scopes", "reason"),
    [
        ("reporter", "[]", "human: alice is reporter in acme/webapp; flow.start needs developer"),
        (
            "developer",
            "[project.admin]",
            "human: alice is developer in acme/webapp; project.admin needs owner",
        ),
        (
            "owner",
            "[api]",
            "access_token: api is all that the human may do: name the scopes",
        ),
    ],
)
def test_the_human_needs_flow_start_and_every_scope_in_the_project(alone, held, scopes, reason):
    configure(alone, scopes)
    role(alone, held)
    assert refused(alone).startswith(reason)


def test_a_stranger_is_not_told_how_the_project_is_set(world):
    configure(world)
    in_project(world, members.remove_member, "user:alice")
    assert refused(world).startswith("human: alice is no member")


@pytest.mark.parametrize(
    ("component", "remedy"),
    [("service_account", "name a service account to run it"), ("ref", "from a Git repository")],
)
def test_a_subject_of_what_the_run_lacks_is_refused_at_the_start(alone, component, remedy):
    in_project(alone, projects.set_subject, ["project_path", component])
    assert f"subject: this run has no {component}: " in (reason := refused(alone, InvalidInput))
    assert remedy in reason


# While it runs


def take_back(world):
    in_project(world, projects.set_workload, "service_account")


def remove(world):
    in_project(world, members.remove_member, "user:alice")


def demote(world):
    role(world, "reporter")


def disable(world):
    world.set_active("alice", active=False)


def end_all(world):
    world.change(kill, CutOffKind.USER, "alice", reason="stop it")


def other_subject(world):
    in_project(world, projects.set_subject, ["project_id", "flow"])


ENDS = {
    take_back: "nobody runs a flow alone",
    remove: "alice is no member",
    demote: "alice is reporter",
    disable: "alice is disabled",
    end_all: "killed, by its human: stop it",
}


@on_every_database
@pytest.mark.parametrize("meanwhile", [*ENDS, other_subject])
def test_what_changes_before_its_tokens_are_written_leaves_it_without(alone, meanwhile):
    ended = executed(alone, begin(alone), before=lambda: meanwhile(alone))
    assert ended.state == "cancelled"
    assert ENDS.get(meanwhile, "subject changed as the run began") in ended.reason
    assert alone.tokens() == []


@pytest.mark.parametrize("meanwhile", ENDS)
def test_what_ends_while_it_runs_ends_it(alone, meanwhile):
    configure(alone, script="sleep 600")
    ended = executed(alone, begin(alone), after=lambda _: meanwhile(alone))
    assert (ended.state, ENDS[meanwhile] in ended.reason) == ("cancelled", True), ended.reason

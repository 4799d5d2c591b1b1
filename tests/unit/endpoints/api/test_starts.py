"""Starting flows through the API: as whom, with what, and that asking twice is one run."""

import hashlib

import pytest
from sqlalchemy import select

from app.flows import configurations, runs
from app.flows.models import RunInput, RunState
from app.identity import delegations
from app.identity.models import Delegation
from app.identity.permissions import Role
from tests.support.components import OPERATOR

from .conftest import problem
from .scenes import everybody

RUNS = "/projects/acme/webapp/flows/{}/runs"
START = RUNS.format("fix-ci")
FOR_DUO = {"service_account": "duo"}
YAML = b"""
flows:
  fix-ci:
    inputs: {issue: {type: string, default: "1"}}
    script: [make test]
  explain:
    inputs: {the_issue: {}}
    script: [make]
  deploy:
    access_token: {scopes: [code.write]}
    script: [make deploy]
"""


@pytest.fixture
def here(api):
    """Everybody is a developer in a project with flows."""
    everybody(api.world, "developer")
    parts = api.world.components
    configurations.store(parts.database, parts.clock, api.world.project, YAML, OPERATOR)
    return api


def agent(api, scope: str, delegated: list[str] | None = None) -> str:
    """A token of duo's for alice, who delegated no more than this."""
    world = api.world
    with world.components.database.reading() as session:
        numbers = session.scalars(select(Delegation.id)).all()
    for number in numbers:
        world.change(lambda session, **by_now: delegations.revoke(session, number, **by_now))  # noqa: B023 - now
    world.delegate(scopes=delegated)
    token = world.ask(scope=f"{scope} {world.scope}").get_json()["access_token"]
    api.authorization["agent"] = f"Bearer {token}"
    return "agent"


def finish(api, number: int) -> None:
    api.world.change(
        lambda session, **by_now: runs.finish(
            session, runs.held_run(session, number), RunState.FAILED, "for the test", 1, **by_now
        )
    )


def test_a_human_starts_a_flow_and_a_worker_will_take_it(here):
    answer = here("alice", "POST", START, FOR_DUO | {"inputs": {"issue": "42"}})
    assert answer.status_code == 201
    run = answer.get_json()
    assert (run["state"], run["reason"]) == ("pending", "waits for a worker process")
    assert (run["user_login"], run["service_account_name"]) == ("alice", "duo")
    assert run["started_by"] == run["user"]
    assert answer.headers["Location"].endswith(f"/api/v1/runs/{run['id']}")
    assert (run["configuration"], run["commit"]) == (1, None)
    assert run["config_sha"] == hashlib.sha256(YAML).hexdigest()
    assert here("alice", "GET", f"/runs/{run['id']}").get_json() == run
    with here.world.components.database.reading() as session:
        [given] = session.scalars(select(RunInput).where(RunInput.run_id == run["id"]))
        assert (given.name, given.value) == ("issue", "42")


@pytest.mark.parametrize("role", Role, ids=lambda role: role.label)
@pytest.mark.parametrize("caller", ["alice", "composite token"])
def test_both_roles_have_to_allow_it(here, caller, role):
    everybody(here.world, role.label)
    allowed = role >= Role.DEVELOPER
    assert here(caller, "POST", START, FOR_DUO).status_code == (201 if allowed else 403)


@pytest.mark.parametrize(
    ("caller", "status"),
    [("nobody", 401), ("client secret", 401), ("stranger", 404), ("narrow", 404), ("account", 403)],
)
def test_others_start_nothing(here, caller, status):
    problem(here(caller, "POST", START, FOR_DUO), status)
    assert here("alice", "GET", "/projects/acme/webapp/runs").get_json()["items"] == []


def test_an_administrator_starts_flows_only_where_they_are_a_member(here):
    detail = problem(here("administrator", "POST", START, FOR_DUO), 403)["detail"]
    assert "root" in detail or "delegation" in detail


AGENTS = [
    ("api", None, "fix-ci", 201),
    ("flow.start", ["flow.start"], "fix-ci", 201),
    ("flow.start", None, "fix-ci", 201),
    ("project.read code.read", None, "fix-ci", 403),
    ("project.read", ["project.read", "code.write"], "fix-ci", 403),
    ("flow.start", ["flow.start"], "deploy", 403),
    ("flow.start", ["flow.start", "code.write"], "deploy", 201),
]


@pytest.mark.parametrize(("scope", "delegated", "flow", "status"), AGENTS)
def test_an_agent_starts_what_was_delegated_to_it(here, scope, delegated, flow, status):
    """The token and its delegation cover flow.start, and the delegation what the flow needs."""
    caller = agent(here, scope, delegated)
    answer = here(caller, "POST", RUNS.format(flow), {})
    assert answer.status_code == status, answer.text
    if status == 201:
        run = answer.get_json()
        assert (run["service_account_name"], run["user_login"]) == ("duo", "alice")
        assert run["started_by"] == run["service_account"]


def test_a_human_needs_no_delegation_of_flow_start(here):
    agent(here, "code.read", ["code.read"])
    assert here("alice", "POST", START, FOR_DUO).status_code == 201


def test_an_agent_starts_runs_as_itself_alone(here):
    here.world.new_account("robo")
    refused = problem(here("composite token", "POST", START, {"service_account": "robo"}), 403)
    assert refused["detail"] == "An agent starts runs as itself alone: leave `service_account` out."


def test_a_run_starts_no_other(here):
    """Not even with everything delegated: what it may do was decided when it was started."""
    number = here("alice", "POST", START, FOR_DUO).get_json()["id"]
    executions = here.world.components.executions
    begun = executions.queue.take(OPERATOR)
    assert begun.run_id == number
    here.authorization["run"] = f"Bearer {begun.token.reveal()}"
    problem(here("run", "POST", START, FOR_DUO), 401)
    here.authorization["its access token"] = f"Bearer {access_token_of(here.world, number)}"
    assert here("its access token", "GET", "/projects/acme/webapp").status_code == 200
    refused = problem(here("its access token", "POST", START, FOR_DUO), 403)
    assert refused["detail"] == "A run starts no other."


def access_token_of(world, number: int) -> str:
    from app.flows.run_facts import facts_of
    from app.tokens.grants import for_run

    parts = world.components
    with parts.database.reading() as session:
        run = runs.find_run(session, number)
        facts = facts_of(session, run, world.clock())
        grant = for_run(
            session.connection(),
            facts.identity,
            ["api"],
            None,
            issuer=parts.settings.issuer,
            project=world.project,
            run_id=number,
        )
    return parts.mint.for_run(grant, [], OPERATOR).access.token.reveal()


@pytest.mark.parametrize(
    ("flow", "body", "key", "fix"),
    [
        ("fix-ci", {"service_account": "none"}, "service_account", "names nothing"),
        ("fix-ci", {"inputs": {"issue": ["1"]}}, "inputs.issue", "must be text, a number, `true` or `false`"),
        ("fix-ci", {"inputs": {"s3cret!": ["1"]}}, "inputs.(unknown key)", "must be text"),
        ("fix-ci", {"inputs": {"other": "s3cret"}}, "inputs.other", "is not declared by flow fix-ci, which"),
        ("fix-ci", {"inputs": {"s3cret!": "1"}}, "inputs", "is not declared by flow fix-ci, which"),
        ("fix-ci", {"inputs": {"issue": "x\0"}}, "inputs.issue", "without NUL"),
        ("explain", {}, "inputs.the_issue", "is required by flow explain: give it a value"),
        ("fix-ci", {"input": {}}, "input", "leave it out"),
        ("none", {}, "flow", "the configuration has no flow of that name: it has deploy, explain, fix-ci"),
    ],
)
def test_what_cannot_be_is_refused_once_and_by_its_key(here, flow, body, key, fix):
    refused = problem(here("alice", "POST", RUNS.format(flow), {"service_account": "duo"} | body), 422)
    [fault] = refused["errors"]
    assert fault["key"] == key
    assert fault["fix"].startswith(fix) or fix in fault["fix"]
    assert "s3cret" not in refused["detail"]


def test_refusals_by_the_flow_name_its_inputs_and_flows(here):
    unknown = problem(here("alice", "POST", START, FOR_DUO | {"inputs": {"other": "s3cret"}}), 422)
    assert "other" in unknown["detail"]
    assert "s3cret" not in unknown["detail"]
    assert (
        "deploy, explain, fix-ci"
        in problem(here("alice", "POST", RUNS.format("none"), FOR_DUO), 422)["detail"]
    )


def test_one_refusal_is_one_row_in_both_names(here):
    agent(here, "flow.start", ["flow.start"])
    answer = here("agent", "POST", RUNS.format("deploy"), {})
    [told] = here.told(answer)
    assert (told.action, told.outcome) == ("flows:run:create", "denied")
    assert (told.user, told.service_account) == (
        f"user:{here.world.alice}",
        f"service_account:{here.world.duo}",
    )


class TestIdempotency:
    def test_the_same_asked_twice_is_one_run(self, here):
        first = here("alice", "POST", START, FOR_DUO, Idempotency_Key='"8e03978e"')
        again = here("alice", "POST", START, FOR_DUO, Idempotency_Key='"8e03978e"')
        bare = here("alice", "POST", START, FOR_DUO, Idempotency_Key="8e03978e")
        assert [each.status_code for each in (first, again, bare)] == [201, 200, 200]
        assert first.get_json() == again.get_json() == bare.get_json()
        assert len(here("alice", "GET", "/projects/acme/webapp/runs").get_json()["items"]) == 1
        assert here.told(again) == []

    def test_another_request_under_the_same_key_is_refused(self, here):
        here("alice", "POST", START, FOR_DUO, Idempotency_Key='"1"')
        changed = FOR_DUO | {"inputs": {"issue": "2"}}
        refused = problem(here("alice", "POST", START, changed, Idempotency_Key='"1"'), 422)
        assert refused["errors"][0]["key"] == "idempotency_key"
        flow = RUNS.format("deploy")
        problem(here("alice", "POST", flow, FOR_DUO, Idempotency_Key='"1"'), 422)

    def test_a_key_is_its_starters_own(self, here):
        callers = ("alice", "composite token")
        answers = [here(each, "POST", START, FOR_DUO, Idempotency_Key='"1"') for each in callers]
        assert [each.status_code for each in answers] == [201, 201]

    def test_a_key_is_kept_for_a_day(self, here):
        body = {"service_account": "duo"}
        first = here("alice", "POST", START, body, Idempotency_Key='"1"').get_json()["id"]
        here.world.clock.advance(hours=23.9)
        assert here("alice", "POST", START, body, Idempotency_Key='"1"').get_json()["id"] == first
        here.world.clock.advance(hours=0.2)
        assert here("alice", "POST", START, body, Idempotency_Key='"1"').status_code == 201

    def test_a_refusal_is_not_kept(self, here):
        everybody(here.world, "reporter")
        problem(here("alice", "POST", START, FOR_DUO, Idempotency_Key='"1"'), 403)
        everybody(here.world, "developer")
        assert here("alice", "POST", START, FOR_DUO, Idempotency_Key='"1"').status_code == 201

    def test_who_lost_the_right_is_not_told_of_the_run(self, here):
        here("alice", "POST", START, FOR_DUO, Idempotency_Key='"1"')
        everybody(here.world, "reporter")
        problem(here("alice", "POST", START, FOR_DUO, Idempotency_Key='"1"'), 403)

    @pytest.mark.parametrize("key", ['"a b"', '"a', 'a"b', '""', "", '"' + "x" * 256 + '"', "schlüssel"])
    def test_a_malformed_key_is_refused(self, here, key):
        answer = here("alice", "POST", START, FOR_DUO, Idempotency_Key=key)
        assert answer.status_code in {400, 422}


class TestRetry:
    @pytest.fixture
    def run(self, here) -> int:
        number = here("alice", "POST", START, FOR_DUO | {"inputs": {"issue": "7"}}).get_json()["id"]
        finish(here, number)
        return number

    @pytest.mark.parametrize("caller", ["alice", "composite token"])
    def test_its_human_and_its_agent_start_it_once_more_with_its_inputs(self, here, run, caller):
        again = here(caller, "POST", f"/runs/{run}/retry")
        assert again.status_code == 201
        assert again.get_json()["retry_of"] == run
        with here.world.components.database.reading() as session:
            values = session.scalars(select(RunInput.value).order_by(RunInput.run_id))
            assert list(values) == ["7", "7"]

    def test_nobody_else_does(self, here, run):
        problem(here("stranger", "POST", f"/runs/{run}/retry"), 404)
        problem(here("administrator", "POST", f"/runs/{run}/retry"), 403)
        problem(here("account", "POST", f"/runs/{run}/retry"), 403)

    def test_one_that_goes_on_is_not_retried(self, here, run):
        again = here("alice", "POST", f"/runs/{run}/retry").get_json()["id"]
        assert "pending" in problem(here("alice", "POST", f"/runs/{again}/retry"), 409)["detail"]

    def test_twice_under_one_key_is_one_run(self, here, run):
        answers = [here("alice", "POST", f"/runs/{run}/retry", Idempotency_Key='"r"') for _ in range(2)]
        assert [each.status_code for each in answers] == [201, 200]


def test_a_full_queue_says_to_come_back(here, monkeypatch):
    from app.flows.queue import Limits
    from app.flows.start import Starting

    parts = here.world.components
    monkeypatch.setattr(parts, "starting", Starting(parts.database, parts.clock, Limits(waiting=1)))
    here("alice", "POST", START, FOR_DUO)
    full = here("alice", "POST", START, FOR_DUO)
    assert "are waiting, and no more may" in problem(full, 429)["detail"]
    assert int(full.headers["Retry-After"]) > 0


def test_runs_are_listed_by_what_they_are(here):
    for flow in ("fix-ci", "deploy", "fix-ci"):
        here("alice", "POST", RUNS.format(flow), FOR_DUO)
    finish(here, 1)

    def numbers(query: str) -> list[int]:
        return [
            row["id"]
            for row in here("alice", "GET", f"/projects/acme/webapp/runs?{query}").get_json()["items"]
        ]

    assert numbers("flow=fix-ci") == [3, 1]
    assert numbers("state=failed") == [1]
    assert numbers("state=pending&user=alice") == [3, 2]
    assert numbers("user=bob") == []
    problem(here("alice", "GET", "/projects/acme/webapp/runs?state=lost"), 422)


def test_a_maintainer_says_how_many_at_once(here):
    problem(here("alice", "PATCH", "/projects/acme/webapp", {"concurrent_runs": 2}), 403)
    everybody(here.world, "maintainer")
    changed = here("alice", "PATCH", "/projects/acme/webapp", {"concurrent_runs": 2})
    assert changed.get_json()["concurrent_runs"] == 2
    assert here("alice", "PATCH", "/projects/acme/webapp", {}).get_json()["concurrent_runs"] == 2
    unset = here("alice", "PATCH", "/projects/acme/webapp", {"concurrent_runs": None})
    assert unset.get_json()["concurrent_runs"] is None
    problem(here("alice", "PATCH", "/projects/acme/webapp", {"concurrent_runs": 0}), 422)

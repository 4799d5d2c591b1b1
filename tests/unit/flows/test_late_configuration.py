"""Runs of projects with a Git source that wait for a worker: who takes them reads Git, not their start."""

from dataclasses import replace

import pytest

from app.errors import Denied, InvalidInput, Overtaken
from app.flows import configurations, runs, sources
from app.flows.models import ConfigurationVersion, Run, RunInput
from app.flows.queue import Limits, QueueFull
from app.flows.retry import again
from app.flows.runs import WORKER
from app.flows.source_reader import SourceReader
from app.flows.sources import Wanted
from app.flows.start import Starting, StartRequest
from app.identity import members, projects
from app.identity.projects import find_project
from app.tokens.models import IssuedToken
from tests.support.components import OPERATOR, on_every_database
from tests.support.git_server import read_git_at_leisure

YAML = """
flows:
  fix-ci:
    script: ["true"]
    inputs:
      issue: {type: number}
      title: {default: none}
"""


@pytest.fixture
def repository(world, git_host):
    """The project's configuration is on its branch main; nothing has been asked of the host since."""
    read_git_at_leisure(world.components)
    repository = git_host.repository()
    repository.commit(YAML)
    wanted = Wanted.checked(repository.url, "main", None)
    world.components.source_reader.set(world.project, wanted, OPERATOR)
    git_host.asked.clear()
    return repository


def request(world, **other) -> StartRequest:
    asked = {"project": world.project, "flow": "fix-ci", "user": "alice", "service_account": "duo"}
    return StartRequest(**asked | {"inputs": {"issue": 7}, "source": "api", "is_queued": True} | other)


def started(world, **other) -> int:
    return world.components.starting.start(request(world, **other), OPERATOR).run_id


def carried_out(world, meanwhile=lambda: None) -> Run:
    node = world.components.executions
    begun = node.queue.take(WORKER)
    meanwhile()
    node.carry_out(begun, lambda _: None, WORKER)
    return row(world, begun.run_id)


def row(world, number) -> Run:
    with world.components.database.reading() as session:
        return runs.find_run(session, number)


def inputs_of(world, number) -> dict[str, str]:
    with world.components.database.reading() as session:
        return {each.name: each.value for each in session.query(RunInput).filter_by(run_id=number)}


def tokens(world) -> int:
    with world.components.database.reading() as session:
        return session.query(IssuedToken).count()


def remove_source(world):
    world.change(
        lambda session, **by_now: sources.remove_source(
            session, find_project(session, world.project), **by_now
        )
    )


@on_every_database
def test_a_start_asks_git_nothing_and_the_worker_reads_it_as_it_is_then(world, repository, git_host):
    number = started(world)
    run = row(world, number)
    assert (run.state, run.configuration_id, run.given_inputs) == ("pending", None, {"issue": 7})
    assert (git_host.asked, inputs_of(world, number)) == ([], {})

    moved = repository.commit(YAML + "      more: {default: x}\n")
    run = carried_out(world)
    assert (run.state, run.given_inputs) == ("succeeded", {"issue": 7})
    assert inputs_of(world, number) == {"issue": "7", "title": "none", "more": "x"}
    with world.components.database.reading() as session:
        assert session.get_one(ConfigurationVersion, run.configuration_id).commit_sha == moved
        assert run.commit == moved


def test_both_parties_are_named_wherever_it_is_told(world, repository):
    number = started(world)
    repository.commit(YAML + "# moved\n")
    carried_out(world)
    told = [each for each in world.events() if each.run == number and each.action.startswith("flows:")]
    assert [each.action for each in reversed(told)] == [
        *("flows:run:create", "flows:run:start", "flows:source:read", "flows:run:configure"),
        "flows:run:finish",
    ]
    parties = (f"user:{world.alice}", f"service_account:{world.duo}")
    assert {(each.user, each.service_account) for each in told} == {parties}
    configured = told[1]
    assert configured.detail["commit"] == repository.tip()
    assert configured.detail.keys() == {"version", "commit", "config_sha"}


def gone(world, repository, git_host):
    repository.git("branch", "--quiet", "--move", "trunk")


def refused(world, repository, git_host):
    git_host.status = 503


def faulty(world, repository, git_host):
    repository.commit("flows: {fix-ci: {script: [x], secret: y}}\n")


def other_flow(world, repository, git_host):
    repository.commit("flows: {other: {script: [x]}}\n")


def other_inputs(world, repository, git_host):
    repository.commit("flows: {fix-ci: {script: [x]}}\n")


def no_source(world, repository, git_host):
    remove_source(world)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (gone, "there is no branch main"),
        (refused, "it answers 503"),
        (faulty, "secret"),
        (other_flow, "has no flow of that name"),
        (other_inputs, "inputs.issue: is not declared"),
        (no_source, "has no Git source"),
    ],
)
def test_what_cannot_be_read_or_does_not_fit_fails_the_run_without_a_token(
    world, repository, git_host, spoil, reason
):
    number = started(world)
    spoil(world, repository, git_host)
    before = tokens(world)
    run = carried_out(world)
    assert (run.id, run.state, run.configuration_id) == (number, "failed", None)
    assert reason in run.reason
    assert tokens(world) == before
    [finished] = world.events("flows:run:finish")
    assert (finished.outcome, finished.user) == ("failed", f"user:{world.alice}")


@pytest.mark.parametrize(
    ("inputs", "key"),
    [
        ({"issue": "x" * 8193}, r"^inputs\.issue: "),
        ({"issue": "a\0"}, r"^inputs\.issue: "),
        ({"issue": float("nan")}, r"^inputs\.issue: "),
        ({"x" * 256: 1}, "name"),
    ],
)
def test_what_no_flow_would_take_is_refused_at_once(world, repository, inputs, key):
    with pytest.raises(InvalidInput, match=key):
        started(world, inputs=inputs)


def test_values_keep_their_types_until_the_flow_says_what_they_are(world, repository):
    number = started(world, inputs={"issue": 7, "title": True})
    assert "inputs.title: must be text" in carried_out(world).reason
    assert row(world, number).given_inputs == {"issue": 7, "title": True}


def test_a_retry_of_one_that_never_got_its_configuration_has_its_inputs(world, repository, git_host):
    git_host.status = 503
    number = started(world)
    carried_out(world)
    git_host.status = None
    with world.components.database.reading() as session:
        asked = replace(again(session, number, source="api"), is_queued=True)
    assert asked.inputs == {"issue": 7}
    second = world.components.starting.start(asked, OPERATOR).run_id
    assert (carried_out(world).state, inputs_of(world, second)["issue"]) == ("succeeded", "7")


def test_who_may_not_start_is_refused_at_once(world, repository, git_host):
    world.change(
        lambda session, **by_now: members.remove_member(
            session, find_project(session, world.project), "user:alice", **by_now
        )
    )
    with pytest.raises(Denied):
        started(world)
    assert git_host.asked == []


def test_a_human_alone_where_that_is_not_allowed_is_refused_at_once(world, repository):
    with pytest.raises(Denied, match="nobody runs a flow alone"):
        started(world, service_account=None)


def test_the_queue_and_the_key_hold_at_once(world, repository):
    parts = world.components
    starting = Starting(parts.database, parts.clock, Limits(waiting=1))
    first = starting.start(request(world, idempotency_key="k"), OPERATOR)
    assert starting.start(request(world, idempotency_key="k"), OPERATOR).run_id == first.run_id
    with pytest.raises(InvalidInput, match="another request"):
        starting.start(request(world, idempotency_key="k", inputs={"issue": 8}), OPERATOR)
    with pytest.raises(QueueFull):
        starting.start(request(world), OPERATOR)


def test_one_that_is_cancelled_while_git_is_read_gets_nothing(world, repository):
    number = started(world)
    before = tokens(world)

    def cancel():
        world.change(lambda session, **by_now: runs.request_cancel(session, number, **by_now))

    assert carried_out(world, meanwhile=cancel).state == "cancelled"
    assert tokens(world) == before


class Interrupted:
    """Git, and what others do while it reads."""

    def __init__(self, git, meanwhile):
        self.git, self.meanwhile = git, meanwhile

    def branch(self, url, name):
        self.meanwhile()
        return self.git.branch(url, name)


@on_every_database
def test_a_path_that_changes_hands_while_git_is_read_starts_nothing(world, repository):
    """The configuration of one project never makes a run of another."""
    parts = world.components

    def change_hands():
        world.change(
            lambda session, **by_now: projects.rename_project(
                session, find_project(session, world.project), "acme/elsewhere", **by_now
            )
        )
        world.change(projects.create_project, world.project, subject=("project_id", "flow"))

    slow = SourceReader(parts.database, parts.clock, Interrupted(parts.git, change_hands))
    with pytest.raises(Overtaken, match="became another project"):
        replace(parts.starting, sources=slow).start(request(world, is_queued=False), OPERATOR)
    with parts.database.reading() as session:
        assert session.query(Run).count() == 0


@on_every_database
def test_a_workload_that_changes_while_git_is_read_counts(world, repository):
    parts = world.components

    def allow(workload):
        world.change(
            lambda session, **by_now: projects.set_workload(
                session, find_project(session, world.project), workload, **by_now
            )
        )

    allow("user")
    slow = SourceReader(parts.database, parts.clock, Interrupted(parts.git, lambda: allow("service_account")))
    with pytest.raises(Denied, match="nobody runs a flow alone"):
        replace(parts.starting, sources=slow).start(
            request(world, is_queued=False, service_account=None), OPERATOR
        )


def test_a_stored_configuration_is_read_by_the_start_as_ever(world):
    parts = world.components
    configurations.store(parts.database, parts.clock, world.project, YAML.encode(), OPERATOR)
    run = row(world, started(world))
    assert (run.configuration_id is not None, run.given_inputs) == (True, {"issue": 7})
    assert inputs_of(world, run.id) == {"issue": "7", "title": "none"}

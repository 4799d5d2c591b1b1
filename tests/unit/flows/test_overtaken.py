"""What ends or changes a run between the decision and its tokens: then there are none, nor any secrets."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from app.flows import configurations, runs
from app.flows.kill import kill
from app.flows.models import Run
from app.flows.start import StartRequest, start
from app.identity import delegations, members, projects
from app.identity.cut_offs import CutOffKind
from app.tokens.mint import Mint, RunTokens
from tests.support.components import OPERATOR, on_every_database

CONFIGURATION = b"""
variables:
  VAULT_SERVER_URL: http://127.0.0.1:9
id_tokens:
  VAULT_ID_TOKEN: {aud: https://vault.acme.example}
flows:
  fix-ci:
    script: ["true"]
    secrets:
      PASSWORD: {vault: production/db/password}
"""


@dataclass(frozen=True)
class Interrupted(Mint):
    """The mint, and what others do before and after it."""

    before: Callable[[], object] = lambda: None
    after: Callable[[RunTokens], object] = lambda _: None

    def for_run(self, *arguments) -> RunTokens:
        self.before()
        tokens = super().for_run(*arguments)
        self.after(tokens)
        return tokens


@pytest.fixture
def run(world) -> int:
    here = world.components
    configurations.store(here.database, here.clock, world.project, CONFIGURATION, OPERATOR)
    wanted = StartRequest(
        project=world.project, flow="fix-ci", user="alice", service_account="duo", inputs={}, source="cli"
    )
    return start(here.database, here.clock, wanted, OPERATOR)


def executed(world, number: int, **interruptions) -> Run:
    node = world.components.executions
    mint = Interrupted(**vars(node.mint), **interruptions)
    replace(node, mint=mint).execute(number, lambda _: None, OPERATOR)
    with world.components.database.reading() as session:
        return runs.find_run(session, number)


def place(session, world):
    return members.find_place(session, world.project)


def kill_the_run(world, number):
    world.change(kill, CutOffKind.RUN, str(number), reason="stop it")


def cancel(world, number):
    world.change(runs.request_cancel, number)


def abandon(world, _):
    world.clock.advance(minutes=5)
    assert runs.fail_abandoned(world.components.database, world.clock()) == 1


def out_of_time(world, _):
    world.clock.advance(hours=1)


def revoke(world, _):
    world.change(delegations.revoke, world.delegation)


def remove_the_member(world, _):
    world.change(
        lambda session, **by: members.remove_member(session, place(session, world), "user:alice", **by)
    )


def promote_the_member(world, _):
    world.change(
        lambda session, **by: members.add_member(session, place(session, world), "user:alice", "owner", **by)
    )


def rename(world, _):
    world.change(
        lambda session, **by: projects.rename_project(session, place(session, world), "other/webapp", **by)
    )


def delete(world, _):
    world.change(lambda session, **by: projects.delete_project(session, place(session, world), **by))


OVERTAKEN = {
    kill_the_run: ("cancelled", "killed, by its number: stop it"),
    cancel: ("cancelled", "cancelled; everything"),
    abandon: ("failed", "the process that executed it is gone"),
    out_of_time: ("failed", "the time limit was reached"),
    revoke: ("cancelled", "was revoked"),
    remove_the_member: ("cancelled", "alice is no member"),
    promote_the_member: ("cancelled", "changed as the run began"),
    rename: ("cancelled", "changed as the run began"),
    delete: ("cancelled", "human: there is no such project or group"),
}


@on_every_database
@pytest.mark.parametrize("meanwhile", OVERTAKEN)
def test_a_decision_that_does_not_hold_any_more_is_not_committed(world, run, meanwhile):
    """Even by a mint whose clock is later than whatever overtook it."""

    def before():
        meanwhile(world, run)
        world.clock.advance(seconds=1)

    ended = executed(world, run, before=before)
    state, reason = OVERTAKEN[meanwhile]
    assert (ended.state, reason in ended.reason) == (state, True), ended.reason
    assert world.tokens() == []


def test_nothing_is_read_from_vault_once_the_run_must_end(world, run):
    ended = executed(world, run, after=lambda _: kill_the_run(world, run))
    assert (ended.state, ended.reason) == ("cancelled", "killed, by its number: stop it")
    assert world.events("flows:secret:read") == []


@pytest.mark.parametrize("end", [kill_the_run, cancel, abandon])
def test_its_tokens_die_as_it_is_ended_and_not_when_its_executor_notices(world, run, end):
    answers = []

    def ask(tokens):
        bearer = {"Authorization": f"Bearer {tokens.access.token.reveal()}"}
        answers.append(world.http.get("/api/v1/me", headers=bearer).status_code)

    def after(tokens):
        ask(tokens)
        end(world, run)
        ask(tokens)

    executed(world, run, after=after)
    assert answers == [200, 401]


CHANGES = [kill_the_run, cancel, remove_the_member, promote_the_member, rename, delete]


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.usefixtures("unhurried")
def test_whoever_changes_it_waits_for_tokens_that_are_being_written(world, run, change):
    """SQLite has one writer at a time, which waits anyway."""
    with world.components.database.writing() as session:
        runs.begin(session, run, "0" * 64, by=OPERATOR, now=world.clock())
    with world.components.database.writing() as session:
        runs.shared_run(session, run)
        other = threading.Thread(target=change, args=(world, run))
        other.start()
        other.join(0.3)
        waited = other.is_alive()
    other.join(30)
    assert waited


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_runs_of_one_project_do_not_wait_for_each_other(world, run):
    with world.components.database.writing() as one, world.components.database.writing() as two:
        assert runs.shared_run(one, run).id == runs.shared_run(two, run).id

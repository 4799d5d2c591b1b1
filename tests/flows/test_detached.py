"""Runs that the worker process of `countersign serve` executes: taken, cancelled, stopped, killed with it."""

import os
import signal
import time
from collections.abc import Callable

import pytest
import requests

from tests.support.family import alive_with, family
from tests.support.sample_flow import FLOW, PROJECT, SampleFlow
from tests.support.server import Server

LINGER = 'echo begun; touch "$OUT/$COUNTERSIGN_RUN_ID"; setsid sh -c "sleep 300 & sleep 301" & sleep 302'
"""Says that it has begun; then processes only wait, one of them in a session of its own without a parent."""


def until(holds: Callable[[], object], *, patience: float = 120) -> None:
    deadline = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def detached(flow: SampleFlow, *options: str) -> int:
    words = ("flow", "start", FLOW, "--project", PROJECT, "--user", "alice", "--service-account", "duo")
    run = flow.cli(*words, "--detach", *options, json=True).data
    assert run["state"] == "pending"
    number: int = run["id"]
    return number


def shown(flow: SampleFlow, number: int) -> dict[str, object]:
    run: dict[str, object] = flow.cli("run", "show", str(number), json=True).data
    return run


def state_of(flow: SampleFlow, number: int) -> str:
    [(state,)] = flow.rows("SELECT state FROM runs WHERE id = ?", number)
    return str(state)


def begun(flow: SampleFlow, number: int) -> None:
    until((flow.out / str(number)).exists)


def steps_of(flow: SampleFlow) -> dict[int, str]:
    return alive_with(str(flow.installation.folder / "var/runs"))


def worker_of(server: Server) -> int:
    commands = alive_with(str(server.log.parent))
    [pid] = [each for each in family(server.process.pid)[1:] if "app.cli worker" in commands.get(each, "")]
    return pid


def tokens_alive(flow: SampleFlow, number: int) -> int:
    """Tokens of the run that no cut-off of it covers."""
    query = """SELECT count(*) FROM issued_tokens t WHERE run_id = ? AND NOT EXISTS (
        SELECT 1 FROM cut_offs c WHERE c.kind = 'run' AND c.target = CAST(t.run_id AS TEXT)
        AND c.at >= t.issued_at)"""
    [(alive,)] = flow.rows(query, number)
    return int(alive)


@pytest.fixture
def flow(sample_flow):
    sample_flow.configure_flow(LINGER, id_tokens={"T_ID_TOKEN": {"aud": "https://verifier.example"}})
    return sample_flow


def test_a_run_waits_for_a_server_and_is_executed_by_it(sample_flow):
    sample_flow.configure_flow("echo done", id_tokens={"T_ID_TOKEN": {"aud": "https://verifier.example"}})
    number = detached(sample_flow)
    told = sample_flow.cli("run", "show", str(number)).stdout
    assert "waits for a worker process" in told
    with sample_flow.installation.serve() as server:
        until(lambda: state_of(sample_flow, number) == "succeeded")
        again = sample_flow.cli("run", "retry", str(number), "--detach", json=True).data
        assert again["retry_of"] == number
        followed = sample_flow.cli("run", "log", str(again["id"]), "--follow").stdout
        assert followed == "done\n"
        until(lambda: 'countersign_runs_finished_total{state="succeeded"} 2.0' in metrics(server))
        assert 'countersign_runs{state="pending"} 0.0' in metrics(server)
    run = shown(sample_flow, number)
    assert (run["id_tokens"], run["exit_code"], run["reason"]) == (["T_ID_TOKEN"], 0, None)
    assert str(run["started_by"]).startswith("operator:")
    both = {(event["user"], event["service_account"]) for event in sample_flow.events("--run", str(number))}
    assert both == {("user:1", "service_account:3")}


def metrics(server: Server) -> str:
    return requests.get(f"{server.issuer}/metrics", timeout=30).text


def test_runs_of_a_server_are_bounded_cancelled_and_end_with_it(flow):
    flow.cli("project", "concurrency", "set", PROJECT, "1")
    first, second, third = (detached(flow) for _ in range(3))
    with flow.installation.serve():
        begun(flow, first)
        assert "at most 1 at once" in str(shown(flow, second)["reason"])
        flow.cli("run", "cancel", str(third))
        assert state_of(flow, third) == "cancelled"
        flow.cli("run", "cancel", str(first))
        begun(flow, second)
        assert (shown(flow, first)["state"], tokens_alive(flow, first)) == ("cancelled", 0)
    ended = shown(flow, second)
    assert (ended["state"], tokens_alive(flow, second)) == ("cancelled", 0)
    assert "the server was stopped while it ran" in str(ended["reason"])
    until(lambda: not steps_of(flow))
    assert flow.count("issued_tokens") == 4


def test_a_node_executes_so_many_at_once(flow):
    first, second = detached(flow), detached(flow)
    with flow.installation.serve(RUNS_PER_NODE="1"):
        begun(flow, first)
        assert shown(flow, second)["reason"] == "waits for a worker process"
        flow.cli("run", "cancel", str(first))
        begun(flow, second)
        assert shown(flow, first)["state"] == "cancelled"


def test_a_worker_that_is_killed_takes_its_runs_along_and_the_next_one_says_so(flow):
    numbers = [detached(flow) for _ in range(2)]
    with flow.installation.serve() as server:
        for number in numbers:
            begun(flow, number)
        assert [tokens_alive(flow, number) for number in numbers] == [2, 2]
        killed = worker_of(server)
        os.kill(killed, signal.SIGKILL)
        until(lambda: not steps_of(flow))
        until(lambda: {state_of(flow, number) for number in numbers} == {"failed"})
        for number in numbers:
            assert shown(flow, number)["reason"] == "the process that executed it is gone"
            assert tokens_alive(flow, number) == 0
        after = detached(flow)
        begun(flow, after)
        flow.cli("run", "cancel", str(after))
        until(lambda: state_of(flow, after) == "cancelled")


def test_a_run_in_this_process_waits_its_turn_and_can_be_called_off(flow):
    flow.cli("project", "concurrency", "set", PROJECT, "1")
    with flow.starting():
        begun(flow, 1)
        with flow.starting() as waiting:
            until(lambda: flow.count("runs") == 2 and shown(flow, 2)["reason"])
            assert "at most 1 at once" in str(shown(flow, 2)["reason"])
            waiting.send_signal(signal.SIGINT)
            assert waiting.wait(120) == 1
        assert (shown(flow, 2)["state"], shown(flow, 2)["reason"]) == (
            "cancelled",
            "interrupted before it began",
        )


def test_a_run_that_was_killed_here_holds_nobody_up(flow):
    """Its place is free as soon as somebody waits for it, long before it counts as abandoned."""
    flow.cli("project", "concurrency", "set", PROJECT, "1")
    with flow.starting() as process:
        begun(flow, 1)
        process.kill()
        process.wait()
    with flow.starting():
        begun(flow, 2)
        assert shown(flow, 1)["reason"] == "the process that executed it is gone"
        assert tokens_alive(flow, 1) == 0


def test_the_same_key_is_the_same_run(sample_flow):
    sample_flow.configure_flow("echo once")
    words = ("flow", "start", FLOW, "--project", PROJECT, "--user", "alice", "--service-account", "duo")
    first, again = (sample_flow.cli(*words, "--idempotency-key", "k", json=True) for _ in range(2))
    assert first.data == again.data
    assert ("once" in first.stderr, "once" in again.stderr) == (True, False)
    other = sample_flow.cli(*words, "--input", "OUT=elsewhere", "--idempotency-key", "k", exit_code=1)
    assert "was used for another request" in other.stderr


def test_runs_are_listed_by_what_they_are(sample_flow):
    sample_flow.configure_flow("true")
    for user in ("alice", "bob"):
        sample_flow.start(user=user)
    detached(sample_flow)

    def numbers(*options: str) -> list[int]:
        return [run["id"] for run in sample_flow.cli("run", "list", *options, json=True).data]

    assert numbers("--user", "bob") == [2]
    assert numbers("--state", "succeeded", "--project", PROJECT, "--flow", FLOW) == [2, 1]
    assert numbers("--state", "pending") == [3]
    assert numbers("--limit", "1") == [3]
    refused = sample_flow.cli("run", "list", "--project", "acme/none", exit_code=1)
    assert "there is no project" in refused.stderr

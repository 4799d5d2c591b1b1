"""`kill -9` of worker processes while they execute runs: each run ends once, and nothing of it lives on."""

import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.support import effort
from tests.support.family import alive_with
from tests.support.sample_flow import FLOW, PROJECT, SampleFlow
from tests.support.server import command

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

KILLS = effort.count(ci=6, proof=100)
RUNS = 3
STEPS = 'setsid sh -c "sleep 300 & sleep 301" & touch "$OUT/$COUNTERSIGN_RUN_ID"; sleep 0.5; kill %1 || true'


def until(holds: Callable[[], object], *, patience: float = 150) -> None:
    deadline = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@contextmanager
def worker(flow: SampleFlow) -> Iterator[subprocess.Popen[bytes]]:
    with (flow.installation.folder / "worker.log").open("ab") as output:
        process = subprocess.Popen(
            [*command(), "worker"],
            env=flow.installation.environment,
            cwd=flow.installation.folder,
            stdout=output,
            stderr=output,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_workers_killed_at_any_moment(sample_flow):
    seed = time.time_ns()
    print(f"seed {seed}")  # noqa: T201 - pytest shows it with a failure
    moments = random.Random(seed)  # noqa: S311 - moments, not secrets
    flow = sample_flow
    flow.installation.environment["COUNTERSIGN_QUEUE_PER_PROJECT"] = str(
        KILLS * RUNS
    )  # some wait for the last
    flow.configure_flow(STEPS, id_tokens={"T_ID_TOKEN": {"aud": "https://verifier.example"}})
    start = ("flow", "start", FLOW, "--project", PROJECT, "--user", "alice", "--service-account", "duo")
    for _ in range(KILLS):
        for _ in range(RUNS):
            flow.cli(*start, "--detach")
        with worker(flow) as process:
            until(lambda: flow.rows("SELECT 1 FROM runs WHERE state = 'running'"))
            time.sleep(moments.uniform(0, 1.5))
            process.kill()
            process.wait()
            until(lambda: not alive_with(str(flow.installation.folder / "var/runs")))
    with worker(flow) as last:
        unended = "SELECT 1 FROM runs WHERE state IN ('pending', 'running')"
        until(lambda: not flow.rows(unended), patience=150 + KILLS * RUNS)
        last.send_signal(signal.SIGTERM)
        assert last.wait(120) == 0
    assert_each_ended_once(flow)
    assert not list((flow.installation.folder / "var/runs").iterdir())


def assert_each_ended_once(flow: SampleFlow) -> None:
    for action in ("create", "start", "finish"):
        query = "SELECT run, count(*) FROM audit_events WHERE action = ? AND outcome <> 'denied' GROUP BY run"
        assert {count for _, count in flow.rows(query, f"flows:run:{action}")} == {1}
    ends = dict(flow.rows("SELECT reason, count(*) FROM runs GROUP BY reason"))
    assert ends.keys() <= {None, "the process that executed it is gone"}
    assert sum(ends.values()) == KILLS * RUNS
    alive = """SELECT count(*) FROM issued_tokens t WHERE NOT EXISTS (SELECT 1 FROM cut_offs c
        WHERE c.kind = 'run' AND c.target = CAST(t.run_id AS TEXT) AND c.at >= t.issued_at)"""
    assert flow.rows(alive) == [(0,)]

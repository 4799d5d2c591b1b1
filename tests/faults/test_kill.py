"""`kill -9` at random moments: no token without its rows, one active and one next key, and it starts again.

Whole servers are killed as often as their start-ups allow; the same work in one process, without them, much
more often.
"""

import errno
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import pytest
import requests

from tests.support import effort, forgery, sample_flow
from tests.support.family import alive_with, family
from tests.support.process import answers
from tests.support.sample_flow import FLOW, HAND_OUT, PROJECT, SampleFlow
from tests.support.server import Installation, Server
from tests.support.tools import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

SERVER_KILLS = effort.count(ci=15, proof=200)
MINT_KILLS = effort.count(ci=200, proof=2000)
RUN_KILLS = effort.count(ci=50, proof=500)
FIRST_START_KILLS = effort.count(ci=15, proof=200)
CLIENTS = 3


@pytest.fixture
def moments(request: pytest.FixtureRequest) -> random.Random:
    """Other moments each time; a failure shows the seed."""
    seed = time.time_ns()
    request.node.user_properties.append(("seed", seed))
    print(f"seed {seed}")  # noqa: T201 - pytest shows it with a failure
    return random.Random(seed)  # noqa: S311 - moments, not secrets


def until(holds: Callable[[], object], *, patience: float = 120) -> None:
    deadline = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def assert_whole(sample: SampleFlow, received: set[str]) -> None:
    """What a client holds is in the database; what is there is in the ledger, and the other way round."""
    tokens = {jti for (jti,) in sample.rows("SELECT jti FROM issued_tokens")}
    told = sample.rows(
        "SELECT jti FROM audit_events WHERE action LIKE 'tokens:%:issue' AND outcome = 'success'"
    )
    assert received <= tokens
    assert {jti for (jti,) in told} == tokens
    assert len(told) == len(tokens)
    assert sample.rows("PRAGMA integrity_check") == [("ok",)]
    assert_one_active_one_next(sample)


def assert_one_active_one_next(sample: SampleFlow) -> None:
    keys = dict(sample.rows("SELECT kid, state FROM signing_keys"))
    assert sorted(keys.values()) == ["active", "next"]
    assert keys.keys() <= {path.stem for path in (sample.installation.folder / "keys").glob("*.pem")}


class Clients:
    """Threads that ask for tokens until the server is gone, and remember what they received."""

    def __init__(self, sample: SampleFlow) -> None:
        secret = sample.cli("service-account", "secret", "create", "duo", json=True).data
        self._auth = (secret["client_id"], secret["client_secret"])
        self._url = f"http://127.0.0.1:{sample.installation.port}/oauth/token"
        self.received: set[str] = set()

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Leaves only after the server has: then no answer is under way any more."""
        threads = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        yield
        for thread in threads:
            thread.join()

    def _ask(self) -> None:
        with requests.Session() as session:
            while True:
                form = {"grant_type": "client_credentials", "scope": "api user:1"}
                try:
                    answer = session.post(self._url, form, auth=self._auth, timeout=60)
                except requests.RequestException:
                    return
                if answer.status_code == 503:  # a disk that is busy for seconds: none was issued
                    continue
                assert answer.status_code == 200, answer.text
                self.received.add(forgery.read(answer.json()["access_token"])[1]["jti"])


def test_a_server_killed_under_load(sample_flow, moments, record_property):
    """At any moment from its readiness on; every other time after an answer, so that there is load."""
    clients, seconds = Clients(sample_flow), []
    for number in range(SERVER_KILLS):
        began, least = time.monotonic(), len(clients.received) + number % 2
        with sample_flow.installation.serve() as server:
            seconds.append(time.monotonic() - began)
            with clients.asking():
                until(lambda least=least: len(clients.received) >= least)
                time.sleep(moments.uniform(0, 1))
                server.kill()
            assert_nothing_left(sample_flow.installation)
        assert_whole(sample_flow, clients.received)
    record_property("seconds to ready, the longest", max(seconds))
    record_property("seconds to ready, the median", sorted(seconds)[len(seconds) // 2])
    assert_serves(sample_flow)


def assert_nothing_left(installation: Installation) -> None:
    """No process, and soon nobody on the port: the kernel takes the memory of a killed process, by which
    we know it, before its sockets.
    """
    until(lambda: not alive_with(str(installation.folder)))
    until(lambda: is_refused(installation.port))


def is_refused(port: int) -> bool:
    with closing(socket.socket()) as asking:
        return asking.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED


def assert_serves(sample: SampleFlow) -> None:
    """The next start works: the keys are published, and a token is issued."""
    clients = Clients(sample)
    with sample.installation.serve() as server:
        jwks = requests.get(f"{server.issuer}/.well-known/jwks.json", timeout=60).json()
        assert len(jwks["keys"]) == 2
        with clients.asking():
            until(lambda: clients.received)
            server.kill()
    assert_whole(sample, clients.received)


@contextmanager
def crashing(installation: Installation) -> Iterator[Callable[..., list[str]]]:
    """Orders for `crashing.py`; what each answers."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.faults.crashing"],
        cwd=ROOT,
        env={"PATH": installation.environment["PATH"], "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:

        def crash(task: str, delay: float, environment: dict[str, str], **order: Any) -> list[str]:
            assert process.stdin is not None
            assert process.stdout is not None
            own = {name: value for name, value in environment.items() if name.startswith("COUNTERSIGN_")}
            order |= {"task": task, "delay": delay, "environment": own}
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
            answer: list[str] = json.loads(process.stdout.readline())
            return answer

        yield crash
        process.stdin.close()


def test_a_mint_killed_between_any_two_instructions(sample_flow, moments, record_property):
    received: set[str] = set()
    with crashing(sample_flow.installation) as crash:
        for _ in range(MINT_KILLS):
            environment = sample_flow.installation.environment
            received |= set(crash("mint", moments.uniform(0, 0.1), environment))
    record_property("tokens received", len(received))
    assert received
    assert_whole(sample_flow, received)


def test_a_run_killed_between_any_two_instructions(sample_flow, moments):
    sample_flow.configure_flow(
        HAND_OUT,
        'mv "$OUT/environment" "$OUT/$COUNTERSIGN_RUN_ID"',
        "sleep 0.1",
        id_tokens={name: {"aud": "https://vault.example"} for name in ("ONE_ID_TOKEN", "TWO_ID_TOKEN")},
    )
    began = time.monotonic()
    sample_flow.start()
    lasts = time.monotonic() - began
    request = {"project": PROJECT, "flow": FLOW, "user": "alice", "service_account": "duo"}
    with crashing(sample_flow.installation) as crash:
        for _ in range(RUN_KILLS):
            environment = sample_flow.installation.environment
            crash("run", moments.uniform(0, 1.5 * lasts), environment, request=request)
        until(lambda: not alive_with(str(sample_flow.installation.folder / "var/runs")))
    received = {
        forgery.read(value)[1]["jti"]
        for file in sample_flow.out.iterdir()
        for entry in file.read_text().split("\0")
        for name, _, value in [entry.partition("=")]
        if name in {"ONE_ID_TOKEN", "TWO_ID_TOKEN", "COUNTERSIGN_ACCESS_TOKEN"}
    }
    assert received
    assert_whole(sample_flow, received)
    minted = dict(
        sample_flow.rows("SELECT run_id, count(*) FROM issued_tokens WHERE run_id > 0 GROUP BY run_id")
    )
    assert set(minted.values()) == {3}
    untold = (
        "SELECT id FROM runs WHERE NOT EXISTS (SELECT 1 FROM audit_events"
        " WHERE run = runs.id AND action = 'flows:run:create' AND outcome = 'success')"
    )
    assert sample_flow.rows(untold) == []


def test_a_first_start_killed_while_it_makes_its_keys(tmp_path, moments):
    finished = 0
    with crashing(Installation(tmp_path)) as crash:
        for number in range(FIRST_START_KILLS):
            folder = tmp_path / str(number)
            folder.mkdir()
            installation = Installation(folder)
            delay = moments.uniform(0, 1.2 if number % 2 else 0.1)  # long, or too short for any machine
            finished += len(crash("first_start", delay, installation.environment))
            assert installation.invoke("init", json=True).data["keys"] == 2
            sample = SampleFlow(installation, folder)
            assert_one_active_one_next(sample)
            created = sample.rows(
                "SELECT count(*) FROM audit_events WHERE action = 'keys:signing_key:create'"
            )
            assert created == [(2,)]
            assert installation.invoke("doctor", json=True).data
    assert finished < FIRST_START_KILLS


def test_many_first_starts_at_once_make_one_pair(tmp_path):
    installation = Installation(tmp_path)
    with ThreadPoolExecutor(3) as threads:
        for started in [threads.submit(installation.run, "init") for _ in range(3)]:
            started.result()
    sample = SampleFlow(installation, tmp_path)
    assert_one_active_one_next(sample)
    files = {path.name for path in (tmp_path / "keys").iterdir()}
    kids = [kid for (kid,) in sample.rows("SELECT kid FROM signing_keys")]
    assert files == {"ledger.pem", *(f"{kid}.pem" for kid in kids)}


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory) -> Iterator[tuple[SampleFlow, Server]]:
    sample = sample_flow.make(tmp_path_factory.mktemp("server"))
    with sample.installation.serve() as server:
        yield sample, server


def child(server: Server, trait: str) -> int:
    """The process, among those that the supervisor has started itself, whose command says so."""
    [found] = [
        pid
        for pid, command in alive_with(str(server.log.parent)).items()
        if trait in command and pid in family(server.process.pid)[1:]
    ][:1]
    return found


@pytest.mark.parametrize("trait", ["granian", "app.cli worker"])
def test_a_child_that_is_killed_is_started_again(shared_server, trait):
    _, server = shared_server
    until(lambda: trait in " ".join(alive_with(str(server.log.parent)).values()))
    killed = child(server, trait)
    os.kill(killed, signal.SIGKILL)
    until(lambda: killed not in family(server.process.pid))
    until(lambda: any(trait in command for command in alive_with(str(server.log.parent)).values()))
    until(lambda: answers(f"{server.issuer}/readyz"))


def test_a_supervisor_that_is_killed_takes_its_children_along(sample_flow):
    with sample_flow.installation.serve() as server:
        until(lambda: len(family(server.process.pid)) > 3)
        server.process.kill()
        assert_nothing_left(sample_flow.installation)

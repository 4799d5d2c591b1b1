"""Days in seconds: two nodes on one PostgreSQL rotate at any moment while they mint, and verifiers of three
languages, that keep the JWKS from not at all to the whole `max-age`, are shown each token twice.

What is scaled is the durations; the clocks are the machine's, the verifiers' own code looks at them.
"""

import heapq
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import ceil

import pytest

from app.settings import Settings
from app.wiring import Components
from tests.faults.hasty_node import (
    FOLLOWS,
    LEAD,
    MAX_AGE,
    OTHER_ALGORITHM,
    OTHER_AUDIENCE,
    Minted,
)
from tests.support import effort
from tests.support.caching import Cache, Verifiers, verifiers
from tests.support.components import parts
from tests.support.keystores import new_kek
from tests.support.process import answers, free_port
from tests.support.server import Installation
from tests.support.tools import ROOT
from tests.unit.signing.keysets import assert_no_key_signed_early, assert_one_pair_of_each, told

ROTATIONS = effort.count(ci=50, proof=1000)
CACHES = (0, MAX_AGE / 2, MAX_AGE)
BEFORE_IT_EXPIRES = 0.4

assert LEAD.total_seconds() > MAX_AGE + FOLLOWS


@dataclass(order=True, frozen=True)
class Showing:
    due: float
    minted: Minted = field(compare=False)


class Guard(threading.Thread):
    """Shows tokens to the verifiers of one language, as they fall due; keeps what was refused."""

    def __init__(self, name: str, language: Verifiers) -> None:
        super().__init__(name=name, daemon=True)
        self._language = language
        self._waiting: list[Showing] = []
        self._there_is_one = threading.Condition()
        self._closed = False
        self.accepted = 0
        self.refused: list[str] = []
        self.fault: BaseException | None = None

    def expect(self, minted: Minted) -> None:
        """Now, and again shortly before it expires."""
        late = parts(minted.token)[1]["exp"] - BEFORE_IT_EXPIRES
        with self._there_is_one:
            for due in (minted.at, late):
                heapq.heappush(self._waiting, Showing(due, minted))
            self._there_is_one.notify()

    def close(self) -> None:
        with self._there_is_one:
            self._closed = True
            self._there_is_one.notify()
        self.join(30)

    def run(self) -> None:
        try:
            while (minted := self._next()) is not None:
                self._show(minted)
        except BaseException as fault:  # noqa: BLE001 - told by the test
            self.fault = fault

    def _next(self) -> Minted | None:
        with self._there_is_one:
            while not self._closed:
                due = self._waiting[0].due if self._waiting else time.time() + 1
                if self._waiting and due <= time.time():
                    return heapq.heappop(self._waiting).minted
                self._there_is_one.wait(max(0.001, due - time.time()))
        return None

    def _show(self, minted: Minted) -> None:
        header, claims = parts(minted.token)
        if time.time() >= claims["exp"]:
            return
        verdicts = self._language.verdicts(minted.token, minted.audience)
        if time.time() >= claims["exp"]:
            return  # it may have expired under their eyes
        self.accepted += verdicts.count(None)
        for cache, verdict in zip(self._language.caches, verdicts, strict=True):
            if verdict is not None:
                age = time.time() - minted.at
                told = (
                    f"{self.name} with {cache} after {age:.2f} s: {header['alg']} {header['kid']}: {verdict}"
                )
                self.refused.append(told)


class Node:
    """A `hasty_node` process; what it mints goes to the guards, and stays in `minted`."""

    def __init__(self, made: Installation, arguments: Sequence[str]) -> None:
        self.port, self.minted = free_port(), list[Minted]()
        self.jwks = f"http://127.0.0.1:{self.port}/.well-known/jwks.json"
        self._log = made.folder / f"node-{self.port}.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.hasty_node", str(self.port), *arguments],
                cwd=ROOT,
                env=made.environment | {"PYTHONPATH": str(ROOT)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )

    def show_to(self, guards: Sequence[Guard]) -> None:
        threading.Thread(target=self._read, args=(guards,), daemon=True).start()

    def _read(self, guards: Sequence[Guard]) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.minted.append(Minted(**json.loads(line)))
            for guard in guards:
                guard.expect(self.minted[-1])

    def assert_lives(self) -> None:
        assert self._process.poll() is None, self._log.read_text()[-4000:]

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def made(tmp_path, postgresql_url) -> Installation:
    """With duo that may act for alice, and an audience that asks for ES256."""
    installation = Installation(
        tmp_path,
        DATABASE_URL=postgresql_url,
        KEYSTORE="database",
        KEY_ENCRYPTION_KEY=new_kek().reveal(),
        KEY_PUBLISH_LEAD=f"{ceil(LEAD.total_seconds())}s",
    )
    for line in (
        "init",
        "user create alice --email alice@example.com",
        "service-account create duo",
        "delegation grant --user alice --service-account duo",
        f"audience add {OTHER_AUDIENCE} --kind api --alg {OTHER_ALGORITHM}",
    ):
        installation.invoke(*line.split())
    return installation


@contextmanager
def two_nodes(made: Installation) -> Iterator[tuple[Node, Node]]:
    secret = made.invoke("service-account", "secret", "create", "duo", json=True).data
    arguments = (secret["client_id"], secret["client_secret"], "user:1")
    nodes = Node(made, arguments), Node(made, arguments)
    try:
        for node in nodes:
            until(lambda jwks=node.jwks: answers(jwks), node.assert_lives)
        yield nodes
    finally:
        for node in nodes:
            node.end()


@contextmanager
def guarded(made: Installation, nodes: Sequence[Node]) -> Iterator[list[Guard]]:
    """Every language with every cache, of either node's JWKS."""
    caches = [Cache(node.jwks, seconds) for seconds in CACHES for node in nodes]
    with verifiers(made.issuer, caches) as languages:
        guards = [Guard(name, language) for name, language in languages.items()]
        for guard in guards:
            guard.start()
        for node in nodes:
            node.show_to(guards)
        yield guards
        for guard in guards:
            guard.close()


@contextmanager
def looking_on(made: Installation) -> Iterator[Components]:
    """What the database says, with the lead that the nodes keep."""
    settings = replace(Settings.from_env(made.environment), key_publish_lead=LEAD)
    components = Components(settings)
    yield components
    components.database.dispose()


def until(holds: Callable[[], bool], check: Callable[[], None], patience: float = 60) -> None:
    deadline = time.monotonic() + patience
    while not holds():
        check()
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_no_verifier_ever_notices_a_rotation(made, record_property):
    with two_nodes(made) as nodes, guarded(made, nodes) as guards, looking_on(made) as components:

        def check() -> None:
            for node in nodes:
                node.assert_lives()
            for guard in guards:
                assert guard.fault is None
                assert guard.refused == []

        until(lambda: len(told(components, "rotate")) >= ROTATIONS, check, 60 + 4 * ROTATIONS)
        check()
        minted = [each for node in nodes for each in node.minted]
        assert_rotated_both_ways(components)
        assert_no_key_signed_early(components)
        assert_none_signed_early(components, minted)
        assert_one_pair_of_each(components)
    for guard in guards:
        record_property(f"accepted by {guard.name}", guard.accepted)
        assert guard.accepted > ROTATIONS * len(CACHES)
    record_property("tokens", len(minted))


def assert_rotated_both_ways(components: Components) -> None:
    """By hand and by schedule, each algorithm; without any override."""
    events = told(components, "rotate")
    assert {event.detail["override"] for event in events} == {None}
    assert {event.actor for event in events} == {"operator:hasty", "worker"}
    assert {event.detail["alg"] for event in events} == {"RS256", OTHER_ALGORITHM}


def assert_none_signed_early(components: Components, minted: Sequence[Minted]) -> None:
    keys = {row.kid: row for row in components.keyring.history()}
    signed = Counter(parts(each.token)[0]["kid"] for each in minted)
    assert len(signed) > ROTATIONS / 2, "most keys have signed"
    for each in minted:
        key = keys[parts(each.token)[0]["kid"]]
        assert key.exempt or each.at >= (key.published_at + LEAD).timestamp()

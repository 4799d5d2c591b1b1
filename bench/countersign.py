"""Us: an installation made by the command line and served by `countersign serve`, as a user has it."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bench import load
from bench.processes import Process, cpu_seconds, running, tree
from bench.rounds import Contestant
from tests.support.server import Installation

ISSUING, DISCOVERY, JWKS = "Countersign, composite token", "Countersign, discovery", "Countersign, JWKS"
INTROSPECTING, EVALUATING = "Countersign, introspection", "Countersign, AuthZEN evaluation"
ANSWERING = "Countersign, /healthz: Flask and HTTP alone"

API, PROJECT = "https://api.acme.example", "acme/platform/webapp"


class NotDurableError(Exception):
    """The server has released tokens whose token rows or audit rows are not in the database."""


@dataclass(frozen=True)
class Client:
    """A service account and its secret."""

    number: int
    id: str
    secret: str


@dataclass(frozen=True)
class Parties:
    """Who acts, for whom, and who may ask about their tokens for `API`."""

    user: int
    agent: Client
    resource_server: Client


@dataclass(frozen=True)
class Served:
    """A running server, its supervisor's process, and what can be asked of it."""

    installation: Installation
    parties: Parties
    supervisor: int

    def cpu(self) -> float:
        return cpu_seconds(self.supervisor)

    def web_worker(self) -> Process:
        """The process that answers: the largest of the supervisor's grandchildren."""
        processes = tree(self.supervisor, running())
        children = {each.pid for each in processes if each.parent == self.supervisor}
        return max((each for each in processes if each.parent in children), key=lambda it: it.resident_pages)

    def contestants(self, tokens: int, documents: int) -> list[Contestant]:
        """The counts are of requests in one round."""
        return [
            Contestant(ISSUING, tokens, self._issue, self.cpu),
            Contestant(INTROSPECTING, tokens, self._introspect, self.cpu),
            Contestant(EVALUATING, tokens, self._evaluate, self.cpu),
            Contestant(ANSWERING, tokens, self._answer, self.cpu),
            Contestant(DISCOVERY, documents, self._discover, self.cpu),
            Contestant(JWKS, documents, self._fetch_keys, self.cpu),
        ]

    def _issue(self, count: int) -> None:
        """Counts the rows afterwards: a token that is not durable would be a cheap one."""
        before = rows(self.installation)
        load.expect_rs256(self._send(self._token_request(), count))
        if rows(self.installation) != [each + count for each in before]:
            raise NotDurableError

    def _introspect(self, count: int) -> None:
        asking = self.parties.resource_server
        request = load.post_form("/oauth/introspect", asking.id, asking.secret, token=self._token)
        load.expect(self._send(request, count), active=True)

    def _evaluate(self, count: int) -> None:
        """As a resource server asks, with a token in hand."""
        question = {
            "subject": {"type": "access_token", "id": self._token},
            "action": {"name": "code.write"},
            "resource": {"type": "project", "id": PROJECT},
        }
        asking = self.parties.resource_server
        request = load.post_json("/access/v1/evaluation", asking.id, asking.secret, question)
        load.expect(self._send(request, count), decision=True)

    @cached_property
    def _token(self) -> str:
        token: str = json.loads(self._send(self._token_request(resource=API), 1))["access_token"]
        return token

    def _token_request(self, **form: str) -> bytes:
        agent, scope = self.parties.agent, f"api user:{self.parties.user}"
        return load.token_request("/oauth/token", agent.id, agent.secret, scope=scope, **form)

    def _answer(self, count: int) -> None:
        self._send(load.get("/healthz"), count)

    def _discover(self, count: int) -> None:
        self._send(load.get("/.well-known/openid-configuration"), count)

    def _fetch_keys(self, count: int) -> None:
        self._send(load.get("/.well-known/jwks.json"), count)

    def _send(self, request: bytes, count: int) -> bytes:
        return load.send(self.installation.port, request, count)


def install(folder: Path) -> tuple[Installation, Parties]:
    """alice, duo, its secret, and her delegation to it; their project, and an API that may ask of them."""
    installation = Installation(folder)

    def run(*words: str) -> Any:
        return installation.run(*words, json=True).data

    def client(*created: str) -> Client:
        account = run("service-account", "create", *created)
        secret = run("service-account", "secret", "create", account["name"])
        return Client(account["id"], secret["client_id"], secret["client_secret"])

    run("init")
    user = run("user", "create", "alice", "--email", "alice@example.com")
    parties = Parties(user["id"], client("duo"), client("api", "--not-composite"))
    run("delegation", "grant", "--user", "alice", "--service-account", "duo")
    run("project", "create", PROJECT)
    run("member", "add", "acme", "user:alice", "--role", "maintainer")
    run("member", "add", PROJECT, "service_account:duo", "--role", "developer")
    run("audience", "add", API, "--kind", "api", "--introspect", "api")
    return installation, parties


@contextmanager
def serving(installation: Installation, parties: Parties) -> Iterator[Served]:
    with installation.serve() as server:
        yield Served(installation, parties, server.process.pid)


def start_cpu_seconds(installation: Installation, parties: Parties) -> float:
    """Of a web worker, from its first import to its first answer."""
    with serving(installation, parties) as served:
        return served.web_worker().cpu_seconds


def rows(installation: Installation) -> list[int]:
    """How many tokens there are, in the table of tokens and in the ledger."""
    database = Path(installation.environment["COUNTERSIGN_HOME_DIR"]) / "countersign.sqlite3"
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        tokens = connection.execute("SELECT count(*) FROM issued_tokens").fetchone()
        told = connection.execute("SELECT count(*) FROM audit_events WHERE jti IS NOT NULL").fetchone()
    return [*tokens, *told]

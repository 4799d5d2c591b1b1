"""Us: an installation made by the command line and served by `countersign serve`, as a user has it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import load
from bench.processes import Process, cpu_seconds, running, tree
from bench.rounds import Contestant
from tests.support.server import Installation

ISSUING, DISCOVERY, JWKS = "Countersign, composite token", "Countersign, discovery", "Countersign, JWKS"


class NotDurableError(Exception):
    """The server has released tokens whose token rows or audit rows are not in the database."""


@dataclass(frozen=True)
class Parties:
    """Who asks, and for whom."""

    service_account: int
    user: int
    client_id: str
    client_secret: str


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
            Contestant(DISCOVERY, documents, self._discover, self.cpu),
            Contestant(JWKS, documents, self._fetch_keys, self.cpu),
        ]

    def _issue(self, count: int) -> None:
        """Counts the rows afterwards: a token that is not durable would be a cheap one."""
        before = rows(self.installation)
        request = load.token_request(
            "/oauth/token",
            self.parties.client_id,
            self.parties.client_secret,
            scope=f"api user:{self.parties.user}",
        )
        load.expect_rs256(load.send(self.installation.port, request, count))
        if rows(self.installation) != [each + count for each in before]:
            raise NotDurableError

    def _discover(self, count: int) -> None:
        request = load.get("/.well-known/openid-configuration")
        load.send(self.installation.port, request, count)

    def _fetch_keys(self, count: int) -> None:
        load.send(self.installation.port, load.get("/.well-known/jwks.json"), count)


def install(folder: Path) -> tuple[Installation, Parties]:
    """alice, duo, its secret, and her delegation to it."""
    installation = Installation(folder)

    def run(*words: str) -> Any:
        return installation.run(*words, json=True).data

    run("init")
    user = run("user", "create", "alice", "--email", "alice@example.com")
    account = run("service-account", "create", "duo")
    secret = run("service-account", "secret", "create", "duo")
    run("delegation", "grant", "--user", "alice", "--service-account", "duo")
    return installation, Parties(account["id"], user["id"], secret["client_id"], secret["client_secret"])


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

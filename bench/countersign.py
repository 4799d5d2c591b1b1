"""Us: an installation made by the command line and served by `countersign serve`, as a user would."""

import json
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

TOKEN, DISCOVERY, JWKS = "countersign token", "countersign discovery", "countersign jwks"


class NotDurableError(Exception):
    """The server has released tokens whose rows are not in the database."""


@dataclass(frozen=True)
class Parties:
    """Who asks, and for whom."""

    client_id: str
    client_secret: str
    service_account: int
    user: int


def install(folder: Path) -> tuple[Installation, Parties]:
    """alice, duo, his secret, and her delegation to him."""
    installation = Installation(folder)

    def run(*words: str) -> Any:
        return installation.run(*words, json=True).data

    run("init")
    user = run("user", "create", "alice", "--email", "alice@example.com")
    account = run("service-account", "create", "duo")
    secret = run("service-account", "secret", "create", "duo")
    run("delegation", "grant", "--user", "alice", "--service-account", "duo")
    return installation, Parties(secret["client_id"], secret["client_secret"], account["id"], user["id"])


@contextmanager
def serving(installation: Installation, parties: Parties, tokens: int, documents: int) -> Iterator[
    list[Contestant]
]:
    """A composite token, discovery and the JWKS; counts are of requests in one round."""
    port = installation.port
    request = load.token_request(
        "/oauth/token", parties.client_id, parties.client_secret, scope=f"api user:{parties.user}"
    )
    with installation.serve() as server:

        def cpu() -> float:
            return cpu_seconds(server.process.pid)

        def issue(count: int) -> None:
            before = rows(installation)
            json.loads(load.send(port, request, count))["access_token"]
            if rows(installation) != tuple(each + count for each in before):
                raise NotDurableError

        def fetch(path: str) -> Callable[[int], bytes]:
            return lambda count: load.send(port, load.get(path), count)

        yield [
            Contestant(TOKEN, tokens, issue, cpu),
            Contestant(DISCOVERY, documents, fetch("/.well-known/openid-configuration"), cpu),
            Contestant(JWKS, documents, fetch("/.well-known/jwks.json"), cpu),
        ]

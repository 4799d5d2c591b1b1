"""Nodes of one installation on one PostgreSQL: `countersign serve`, each with its own home and port."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import requests

from tests.support.keystores import new_kek
from tests.support.process import answers, free_port, running
from tests.support.server import Installation, command


class SharedInstallation(Installation):
    """Its keys are in the database, so that nodes have nothing else to share."""

    def __init__(self, folder: Path, database_url: str, **settings: str) -> None:
        own = {"DATABASE_URL": database_url, "KEYSTORE": "database", "KEY_ENCRYPTION_KEY": new_kek().reveal()}
        super().__init__(folder, **own, **settings)
        self.invoke("init")

    @contextmanager
    def node(self) -> Iterator[str]:
        """Its address, which is not the issuer's, as behind a load balancer."""
        port = free_port()
        home = self.folder / f"node-{port}"
        home.mkdir()
        own = {"COUNTERSIGN_HOME_DIR": str(home / "var"), "COUNTERSIGN_KEYS_DIR": str(self.folder / "keys")}
        with running(
            [*command(), "serve", "--bind", f"127.0.0.1:{port}"],
            ready=lambda: answers(f"http://127.0.0.1:{port}/readyz"),
            log=home / "log",
            env=self.environment | {"COUNTERSIGN_KEYS_PASSPHRASE": "a passphrase of both nodes"} | own,
            cwd=home,
        ):
            yield f"http://127.0.0.1:{port}"

    @contextmanager
    def nodes(self, number: int = 2) -> Iterator[list[str]]:
        with ExitStack() as stack:
            yield [stack.enter_context(self.node()) for _ in range(number)]


def jwks_of(node: str) -> str:
    return f"{node}/.well-known/jwks.json"


def kids_at(node: str) -> list[str]:
    return [key["kid"] for key in requests.get(jwks_of(node), timeout=60).json()["keys"]]

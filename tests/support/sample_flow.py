"""alice and bob, duo who may act for both, and a project whose flow hands out what it was given."""

import sqlite3
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.server import Finished, Installation, command

PROJECT, FLOW = "acme/webapp", "deploy"
HAND_OUT = 'cat < /proc/self/environ > "$OUT/environment"'
"""A step that leaves the environment it was started with in the folder of the input `OUT`."""

Tables = Mapping[str, Any]


@dataclass(frozen=True)
class SampleFlow:
    """Commands as a user types them; what a run was given comes out by `given`, past its log."""

    installation: Installation
    out: Path

    def cli(self, *arguments: str, **options: Any) -> Finished:
        return self.installation.invoke(*arguments, **options)

    def populate(self) -> None:
        for login in ("alice", "bob"):
            self.cli("user", "create", login, "--email", f"{login}@acme.example")
        self.cli("service-account", "create", "duo")
        self.add_project(PROJECT)
        for login in ("alice", "bob"):
            self.cli("delegation", "grant", "--user", login, "--service-account", "duo")

    def add_project(self, path: str) -> None:
        self.cli("project", "create", path)
        for principal in ("user:alice", "user:bob", "service_account:duo"):
            self.cli("member", "add", path, principal, "--role", "developer")

    def configure(
        self, configuration: Tables | str, project: str = PROJECT, *, exit_code: int = 0
    ) -> Finished:
        """The text of an `agent-config.yml`, or what is to stand in one."""
        file = self.installation.folder / "agent-config.yml"
        is_text = isinstance(configuration, str)
        file.write_text(configuration if is_text else yaml.safe_dump(configuration, sort_keys=False))
        return self.cli("project", "config", "set", project, "--file", str(file), exit_code=exit_code)

    def configure_flow(
        self, *script: str, project: str = PROJECT, top: Tables | None = None, **own: Any
    ) -> None:
        """One flow with the given tables of its own; the inputs `OUT` and those of `own` are declared."""
        inputs = {"OUT": {"default": str(self.out)}, **own.pop("inputs", {})}
        flow = {"script": list(script) or [HAND_OUT], "inputs": inputs, **own}
        self.configure({**(top or {}), "flows": {FLOW: flow}}, project)

    def start(
        self,
        *inputs: str,
        user: str = "alice",
        account: str = "duo",
        project: str = PROJECT,
        flow: str = FLOW,
        exit_code: int | None = 0,
    ) -> Finished:
        """`flow start --json`: the run is `.data`, its masked log `.stderr`."""
        words = _start_words(inputs, user, account, project, flow)
        return self.cli(*words, exit_code=exit_code, json=True)

    @contextmanager
    def starting(self, *inputs: str, user: str = "alice") -> Iterator[subprocess.Popen[bytes]]:
        """The same as a process of its own, which is not waited for; killed at the end."""
        words = _start_words(inputs, user, "duo", PROJECT, FLOW)
        with (self.installation.folder / "start.log").open("ab") as output:
            process = subprocess.Popen(
                [*command(), *words],
                env=self.installation.environment,
                cwd=self.installation.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def given(self) -> dict[str, str]:
        """The environment that the last run's shell was started with, as `HAND_OUT` left it."""
        content = (self.out / "environment").read_text()
        return dict(entry.split("=", 1) for entry in content.split("\0") if entry)

    def handed_out(self, *inputs: str, **options: Any) -> dict[str, str]:
        """Starts the flow, and what its run was given."""
        self.start(*inputs, **options)
        return self.given()

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """What the database holds, read past the product."""
        with closing(sqlite3.connect(self.database, timeout=60)) as connection:
            return connection.execute(query, values).fetchall()

    @property
    def database(self) -> Path:
        return self.installation.folder / "var/countersign.sqlite3"

    def count(self, table: str) -> int:
        [(rows,)] = self.rows(f"SELECT count(*) FROM {table}")  # noqa: S608 - a name of ours
        return int(rows)

    def events(self, *filters: str) -> list[dict[str, Any]]:
        """The ledger, newest first."""
        events: list[dict[str, Any]] = self.cli("audit", "list", *filters, json=True).data
        return events


def _start_words(inputs: tuple[str, ...], user: str, account: str, project: str, flow: str) -> list[str]:
    words = ["flow", "start", flow, "--project", project, "--user", user, "--service-account", account]
    return [*words, *(word for each in inputs for word in ("--input", each))]


def make(folder: Path, **settings: str) -> SampleFlow:
    installation = Installation(folder, **settings)
    installation.invoke("init")
    sample = SampleFlow(installation, folder / "out")
    sample.out.mkdir()
    sample.populate()
    return sample


@pytest.fixture
def sample_flow(tmp_path: Path) -> SampleFlow:
    return make(tmp_path)


@pytest.fixture(scope="module")
def shared_flow(tmp_path_factory: pytest.TempPathFactory) -> SampleFlow:
    """The same for a module whose tests leave each other alone."""
    return make(tmp_path_factory.mktemp("sample"))

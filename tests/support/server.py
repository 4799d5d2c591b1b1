"""The product as its users have it: the command on an installation of its own, and the running server."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.support.family import kill_family
from tests.support.process import answers, free_port, running
from tests.support.tools import ROOT


@dataclass(frozen=True)
class Finished:
    """What a command left behind."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def data(self) -> Any:
        """What it printed under `--json`."""
        return json.loads(self.stdout)


@dataclass(frozen=True)
class Server:
    """A running `countersign serve`."""

    issuer: str
    process: subprocess.Popen[bytes]
    log: Path

    def kill(self) -> None:
        """`kill -9` of the supervisor and all its processes at once."""
        kill_family(self.process.pid)
        self.process.wait()


class Installation:
    """Its own home, keys, issuer and environment, all below `folder`; the first command makes it."""

    def __init__(self, folder: Path, **settings: str) -> None:
        """`settings` are INTERFACE.md's without the prefix: `ID_TOKEN_TTL="15m"`."""
        self.folder = folder
        self.port = free_port()
        self.issuer = f"http://localhost:{self.port}"
        own = {"ISSUER": self.issuer, "HOME_DIR": str(folder / "var"), "KEYS_DIR": str(folder / "keys")}
        self.environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            **{f"COUNTERSIGN_{name}": value for name, value in (own | settings).items()},
        }

    def run(
        self, *arguments: str, stdin: str = "", exit_code: int | None = 0, json: bool = False
    ) -> Finished:
        """`countersign ARGUMENTS` as a process; fails unless it ends with `exit_code` (`None`: any)."""
        done = subprocess.run(
            [*command(), *arguments, *(["--json"] if json else [])],
            input=stdin,
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return _expect(exit_code, arguments, Finished(done.returncode, done.stdout, done.stderr))

    def invoke(
        self, *arguments: str, stdin: str = "", exit_code: int | None = 0, json: bool = False
    ) -> Finished:
        """The same within this process, which is quicker; an unexpected exception comes through as it is."""
        from app.cli import main

        hidden = dict.fromkeys(name for name in os.environ if name.startswith("COUNTERSIGN_"))
        done = CliRunner(env=hidden | self.environment).invoke(
            main, [*arguments, *(["--json"] if json else [])], input=stdin, catch_exceptions=False
        )
        return _expect(exit_code, arguments, Finished(done.exit_code, done.stdout, done.stderr))

    @contextmanager
    def serve(self, **settings: str) -> Iterator[Server]:
        """`countersign serve` on the issuer's port, ready; ended by SIGTERM. `settings` as above."""
        log = self.folder / "serve.log"
        with running(
            [*command(), "serve"],
            ready=lambda: answers(f"http://127.0.0.1:{self.port}/readyz"),
            log=log,
            env=self.environment | {f"COUNTERSIGN_{name}": value for name, value in settings.items()},
            cwd=self.folder,
        ) as process:
            yield Server(self.issuer, process, log)


def command() -> list[str]:
    """What `make` has installed beside this Python, else the package as it lies here."""
    installed = Path(sys.executable).with_name("countersign")
    if installed.exists():
        return [str(installed)]
    call = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from app.cli import main; main()"
    return [sys.executable, "-c", call]


def _expect(exit_code: int | None, arguments: tuple[str, ...], finished: Finished) -> Finished:
    assert exit_code in {None, finished.exit_code}, (
        f"countersign {' '.join(arguments)}: exit {finished.exit_code}, not {exit_code}\n"
        f"{finished.stderr}{finished.stdout}"
    )
    return finished


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    """An installation that `countersign init` has made."""
    fresh = Installation(tmp_path)
    fresh.run("init")
    return fresh


@pytest.fixture(scope="module")
def shared_installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The same, shared by a module's tests."""
    fresh = Installation(tmp_path_factory.mktemp("installation"))
    fresh.run("init")
    return fresh

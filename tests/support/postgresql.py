"""A throw-away PostgreSQL cluster that listens on a private Unix socket only."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support.family import kill_family, send, stop_family
from tests.support.process import running
from tests.support.require import require
from tests.support.tools import POSTGRESQL

USER = "countersign"
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


Running = AbstractContextManager["subprocess.Popen[bytes]"]


class Cluster:
    """A server and its databases; `socket` is the folder of its socket."""

    def __init__(self, socket: Path, running: Callable[["Cluster"], Running], stack: ExitStack) -> None:
        self._socket = socket
        self._numbers = count(1)
        self._running = running
        self._stack = stack

    def start(self) -> None:
        """At first, and after `kill`; returns when it answers."""
        self._process = self._stack.enter_context(self._running(self))

    def kill(self) -> None:
        """`kill -9` of the server and all its backends at once."""
        kill_family(self._process.pid)
        self._process.wait()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It keeps its sockets and answers nobody, as a machine that hangs."""
        members = stop_family(self._process.pid)
        try:
            yield
        finally:
            send(members, signal.SIGCONT)

    @contextmanager
    def database(self) -> Iterator[str]:
        """A fresh empty database, as SQLAlchemy's URL; dropped in the end, whoever is still connected."""
        name = f"test_{next(self._numbers)}"
        self.execute(f'CREATE DATABASE "{name}"')
        yield f"postgresql+psycopg://{USER}@/{name}?host={self._socket}"
        self.execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    def execute(self, statement: str) -> None:
        with self._connect() as connection:
            connection.execute(statement.encode())

    def answers(self) -> bool:
        try:
            self._connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(host=str(self._socket), user=USER, dbname="postgres", autocommit=True)


@contextmanager
def cluster(*, durable: bool) -> Iterator[Cluster]:
    """Not `durable`: never waits for the disk, which only a crash of the machine could tell apart."""
    initdb, postgres = require(lambda: (POSTGRESQL.find("initdb"), POSTGRESQL.find("postgres")))
    with _private_folder() as folder, ExitStack() as stack:
        _initialise(initdb, folder)
        settings = {"listen_addresses": "", "unix_socket_directories": str(folder)}
        if not durable:
            settings |= dict.fromkeys(("fsync", "synchronous_commit", "full_page_writes"), "off")
        command = [postgres, "-D", folder / "data", *(f"--{name}={each}" for name, each in settings.items())]
        server = Cluster(
            folder,
            lambda server: running(
                command,
                ready=server.answers,
                log=folder / "log",
                env=ENVIRONMENT,
                cwd=folder,
                stop=signal.SIGQUIT,
                user=_account(),
            ),
            stack,
        )
        server.start()
        yield server


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Cluster]:
    with cluster(durable=False) as server:
        yield server


@pytest.fixture
def postgresql_url(postgresql: Cluster) -> Iterator[str]:
    """A fresh empty database, for SQLAlchemy."""
    with postgresql.database() as url:
        yield url


@contextmanager
def _private_folder() -> Iterator[Path]:
    """Not pytest's: that is root's own, and a socket's path must be short."""
    folder = Path(tempfile.mkdtemp(prefix="countersign-"))
    try:
        if account := _account():
            shutil.chown(folder, account, account)
        yield folder
    finally:
        shutil.rmtree(folder)


def _initialise(initdb: Path, folder: Path) -> None:
    account = _account()
    made = subprocess.run(
        [
            initdb,
            *("--pgdata", folder / "data", "--username", USER, "--auth", "trust"),
            *("--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions"),
        ],
        user=account,
        group=account,
        extra_groups=[] if account else None,
        env=ENVIRONMENT,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr


def _account() -> str | None:
    """Whom PostgreSQL runs as, since it refuses root; Debian's package brings the account."""
    return "postgres" if os.geteuid() == 0 else None

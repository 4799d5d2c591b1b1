"""A real OpenBao (or Vault) in development mode: in memory, unsealed, on loopback."""

import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import openbao_build
from tests.support.process import answers, free_port, running
from tests.support.require import require


@dataclass(frozen=True)
class OpenBao:
    address: str
    root_token: str
    binary: Path
    log: Path
    process: subprocess.Popen[bytes]


@pytest.fixture(scope="session")
def openbao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenBao]:
    """One for each test process; its tests share it, so they name their mounts and roles apart."""
    with openbao_server(tmp_path_factory.mktemp("openbao")) as server:
        yield server


@contextmanager
def openbao_server(home: Path) -> Iterator[OpenBao]:
    """One of your own, to be stopped or killed."""
    binary = require(openbao_build.find)
    port, token = free_port(), secrets.token_hex(16)
    address, log = f"http://127.0.0.1:{port}", home / "log"
    command: list[str | Path] = [
        binary,
        "server",
        "-dev",
        "-dev-no-store-token",
        f"-dev-root-token-id={token}",
        f"-dev-listen-address=127.0.0.1:{port}",
    ]
    with running(
        command,
        ready=lambda: answers(f"{address}/v1/sys/health"),
        log=log,
        env={"HOME": str(home), "PATH": os.defpath},
        cwd=home,
    ) as process:
        yield OpenBao(address, token, binary, log, process)

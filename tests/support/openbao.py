"""A real OpenBao (or Vault) in development mode: in memory, unsealed, on loopback."""

import os
import secrets
from collections.abc import Iterator
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


@pytest.fixture(scope="session")
def openbao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenBao]:
    """One for each test process; its tests share it, so they name their mounts and roles apart."""
    binary = require(openbao_build.find)
    home = tmp_path_factory.mktemp("openbao")
    port, token = free_port(), secrets.token_hex(16)
    server = OpenBao(f"http://127.0.0.1:{port}", token, binary, home / "log")
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
        ready=lambda: answers(f"{server.address}/v1/sys/health"),
        log=server.log,
        env={"HOME": str(home), "PATH": os.defpath},
        cwd=home,
    ):
        yield server

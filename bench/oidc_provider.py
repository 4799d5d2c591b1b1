"""npm oidc-provider: a cluster of two, in memory, with JWT access tokens (its server.mjs)."""

import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import load
from bench.processes import cpu_seconds
from bench.rounds import Contestant
from tests.support.process import answers, free_port, running
from tests.support.progress import say
from tests.support.tools import NODE, MissingError

ISSUING = "oidc-provider, token in memory"
WORKERS = 2
FOLDER = Path(__file__).parent / "peers" / "oidc-provider"
_LOCK = FOLDER / "package-lock.json"
_INSTALLED = FOLDER / "node_modules" / ".package-lock.json"


def install() -> None:
    """`npm ci`, unless the packages of this lock are there; raises `MissingError` with the reason."""
    npm = NODE.find("npm")
    if _INSTALLED.exists() and _version(_INSTALLED) == _version(_LOCK):
        return
    say("npm ci")
    done = subprocess.run(
        [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
        cwd=FOLDER,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise MissingError("oidc-provider", "npm ci failed:\n" + done.stderr)


def versions() -> dict[str, str]:
    """Its own and Node's; nothing where it cannot run."""
    if not _INSTALLED.exists():
        return {}
    node = subprocess.run([NODE.find("node"), "--version"], capture_output=True, text=True, check=True)
    return {"oidc-provider": _version(_INSTALLED), "Node": node.stdout.strip().removeprefix("v")}


def _version(lock: Path) -> str:
    return str(json.loads(lock.read_text())["packages"]["node_modules/oidc-provider"]["version"])


@contextmanager
def serving(log: Path, tokens: int) -> Iterator[Contestant]:
    """`tokens` is the number of requests in one round."""
    port, client_secret = free_port(), secrets.token_urlsafe(32)
    request = load.token_request("/token", "duo", client_secret, scope="api")
    with running(
        [NODE.find("node"), "server.mjs", str(port), str(WORKERS), "duo", client_secret],
        ready=lambda: answers(f"http://127.0.0.1:{port}/.well-known/openid-configuration"),
        log=log,
        env={"PATH": os.defpath, "NODE_ENV": "production"},
        cwd=FOLDER,
    ) as process:
        yield Contestant(
            ISSUING,
            tokens,
            lambda count: load.expect_rs256(load.send(port, request, count)),
            lambda: cpu_seconds(process.pid),
        )

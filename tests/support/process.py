"""Servers as child processes: a free port, a wait for readiness, an end that leaves nothing behind."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from http import HTTPStatus
from itertools import cycle
from pathlib import Path
from random import SystemRandom

import requests

_PORTS = range(10_000, 32_000)
"""Below those that the kernel gives to outgoing connections: one of those would hold a server's port while
the server is down, be it a client's own that tries to reach it (a connection to itself).
"""


def free_port() -> int:
    """A loopback port that is free, and so is the next one, which OpenBao takes for its cluster.

    Nobody else gets it before it is bound: each test process has its own, and gives one after another.
    """
    while True:
        port = next(_own_ports())
        with socket.socket() as listener, socket.socket() as neighbour, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            neighbour.bind(("127.0.0.1", port + 1))
            return port


@cache
def _own_ports() -> Iterator[int]:
    """Every other one of this process's share (pytest-xdist's `gw0`, `gw1`, …), in any order, for ever."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    share = len(_PORTS) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    own = list(_PORTS[number * share : (number + 1) * share - 1 : 2])
    SystemRandom().shuffle(own)
    return cycle(own)


@contextmanager
def running(
    command: Sequence[str | Path],
    *,
    ready: Callable[[], bool],
    log: Path,
    env: Mapping[str, str],
    cwd: Path,
    user: str | None = None,
    stop: signal.Signals = signal.SIGTERM,
    patience: float = 120,
    grace: float = 60,
) -> Iterator[subprocess.Popen[bytes]]:
    """Started in a session of its own, with both streams in `log`; yields once `ready`, for which it has
    `patience` seconds.

    As root it may run as another `user`, in the group of the same name. In the end `stop`, `grace` seconds to
    go by itself, and death for all of its session.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*_tied(), *command],
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            user=user,
            group=user,
            extra_groups=[] if user else None,
            start_new_session=True,
        )
    try:
        await_ready(process, ready, log, patience)
        yield process
    finally:
        end(process, stop, grace)


def await_ready(
    process: subprocess.Popen[bytes], ready: Callable[[], bool], log: Path, patience: float
) -> None:
    deadline = time.monotonic() + patience
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            state = "still running" if process.returncode is None else f"exit {process.returncode}"
            raise AssertionError(f"{process.args!r} never became ready ({state}):\n{log.read_text()[-4000:]}")
        time.sleep(0.02)


def end(process: subprocess.Popen[bytes], stop: signal.Signals, grace: float) -> None:
    process.send_signal(stop)
    with suppress(subprocess.TimeoutExpired):
        process.wait(grace)
    ended = process.returncode is not None
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if not ended:  # after what may have gone wrong before, which then stands above it
        raise AssertionError(f"{process.args!r} did not end within {grace} s of {stop.name}")


def answers(url: str) -> bool:
    """Whether it says 200 by now."""
    try:
        return requests.get(url, timeout=30).status_code == HTTPStatus.OK
    except requests.RequestException:
        return False


def _tied() -> list[str]:
    """A prefix that makes a server die with a test run that was killed; util-linux, so not everywhere."""
    return ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []

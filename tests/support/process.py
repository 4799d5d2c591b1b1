"""Servers as child processes: a free port, a wait for readiness, an end that leaves nothing behind."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from random import SystemRandom

import requests


def free_port() -> int:
    """A loopback port that is free, and so is the next one, which OpenBao takes for its cluster.

    Below the ports that the kernel gives to outgoing connections: one of those would hold a server's port
    while the server is down, be it a client's own that tries to reach it (a connection to itself).
    """
    while True:
        port = SystemRandom().randrange(10_000, 32_000)
        with socket.socket() as listener, socket.socket() as neighbour, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            neighbour.bind(("127.0.0.1", port + 1))
            return port


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
    patience: float = 30,
) -> Iterator[subprocess.Popen[bytes]]:
    """Started in a session of its own, with both streams in `log`; yields once `ready`.

    As root it may run as another `user`, in the group of the same name. In the end `stop`, `patience`
    seconds to go by itself, and death for all of its session.
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
        end(process, stop, patience)


def await_ready(
    process: subprocess.Popen[bytes], ready: Callable[[], bool], log: Path, patience: float
) -> None:
    deadline = time.monotonic() + patience
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            state = "still running" if process.returncode is None else f"exit {process.returncode}"
            raise AssertionError(f"{process.args!r} never became ready ({state}):\n{log.read_text()[-4000:]}")
        time.sleep(0.02)


def end(process: subprocess.Popen[bytes], stop: signal.Signals, patience: float) -> None:
    process.send_signal(stop)
    with suppress(subprocess.TimeoutExpired):
        process.wait(patience)
    ended = process.returncode is not None
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if not ended:  # after what may have gone wrong before, which then stands above it
        raise AssertionError(f"{process.args!r} did not end within {patience} s of {stop.name}")


def answers(url: str) -> bool:
    """Whether it says 200 by now."""
    try:
        return requests.get(url, timeout=5).status_code == HTTPStatus.OK
    except requests.RequestException:
        return False


def _tied() -> list[str]:
    """A prefix that makes a server die with a test run that was killed; util-linux, so not everywhere."""
    return ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []

"""The supervisor of a node: web workers and one worker process; what crashes is started again.

Nothing slow ever happens in a web worker: granian, one blocking thread each (more cost more than they bring).
"""

import ctypes
import errno
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from app.cli.console import Refused
from app.settings import Settings

_log = logging.getLogger(__name__)
_GRACE_SECONDS = 25.0
_LOOK_EVERY_SECONDS = 0.5
_SLOWEST_RESTART_SECONDS = 30.0
_LIVED_WELL_SECONDS = 60.0


@dataclass
class _Child:
    """A process that is kept running; it waits longer before each new try while it keeps failing."""

    name: str
    command: list[str]
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None
    group: int | None = None
    failures: int = 0
    start_at: float = 0.0
    started_at: float = 0.0

    def look_after(self, now: float) -> None:
        if self.process is not None and self.process.poll() is None:
            return
        if self.process is not None:
            lived_well = now - self.started_at >= _LIVED_WELL_SECONDS
            self.failures = 1 if lived_well else self.failures + 1
            wait = min(0.5 * 2 ** (self.failures - 1), _SLOWEST_RESTART_SECONDS)
            _log.error("%s ended with %s; again in %.1f s", self.name, self.process.returncode, wait)
            self.process, self.start_at = None, now + wait
        if now >= self.start_at:
            self._end_group()
            self.process = subprocess.Popen(
                self.command,
                env=self.environment,
                start_new_session=True,  # Ctrl-C reaches the supervisor alone, which ends all in order
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - no other thread exists yet
            )
            self.started_at, self.group = now, self.process.pid

    def _end_group(self) -> None:
        """What a process has left behind would hold its port."""
        if self.group is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.group, signal.SIGKILL)

    def stop(self, deadline: float) -> None:
        if self.process is None:
            return
        try:
            self.process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            _log.error("%s did not stop in time and is killed", self.name)
        self._end_group()
        self.process.wait()


def _end_with_parent() -> None:
    """A killed supervisor takes its children along (prctl(2), PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def require_free(
    host: str, port: int, remedy: str = "choose another with --bind or in COUNTERSIGN_ISSUER"
) -> None:
    """Web workers share a port by SO_REUSEPORT: a second server would be given half of the requests.

    A port is taken if somebody answers there; connections that a killed server left behind do not count.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE or _answers(family, host, port):
                raise Refused(f"cannot listen on {host} port {port}: {error.strerror}: {remedy}") from None


def _answers(family: socket.AddressFamily, host: str, port: int) -> bool:
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


def supervise(settings: Settings, host: str, port: int, *, sqlite: bool) -> int:
    """Runs until SIGTERM or SIGINT, then lets requests in flight end; returns the exit code."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    workers = settings.web_workers or (1 if sqlite else os.cpu_count() or 1)
    environment = dict(os.environ) | {"PROMETHEUS_MULTIPROC_DIR": str(_counters(settings.home_dir))}
    children = [
        _Child("web", _web_command(host, port, workers), environment),
        _Child("worker", [sys.executable, "-P", "-m", "app.cli", "worker"], environment),
    ]
    _log.info("serving %s on %s port %d, %d web workers", settings.issuer, host, port, workers)
    while not stop.wait(_LOOK_EVERY_SECONDS):
        for child in children:
            child.look_after(time.monotonic())
    _end(children)
    return 0


def _end(children: list[_Child]) -> None:
    for child in children:
        if child.process is not None:
            child.process.terminate()
    deadline = time.monotonic() + _GRACE_SECONDS
    for child in children:
        child.stop(deadline)


def _web_command(host: str, port: int, workers: int) -> list[str]:
    """Nothing is imported from the current directory: not by Python (``-P``), nor by granian, which would
    look there first unless it is told where the application lies.
    """
    package = Path(__file__).parent.parent
    options = {
        "interface": "wsgi",
        "host": host,
        "port": port,
        "workers": workers,
        "blocking-threads": 1,
        "backlog": 1024,
        "http": "1",
        "workers-kill-timeout": 20,
        "log-level": "warning",
        "working-dir": package.parent,
    }
    flags = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return [
        sys.executable,
        "-P",
        "-m",
        "granian",
        *flags,
        "--factory",
        "--respawn-failed-workers",
        f"{package / 'factory.py'}:from_environment",
    ]


def _counters(home_dir: Path) -> Path:
    """A fresh directory for the counters that web workers share."""
    directory = home_dir / "metrics"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return directory.absolute()

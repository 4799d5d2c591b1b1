"""Runs a script on this machine: one ``sh -e``, in its own directory, with exactly the given environment.

With a ``user`` the steps run as that account, in a PID namespace of their own or not at all, and the caller
has ``check_boundary`` say at start whether that works and shuts the account out. Without one they run as
oneself, for trying out: a process may then read the memory and the ``/proc/<pid>/environ`` of every other of
the same account, this server (unless it makes itself undumpable, prctl(2) PR_SET_DUMPABLE) and its files
among them.
"""

import fcntl
import os
import selectors
import socket
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from datetime import timedelta
from pathlib import Path

from app.errors import InvalidInput
from app.flows.executors.account import find_account
from app.flows.executors.launch import launched, parse_report, receive
from app.flows.executors.outcome import CANCELLED, Outcome, outcome_of
from app.flows.executors.workspace import (
    Leftover,
    Workspace,
    empty_leftovers,
    forget_leftover,
    open_workspace,
    write_private,
)
from app.secret import Secret

_CHUNK = 65_536


class LocalExecutor:
    """Threads may share one; each ``execute`` needs its own workspace and thread until it returns."""

    def __init__(
        self,
        *,
        runs_dir: Path,
        user: str | None,
        grace: timedelta = timedelta(seconds=5),
        poll: timedelta = timedelta(milliseconds=500),
        isolate: bool = True,
    ) -> None:
        """``grace`` lies between SIGTERM and SIGKILL.

        ``isolate``: in a PID namespace; where none can be had, steps of a ``user`` do not run at all.
        """
        self._runs_dir = runs_dir.absolute()
        self._account = find_account(user) if user else None
        self._grace = grace
        self._poll = poll
        self._isolate = isolate

    def workspace(self, run_id: int, mark: str) -> AbstractContextManager[Workspace]:
        """The run's own directories (0700), removed at the end with whatever is in them."""
        return open_workspace(self._runs_dir, run_id, mark, self._account)

    def empty_leftovers(self) -> list[Leftover]:
        """Empties workspaces whose process was killed; each is found again until it is forgotten."""
        return empty_leftovers(self._runs_dir)

    def forget_leftover(self, leftover: Leftover) -> None:
        """Once its run is known to have ended."""
        forget_leftover(self._runs_dir, leftover)

    def write_file(self, workspace: Workspace, name: str, value: Secret) -> Path:
        """A secret's file, which only the steps' account can read."""
        return write_private(workspace.files, name, value.reveal().encode(), self._account)

    def execute(
        self,
        *,
        workspace: Workspace,
        script: Sequence[str],
        environment: Mapping[str, str],
        timeout: timedelta,
        output: Callable[[bytes], None],
        cancelled: Callable[[], bool],
    ) -> Outcome:
        """Runs the script, once in a workspace; when this returns or raises, no process of it is left.

        ``output`` gets stdout and stderr as one stream, as it comes, in chunks of up to 64 KiB; ``cancelled``
        is asked every ``poll``. If this process is killed, so is the script.
        """
        _check_environment(environment)
        if cancelled():
            return CANCELLED
        text = "".join(f"{line}\n" for line in script).encode(errors="surrogateescape")
        write_private(workspace.root, "script", text, self._account)
        request = {
            "task": "run",
            "owner": os.getpid(),
            "root": str(workspace.root),
            "directory": str(workspace.directory),
            "script": "../script",
            "environment": dict(environment),
            "account": self._account and vars(self._account),
            "timeout": timeout.total_seconds(),
            "grace": self._grace.total_seconds(),
            "isolate": self._isolate,
        }
        with launched(request) as (control, stream):
            report = _follow(control, stream, output, cancelled, self._poll.total_seconds())
            _drain(stream, output)
        return outcome_of(parse_report(report))


def _check_environment(environment: Mapping[str, str]) -> None:
    for name, value in environment.items():
        if not name or "=" in name or "\0" in name:
            raise InvalidInput("a variable's name is not empty and has neither '=' nor a NUL character")
        if "\0" in value:
            raise InvalidInput(f"{name}: a variable cannot hold a NUL character; use a file instead")


def _follow(
    control: socket.socket,
    stream: int,
    output: Callable[[bytes], None],
    cancelled: Callable[[], bool],
    poll: float,
) -> bytes:
    """Passes output on and cancels when asked, until guard and init are gone and with them every step."""
    report, asked, due = b"", False, time.monotonic() + poll
    with selectors.DefaultSelector() as sources:
        sources.register(control, selectors.EVENT_READ)
        sources.register(stream, selectors.EVENT_READ)
        while True:
            for source, _ in sources.select(max(0, due - time.monotonic())):
                if source.fileobj is control:
                    news = receive(control)
                    if not news:
                        return report
                    report += news
                elif chunk := os.read(stream, _CHUNK):
                    output(chunk)
                else:
                    sources.unregister(stream)
            if time.monotonic() >= due:
                due = time.monotonic() + poll
                if not asked and cancelled():
                    asked = True
                    with suppress(BrokenPipeError):
                        control.send(b"c")


def _drain(stream: int, output: Callable[[bytes], None]) -> None:
    """What the dead have written; not to the end of the file, for a step may have given the pipe away."""
    left = int.from_bytes(fcntl.ioctl(stream, termios.FIONREAD, bytes(4)), sys.byteorder)
    while left > 0 and (chunk := os.read(stream, min(left, _CHUNK))):
        left -= len(chunk)
        output(chunk)

"""Processes by descent and by trace, from /proc: a server is more than one session or process group."""

import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path


def family(ancestor: int) -> list[int]:
    """The process and all that descend from it; an orphan is nobody's."""
    children: dict[int, list[int]] = {}
    for pid, parent in _parents():
        children.setdefault(parent, []).append(pid)
    found = [ancestor]
    for pid in found:
        found += children.get(pid, [])
    return found


def stop_family(ancestor: int) -> set[int]:
    """SIGSTOP for all of them, those forked meanwhile included; one that was just ending may be gone."""
    members: set[int] = set()
    while fresh := set(family(ancestor)) - members:
        send(fresh, signal.SIGSTOP)
        members |= fresh
    return members


def kill_family(ancestor: int) -> None:
    """`kill -9` for all of them at once: stopped first, so that none answers the death of another."""
    send(stop_family(ancestor), signal.SIGKILL)


def send(members: Iterable[int], number: signal.Signals) -> None:
    """To those of them that still are."""
    for pid in members:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def alive_with(trace: str) -> dict[int, str]:
    """Processes with this text in their environment, arguments or directory; the value is their command."""
    needle = trace.encode()
    found = {}
    for process in _processes():
        with suppress(OSError):
            command = (process / "cmdline").read_bytes()
            where = os.fsencode((process / "cwd").readlink())
            if needle in (process / "environ").read_bytes() + b"\0" + command + b"\0" + where:
                found[int(process.name)] = command.replace(b"\0", b" ").decode(errors="replace")
    found.pop(os.getpid(), None)
    return found


def _parents() -> Iterator[tuple[int, int]]:
    for process in _processes():
        with suppress(OSError):
            after_name = (process / "stat").read_text().rpartition(")")[2]
            yield int(process.name), int(after_name.split()[1])


def _processes() -> Iterator[Path]:
    return (entry for entry in Path("/proc").iterdir() if entry.name.isdigit())

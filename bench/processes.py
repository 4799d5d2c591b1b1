"""What a process tree has cost, from /proc (proc(5))."""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Process:
    pid: int
    parent: int
    cpu_ticks: int
    """User and system time, also of those children that have ended and been waited for."""
    resident_pages: int

    @property
    def cpu_seconds(self) -> float:
        return self.cpu_ticks / _TICKS_PER_SECOND

    @property
    def resident_bytes(self) -> int:
        return self.resident_pages * _PAGE


def parse_stat(text: str) -> Process:
    """A line of /proc/<pid>/stat; the command in brackets may itself hold brackets and blanks."""
    pid, _, rest = text.partition(" (")
    fields = rest.rpartition(") ")[2].split()
    return Process(int(pid), int(fields[1]), sum(map(int, fields[11:15])), int(fields[21]))


def tree(root: int, processes: Iterable[Process]) -> list[Process]:
    """`root` and all that descend from it, parents before children."""
    known = {process.pid: process for process in processes}
    children: dict[int, list[int]] = {}
    for process in known.values():
        children.setdefault(process.parent, []).append(process.pid)
    return [known[pid] for pid in _descent(root, children) if pid in known]


def running() -> Iterator[Process]:
    for folder in _PROC.iterdir():
        if folder.name.isdecimal():
            with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
                yield parse_stat((folder / "stat").read_text())


def cpu_seconds(root: int) -> float:
    """Of the whole tree below and with `root` since each of its processes started."""
    return sum(process.cpu_seconds for process in tree(root, running()))


def _descent(root: int, children: Mapping[int, list[int]]) -> Iterator[int]:
    yield root
    for child in children.get(root, ()):
        yield from _descent(child, children)

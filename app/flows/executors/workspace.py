"""The directory of a run: private to the steps' account, and gone afterwards, whatever is in it."""

import fcntl
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from secrets import token_hex
from typing import NamedTuple

from app.errors import InvalidInput
from app.flows.executors.account import Account
from app.flows.executors.programs import programs

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
_NAME = re.compile(r"run-([1-9]\d{0,17})-([0-9a-f]{32})", re.ASCII)
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Workspace:
    """Directories in one private ``root``; the steps start in ``directory``, secrets lie in ``files``, and
    ``programs`` belongs into their search path.
    """

    root: Path
    directory: Path
    home: Path
    tmp: Path
    files: Path
    programs: Path


class Leftover(NamedTuple):
    """The workspace of a process that was killed: which run it was opened for, and its ``mark``."""

    run_id: int
    mark: str


@contextmanager
def open_workspace(runs_dir: Path, run_id: int, mark: str, owner: Account | None) -> Iterator[Workspace]:
    """A new workspace. ``mark``: 32 random hexadecimal digits, so that its name cannot be guessed, for modes
    do not keep two runs of one account apart; and so that it is not taken for another attempt at the run.

    It is locked while in use, which tells it from one whose process was killed (``empty_leftovers``).
    """
    root = _root(runs_dir, run_id, mark)
    directory, home, tmp, files, tools = (root / name for name in ("work", "home", "tmp", "files", "bin"))
    workspace = Workspace(root, directory, home, tmp, files, tools)
    with _locked(_prepared(runs_dir, passable=owner is not None), fcntl.LOCK_SH):
        _make(root, owner)
        lock = os.open(root, _DIRECTORY)
        fcntl.flock(lock, fcntl.LOCK_SH)
    try:
        for each in (directory, home, tmp, files, tools):
            _make(each, owner)
        for name, content in programs().items():
            write_private(tools, name, content, owner, mode=0o500)
        yield workspace
    finally:
        _remove(root)
        os.close(lock)


def write_private(
    directory: Path, name: str, content: bytes, owner: Account | None, mode: int = 0o400
) -> Path:
    """A new file that its owner alone can read, from its first instant on."""
    if name in {"", ".", ".."} or "/" in name or "\0" in name:
        raise InvalidInput("a file's name is one plain component of a path")
    with _opened(directory) as parent:
        file = os.open(name, _NEW_FILE, mode, dir_fd=parent)
    with os.fdopen(file, "wb") as stream:
        if owner:
            os.fchown(file, owner.uid, owner.gid)
        stream.write(content)
    return directory / name


def empty_leftovers(runs_dir: Path) -> list[Leftover]:
    """Removes what is in the workspaces of processes that were killed, secrets and all; whose they were.

    They themselves stay until ``forget_leftover``, so that nobody forgets to tell of the end of their runs.
    """
    return [found for found in _workspaces(runs_dir) if _was_left(_root(runs_dir, *found))]


def forget_leftover(runs_dir: Path, leftover: Leftover) -> None:
    with suppress(OSError):  # gone already; or something is in the way, which the next look meets again
        _root(runs_dir, *leftover).rmdir()


def _root(runs_dir: Path, run_id: int, mark: str) -> Path:
    return runs_dir / f"run-{run_id}-{mark}"


def _workspaces(runs_dir: Path) -> list[Leftover]:
    """Each is in use, and locked by then, or a leftover: none is just being made as this holds the lock."""
    with suppress(FileNotFoundError), _locked(runs_dir, fcntl.LOCK_EX), os.scandir(runs_dir) as entries:
        names = [_NAME.fullmatch(entry.name) for entry in entries]
        return [Leftover(int(name[1]), name[2]) for name in names if name is not None]
    return []


def _was_left(root: Path) -> bool:
    """Empties it, unless it is in use or went meanwhile."""
    try:
        with _locked(root, fcntl.LOCK_EX | fcntl.LOCK_NB):
            _empty_all(root)
            return True
    except (BlockingIOError, FileNotFoundError):
        return False
    except OSError as error:  # no workspace of ours
        _log.error("what is left in %s is not removed: %s", root.name, error.strerror)
        return False


def _prepared(runs_dir: Path, *, passable: bool) -> Path:
    """Made at first use: others may pass through it at most, and nobody else can list it."""
    runs_dir.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        runs_dir.mkdir(0o700)
        runs_dir.chmod(0o711 if passable else 0o700)
    return runs_dir


def _make(directory: Path, owner: Account | None) -> None:
    directory.mkdir(0o700)
    if owner:
        os.chown(directory, owner.uid, owner.gid)


def _remove(root: Path) -> None:
    _empty_all(root)
    root.rmdir()


def _empty_all(root: Path) -> None:
    """Empties one directory after another, first lifting what it finds inside it up to the root.

    So neither depth nor length of paths matters, and no link is followed: the content is a stranger's.
    """
    root.chmod(0o700)
    names = (f"{token_hex(8)}-{number}" for number in count())
    pending = ["."]
    with _opened(root) as base:
        while pending:
            name = pending.pop()
            with _opened(name, base) as directory:
                pending += _empty(directory, base, names)
            if name != ".":
                os.rmdir(name, dir_fd=base)


def _empty(directory: int, base: int, names: Iterator[str]) -> list[str]:
    lifted = []
    with os.scandir(directory) as entries:
        for entry in list(entries):
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.name, dir_fd=directory)
                continue
            if os.geteuid() != 0:  # root needs no leave, and would follow a link to where a stranger points
                os.chmod(entry.name, 0o700, dir_fd=directory)
            lifted.append(next(names))
            os.rename(entry.name, lifted[-1], src_dir_fd=directory, dst_dir_fd=base)
    return lifted


@contextmanager
def _opened(directory: Path | str, base: int | None = None) -> Iterator[int]:
    descriptor = os.open(directory, _DIRECTORY, dir_fd=base)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _locked(directory: Path, operation: int) -> Iterator[None]:
    with _opened(directory) as descriptor:
        fcntl.flock(descriptor, operation)
        yield

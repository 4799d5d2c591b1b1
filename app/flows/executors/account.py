"""The account that steps run as, and what it must not reach."""

import os
import pwd
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from app.errors import InvalidInput
from app.flows.executors.launch import launched, parse_report, receive


@dataclass(frozen=True)
class Account:
    uid: int
    gid: int
    groups: tuple[int, ...]


def find_account(user: str) -> Account:
    """The account of that name; InvalidInput unless it exists, is not root, and we may become it."""
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise InvalidInput("LOCAL_EXECUTOR_USER: this machine has no such account; create it") from None
    if os.geteuid() != 0:
        raise InvalidInput("LOCAL_EXECUTOR_USER: only root can run steps as another account")
    if entry.pw_uid == 0:
        raise InvalidInput("LOCAL_EXECUTOR_USER: root reads everything; name an account without rights")
    return Account(entry.pw_uid, entry.pw_gid, tuple(os.getgrouplist(user, entry.pw_gid)))


def check_boundary(user: str, unreadable: Sequence[Path]) -> list[str]:
    """Those paths, and whatever lies below them, that the account could read or write; none is right.

    A process that has become the account really asks the kernel, so groups and ACLs count. InvalidInput
    where no process can become it, or where its runs cannot be kept apart from each other. Worth naming
    beside keys and database: the directory of the runs, and ``/proc/<pid>/environ`` of the server.
    """
    paths = [str(path) for path in chain.from_iterable(map(_tree, unreadable))]
    request = {"task": "probe", "account": vars(find_account(user)), "paths": paths}
    with launched(request) as (control, _):
        report = parse_report(b"".join(iter(lambda: receive(control), b"")))
    if "reached" not in report:
        raise InvalidInput(f"LOCAL_EXECUTOR_USER: {report.get('error', 'the check was killed')}")
    return list(report["reached"])


def _tree(path: Path) -> Iterator[Path]:
    yield path
    if path.is_dir():
        for directory, directories, files in os.walk(path):
            yield from (Path(directory, name) for name in chain(directories, files))

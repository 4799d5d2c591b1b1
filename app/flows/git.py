"""One file of one branch of a Git repository, through the ``git`` program.

Neither who names the repository nor who answers there is trusted: nothing of this machine's configuration
or environment, no credential, hook, submodule, proxy or redirect takes part; the address is checked and
pinned as those of secrets are; time, memory and what is written are bounded. What was typed comes to git as
the value of a setting, or behind ``refs/heads/``.
"""

import logging
import math
import os
import re
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

from app.errors import Refusal
from app.flows.outbound import Outbound
from app.flows.sources import SourceUnavailable
from app.flows.target import Target
from app.flows.transport import OutboundRefusal

_log = logging.getLogger(__name__)

_OLDEST = (2, 37)
"""The first with ``http.curloptResolve``; an older one would ignore it, and look names up itself."""
_PATH = "/usr/local/bin:/usr/bin:/bin"
_LIMITED = """
ulimit -c 0 && ulimit -f "$1" && ulimit -v "$2" && ulimit -t "$3" || exit 126
shift 3
exec git "$@"
"""
_BLOCK = 512  # of `ulimit -f`, POSIX
_CONFIG = {
    "core.bigFileThreshold": "1m",  # larger objects go through memory piece by piece
    "fetch.unpackLimit": "1",  # one file, whose size the limit bounds
    "http.emptyAuth": "false",  # no Kerberos ticket of this machine
    "http.followRedirects": "false",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "10",
    "http.userAgent": "countersign",
    "maintenance.auto": "false",
    "pack.threads": "1",
    "remote.source.partialCloneFilter": "blob:none",
    "remote.source.promisor": "true",
}
_REGULAR = {b"100644", b"100755"}
_KINDS = {b"120000": "a symbolic link", b"160000": "a submodule", b"040000": "a directory"}
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_PREFIX = "countersign-git-"
_LEFT_AFTER_SECONDS = 3600
_NO_BRANCH = 2
_NO_REF = "couldn't find remote ref"
_NOT_STARTED = {126, 127}
_MOST_WORDS = 8192

_CAUSES = (
    (
        r"returned error: 30[0-9]|from redirection",
        "it redirects, which is not followed: give the URL that answers itself",
    ),
    (
        r"could not read Username|Authentication failed|returned error: 40[13]",
        "it asks for a password: there is no such repository, or not everybody may read it",
    ),
    (r"returned error: 404|repository .* not found", "there is no such repository"),
    (r"returned error: ([1-5][0-9]{2})", r"it answers \1"),
    (r"SSL|TLS|certificate", "its certificate is not trusted, or TLS failed"),
    (
        r"signal (9|11|24)\b|[Oo]ut of memory|memory exhausted|Cannot allocate",
        "it takes too much memory or time",
    ),
    (r"dumb http", "it serves mere files (dumb HTTP): use a Git server"),
    (r"Operation too slow|[Tt]imed? ?out", "no whole answer in time"),
    (r"Failed to connect|Couldn't connect|Connection (refused|reset)", "cannot connect"),
    (r"not valid: is this a git repository|not a git repository", "no Git repository answers there"),
    (r"mismatched algorithms", "its object format is not SHA-1, the only one that is read"),
)


@dataclass(frozen=True, kw_only=True)
class GitLimits:
    """What reading a repository may cost: seconds, and bytes."""

    seconds: float = 30.0
    """For all of it, looking the name up included."""
    transfer: int = 64 << 20
    """Of one transfer, compressed: a commit, the directories of it, and one file."""
    memory: int = 1 << 30
    file: int
    rest: float = 0.0
    """For how many times as long as a read took none follows: where who reads keeps others waiting."""


class GitRests(Refusal):
    """A read would follow too soon upon another one; ``seconds`` until one may."""

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds
        super().__init__(
            f"repositories are read for a small part of the time here: try again in {seconds} s, "
            "or let the operator do it by command"
        )


@dataclass(frozen=True)
class FileAtCommit:
    commit: str
    body: bytes


class Git:
    """Where repositories may be is `outbound`'s to say."""

    def __init__(self, outbound: Outbound, limits: GitLimits) -> None:
        self._outbound = outbound
        self._limits = limits
        self._rests_until = 0.0
        self._is_recent = False

    @contextmanager
    def branch(self, url: str, name: str) -> Iterator["Branch"]:
        """The branch, for as long as the limits allow; raises SourceUnavailable, as all that it does may, or
        at once GitRests.
        """
        begin = time.monotonic()
        if begin < self._rests_until:
            raise GitRests(math.ceil(self._rests_until - begin))
        try:
            target, addresses = self._outbound.resolved(url)
            with TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True) as folder:
                configuration, end = _configuration(target, addresses), begin + self._limits.seconds
                branch = Branch(target, name, configuration, Path(folder), self._limits, end)
                self._require_version(branch)
                yield branch
        except OutboundRefusal as refusal:
            raise SourceUnavailable(f"cannot read {url}: {refusal}") from None
        finally:
            if self._limits.rest:
                now = time.monotonic()
                self._rests_until = now + self._limits.rest * (now - begin)

    def _require_version(self, branch: "Branch") -> None:
        if not self._is_recent:
            branch.require_version()
            self._is_recent = True


class Branch:
    """``tip`` asks where it is; ``read`` fetches it. Both as of now, within one span of time."""

    def __init__(
        self,
        target: Target,
        name: str,
        configuration: Mapping[str, str],
        folder: Path,
        limits: GitLimits,
        end: float,
    ) -> None:
        """``end``: until when, by ``time.monotonic``."""
        self._url, self._name, self._ref = target.url, name, f"refs/heads/{name}"
        self._folder, self._limits, self._end = folder, limits, end
        self._environment = _environment(target.scheme, folder, configuration)

    def tip(self) -> str:
        """Its commit."""
        for line in self._git("ls-remote", "--exit-code", "source", self._ref).splitlines():
            commit, _, ref = line.decode(errors="replace").partition("\t")
            if ref == self._ref and _COMMIT.fullmatch(commit):
                return commit
        raise self._refusal(f"there is no branch {self._name}")

    def read(self, name: str) -> FileAtCommit:
        """The file of this name at the branch's commit, which is a file there and no link to one."""
        self._git("init", "--quiet", "--bare", "--template=")
        self._git(
            "fetch",
            "--quiet",
            "--depth=1",
            "--no-tags",
            "--recurse-submodules=no",
            "--no-write-fetch-head",
            "--filter=blob:none",
            "source",
            f"+{self._ref}:{self._ref}",
        )
        commit = self._git("rev-parse", "--verify", f"{self._ref}^{{commit}}").decode().strip()
        entry, _, found = self._git("ls-tree", "-z", commit, name).rstrip(b"\0").partition(b"\t")
        if found != name.encode():
            raise self._refusal(f"there is no {name} at its top, on branch {self._name} at {commit}")
        mode, _, blob = entry.split(b" ")
        if mode not in _REGULAR:
            raise self._refusal(f"{name} is {_KINDS.get(mode, 'no file')} there: it must be a file")
        return FileAtCommit(commit, self._git("cat-file", "blob", blob.decode(), at_most=self._limits.file))

    def require_version(self) -> None:
        said = self._git("version")
        version = re.match(rb"git version ([0-9]+)\.([0-9]+)", said)
        if version is None or (int(version[1]), int(version[2])) < _OLDEST:
            raise self._refusal("the git program of this server is older than 2.37: the operator updates it")

    def _git(self, *arguments: str, at_most: int = 1 << 20) -> bytes:
        """What it prints; into files, because the limit of what may be written holds for those."""
        said, words = self._folder / "said", self._folder / "words"
        with said.open("wb") as stdout, words.open("wb") as stderr:
            process = subprocess.Popen(
                self._limited(arguments),
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
            exit_code = self._wait(process)
        if exit_code != 0:
            raise self._why(arguments[0], exit_code, words)
        with said.open("rb") as file:
            body = file.read(at_most + 1)
        if len(body) > at_most:
            raise self._refusal(f"the file is larger than {at_most} bytes")
        return body

    def _limited(self, arguments: tuple[str, ...]) -> list[str]:
        limits = self._limits
        numbers = (limits.transfer // _BLOCK, limits.memory >> 10, math.ceil(limits.seconds))
        return ["/bin/sh", "-c", _LIMITED, "git", *map(str, numbers), *arguments]

    def _wait(self, process: "subprocess.Popen[bytes]") -> int:
        try:
            return process.wait(max(self._end - time.monotonic(), 0))
        except BaseException as why:
            with suppress(ProcessLookupError):  # unless it is reaped, the group is still its own
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if isinstance(why, subprocess.TimeoutExpired):
                raise self._refusal(f"no whole answer within {self._limits.seconds:g} s") from None
            raise

    def _why(self, task: str, exit_code: int, words: Path) -> SourceUnavailable:
        """In our words: its own may hold anything that the other side sent."""
        if exit_code in _NOT_STARTED:
            return self._refusal("this server cannot run git: the operator installs it")
        with words.open("rb") as file:
            text = file.read(_MOST_WORDS).decode(errors="replace")
        if (exit_code == _NO_BRANCH and task == "ls-remote") or _NO_REF in text:
            return self._refusal(f"there is no branch {self._name}")
        _log.info("git %s of %s: exit %d: %s", task, self._url, exit_code, text.strip())
        if self._is_full():
            return self._refusal(f"more than {self._limits.transfer >> 20} MB would have to be transferred")
        for pattern, cause in _CAUSES:
            if found := re.search(pattern, text):
                return self._refusal(found.expand(cause))
        return self._refusal(
            "git failed for a reason that is in the server's log", f"git failed: {text.strip()}"
        )

    def _is_full(self) -> bool:
        """Whether git was ended for writing (SIGXFSZ), which it says in many ways, or not at all."""
        full = self._limits.transfer // _BLOCK * _BLOCK
        return any(file.stat().st_size >= full for file in self._folder.rglob("*") if file.is_file())

    def _refusal(self, cause: str, for_operator: str | None = None) -> SourceUnavailable:
        step = f"cannot read {self._url}"
        return SourceUnavailable(f"{step}: {cause}", for_operator and f"{step}: {for_operator}")


def remove_leftovers(now: datetime) -> None:
    """Of reads whose process was killed: folders of ours, older than any read that goes on."""
    for folder in Path(gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            found = folder.lstat()
            is_old = found.st_mtime < now.timestamp() - _LEFT_AFTER_SECONDS
            if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and is_old:
                shutil.rmtree(folder, ignore_errors=True)


def _configuration(target: Target, addresses: tuple[str, ...]) -> dict[str, str]:
    found = {**_CONFIG, "remote.source.url": target.url}
    if target.host not in addresses:  # a name, and whatever it stands for by now
        pinned = ",".join(f"[{address}]" if ":" in address else address for address in addresses)
        found["http.curloptResolve"] = f"{target.host}:{target.port}:{pinned}"
    return found


def _environment(scheme: str, folder: Path, configuration: Mapping[str, str]) -> dict[str, str]:
    """All that git has."""
    variables = {
        "PATH": _PATH,
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "LC_ALL": "C",
        "GIT_DIR": str(folder / "repository"),
        "GIT_ALLOW_PROTOCOL": scheme,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_COUNT": str(len(configuration)),
        "GIT_TERMINAL_PROMPT": "0",
    }
    for number, (key, value) in enumerate(configuration.items()):
        variables |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return variables

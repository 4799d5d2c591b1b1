"""OpenBao, built once per go.sum from the pinned Go module. Standard library only."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

from tests.support import golang
from tests.support.progress import follow, say
from tests.support.tools import ROOT, TOOLS, MissingError

MODULE = ROOT / "tests/interop/openbao"
PACKAGE = "github.com/openbao/openbao"
LINK = TOOLS / "bin/bao"


def built() -> Path:
    """Where the program of the committed go.sum is, or will be."""
    digest = hashlib.sha256((MODULE / "go.sum").read_bytes()).hexdigest()[:16]
    return TOOLS / "openbao" / digest / "bao"


def find() -> Path:
    """The pinned build, else a `bao` or `vault` on the PATH; raises `MissingError`."""
    program = built() if built().exists() else on_path()
    if program is None:
        raise MissingError("OpenBao", "`make openbao` builds it in some minutes, with Go")
    return program


def on_path() -> Path | None:
    found = shutil.which("bao") or shutil.which("vault")
    return Path(found) if found else None


def build() -> None:
    """Builds it unless that was done; raises `MissingError` with the reason."""
    program = built()
    program.parent.mkdir(parents=True, exist_ok=True)
    with (TOOLS / "openbao/lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            _compile(program)
        _link(program)


def _compile(program: Path) -> None:
    go = golang.at_least(_required_go())
    say("building OpenBao: minutes on a cold cache, some 2,000 steps")
    unfinished, log = program.with_suffix(".part"), program.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [go, "build", "-v", "-trimpath", "-ldflags", "-s -w", "-o", unfinished, PACKAGE],
            cwd=MODULE,
            env=os.environ | {"CGO_ENABLED": "0"},
            stderr=output,
        )
    if follow(process, log):
        raise MissingError("OpenBao", "its build failed:\n" + log.read_text()[-2000:])
    unfinished.rename(program)


def _required_go() -> str:
    line = re.search(r"^go (\S+)$", (MODULE / "go.mod").read_text(), re.MULTILINE)
    if line is None:
        raise MissingError("OpenBao", "its go.mod names no Go version")
    return line[1]


def _link(program: Path) -> None:
    """A name that stays when go.sum changes, put there in one step."""
    LINK.parent.mkdir(parents=True, exist_ok=True)
    fresh = LINK.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(os.path.relpath(program, LINK.parent))
    fresh.rename(LINK)

"""The Go program of the interop tests, built once per source and go.sum. Standard library only."""

import fcntl
import hashlib
import os
import subprocess
from pathlib import Path

from tests.support import golang
from tests.support.progress import say
from tests.support.tools import ROOT, TOOLS, MissingError

MODULE = ROOT / "tests/interop/go"
_GO = "1.25.0"  # as go.mod says


def built() -> Path:
    """The program, after the seconds that its first build takes; raises `MissingError` with the reason."""
    program = TOOLS / "caching" / _digest() / "caching"
    program.parent.mkdir(parents=True, exist_ok=True)
    with (TOOLS / "caching/lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            _compile(program)
    return program


def _compile(program: Path) -> None:
    go = golang.at_least(_GO)
    say("building the Go verifiers")
    done = subprocess.run(
        [go, "build", "-trimpath", "-o", program, "."],
        cwd=MODULE,
        env=os.environ | {"CGO_ENABLED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise MissingError("the Go verifiers", "their build failed:\n" + done.stderr[-2000:])


def _digest() -> str:
    content = b"".join((MODULE / name).read_bytes() for name in ("go.mod", "go.sum", "main.go"))
    return hashlib.sha256(content).hexdigest()[:16]

"""What a long preparation says while it works, on stderr. Standard library only."""

import subprocess
import sys
import time
from pathlib import Path


def say(message: str) -> None:
    print(f"prepare: {message}", file=sys.stderr, flush=True)  # noqa: T201 - a program's progress


def follow(process: subprocess.Popen[bytes], log: Path, every: float = 30) -> int:
    """The exit code of `process`; until then says every so many seconds how many lines its `log` has."""
    started = time.monotonic()
    while True:
        try:
            return process.wait(every)
        except subprocess.TimeoutExpired:
            steps = log.read_bytes().count(b"\n")
            say(f"  {steps:,} steps after {time.monotonic() - started:.0f} s")

"""Verifiers of three languages that keep the JWKS themselves: each a process that answers line by line."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.support import go_program, node_modules
from tests.support.require import require
from tests.support.tools import NODE, ROOT

FOR_EVER = -1.0


@dataclass(frozen=True)
class Cache:
    """A JWKS, and for how long who has fetched it believes it."""

    jwks: str
    seconds: float


class Verifiers:
    """The caches of one language; `verdicts` are in their order."""

    def __init__(self, command: Sequence[str | Path], issuer: str, caches: Sequence[Cache]) -> None:
        self.caches = caches
        self._process = subprocess.Popen(
            [*command, issuer, json.dumps([asdict(each) for each in caches])],
            env={"PATH": os.defpath},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def verdicts(self, token: str, audience: str) -> list[str | None]:
        """Of each cache why it refuses; `None` if it accepts."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps({"token": token, "audience": audience}) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        assert line, f"{process.args!r} ended with {process.wait()}"
        answer: list[str | None] = json.loads(line)
        return answer

    def close(self) -> None:
        self._process.communicate(timeout=60)


@contextmanager
def verifiers(issuer: str, caches: Sequence[Cache]) -> Iterator[Mapping[str, Verifiers]]:
    """PyJWT, npm jose and Go's keyfunc with these caches; `go-oidc` keeps what it has for ever."""
    commands = require(_commands)
    with ExitStack() as stack:
        started = {name: Verifiers(command, issuer, caches) for name, command in commands.items()}
        forever = [Cache(each, FOR_EVER) for each in dict.fromkeys(each.jwks for each in caches)]
        started["go-oidc"] = Verifiers(commands["keyfunc"], issuer, forever)
        for each in started.values():
            stack.callback(each.close)
        yield started


def _commands() -> dict[str, list[str | Path]]:
    return {
        "PyJWT": [sys.executable, ROOT / "tests/interop/caching.py"],
        "npm jose": [NODE.find("node"), node_modules.find() / "caching.mjs"],
        "keyfunc": [go_program.built()],
    }

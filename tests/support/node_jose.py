"""npm `jose` as a verifier: one Node process (verify.mjs) that answers line by line."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support import node_modules
from tests.support.require import require
from tests.support.tools import NODE
from tests.support.verdict import Verdict, VerifierBrokeError


class NodeJose:
    """Keeps each issuer's JWKS as jose does: 10 minutes, an unknown `kid` refetches after 30 s."""

    def __init__(self, node: Path, folder: Path) -> None:
        self._process = subprocess.Popen(
            [node, "verify.mjs"],
            cwd=folder,
            env={"PATH": os.defpath},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def verify(self, *, issuer: str, audience: str, token: str) -> Verdict:
        """From the issuer's discovery document on; raises `VerifierBrokeError` when it could not judge."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps({"issuer": issuer, "audience": audience, "token": token}) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            raise VerifierBrokeError(f"node ended with {process.wait()}")
        answer = json.loads(line)
        if "broken" in answer:
            raise VerifierBrokeError(answer["broken"])
        return Verdict(**answer)

    def close(self) -> None:
        self._process.communicate(timeout=60)


@pytest.fixture(scope="module")
def node_jose() -> Iterator[NodeJose]:
    """Fresh for each module: what it has cached of an issuer is known from reading one file."""
    folder, node = require(lambda: (node_modules.find(), NODE.find("node")))
    with closing(NodeJose(node, folder)) as verifier:
        yield verifier

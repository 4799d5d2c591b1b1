"""A child of the supervisor ends with all that it has started."""

import os
import time

import pytest

from app.cli.supervisor import _Child

STUBBORN = 'trap "" TERM; exec >"$0"; echo ready; sleep 600 & sleep 600; wait'


@pytest.mark.timeout(240)
def test_what_outlives_its_grace_is_killed_with_its_own_children(tmp_path):
    """All of them hold the pipe open for writing: it ends when none of them is left."""
    os.mkfifo(tmp_path / "pipe")
    child = _Child("stubborn", ["sh", "-c", STUBBORN, str(tmp_path / "pipe")], {"PATH": os.defpath})
    child.look_after(time.monotonic())
    with (tmp_path / "pipe").open() as pipe:
        assert pipe.readline() == "ready\n"
        child.process.terminate()
        child.stop(time.monotonic() + 0.1)
        assert pipe.read() == ""

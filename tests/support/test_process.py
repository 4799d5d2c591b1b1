"""A server of a test: waited for, heard when it fails, and gone in the end with all that it started."""

import pathlib
import signal
import sys
import time

import pytest

from tests.support.process import answers, free_port, running

STUBBORN = """
import pathlib, signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
pathlib.Path("child").write_text(f"{child.pid} ")
signal.pause()
"""


def test_it_is_ready_when_it_says_so_and_silent_afterwards(tmp_path):
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    with running(command, ready=lambda: answers(url), log=tmp_path / "log", env={}, cwd=tmp_path):
        assert answers(url)
    assert not answers(url)


def test_its_last_words_are_told_when_it_ends_too_early(tmp_path):
    command = [sys.executable, "-c", "import sys; sys.exit('no such port')"]
    never = running(command, ready=lambda: False, log=tmp_path / "log", env={}, cwd=tmp_path)
    with pytest.raises(AssertionError, match=r"(?s)exit 1.*no such port"), never:
        pass


def test_what_will_not_end_is_a_failure_and_dies_with_its_children(tmp_path):
    child = tmp_path / "child"
    stubborn = running(
        [sys.executable, "-c", STUBBORN],
        ready=lambda: child.exists() and child.read_text().endswith(" "),
        log=tmp_path / "log",
        env={},
        cwd=tmp_path,
        stop=signal.SIGTERM,
        grace=2,
    )
    with pytest.raises(AssertionError, match="did not end within 2 s of SIGTERM"), stubborn:
        pass
    deadline = time.monotonic() + 60  # the signal is sent; dying is the kernel's, when it comes to it
    while _runs(int(child.read_text())):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _runs(pid):
    """A zombie that nobody has reaped yet runs no more."""
    try:
        with pathlib.Path(f"/proc/{pid}/stat").open() as stat:
            return stat.read().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False

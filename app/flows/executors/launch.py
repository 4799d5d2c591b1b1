"""Starting the launcher, and talking with it over one socket: a request goes down, a report comes up."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, cast

_PROGRAM = Path(__file__).with_name("launcher.py")


@contextmanager
def launched(request: Mapping[str, object]) -> Iterator[tuple[socket.socket, int]]:
    """Our end of its socket, and the descriptor of the steps' output.

    Leaving closes the socket, whereupon the launcher kills whatever it started, and waits for it.
    Nothing of the request, and nothing of our own environment, is in its arguments or environment.
    """
    control, theirs = socket.socketpair()
    with control, theirs:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-X", "utf8", str(_PROGRAM)],
            stdin=theirs.fileno(),
            stdout=subprocess.PIPE,
            env={},
            cwd="/",
            bufsize=0,
            start_new_session=True,
        )
        theirs.close()
        stream = cast("IO[bytes]", process.stdout)
        try:
            with stream, control:
                body = json.dumps(request).encode()
                with suppress(BrokenPipeError):  # it was killed already; then there is no report either
                    control.sendall(len(body).to_bytes(8, "big") + body)
                yield control, stream.fileno()
        finally:
            process.wait()  # Popen's own __exit__ hardly does after a KeyboardInterrupt (bpo-25942)


def receive(control: socket.socket) -> bytes:
    """Some bytes of the report; empty once the launcher and all that it started are gone."""
    try:
        return control.recv(4096)
    except ConnectionResetError:  # it went while a message of ours was under way
        return b""


def parse_report(report: bytes) -> dict[str, Any]:
    """The launcher's last word; empty when it was killed before."""
    parsed: dict[str, Any] = json.loads(report or b"{}")
    return parsed

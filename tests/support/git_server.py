"""Git repositories over HTTP on loopback, served by git's own `http-backend`, and what can be wrong there."""

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from app.wiring import Components
from tests.support.require import require
from tests.support.tools import GIT

_ENVIRONMENT = {
    "PATH": os.environ.get("PATH", os.defpath),
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_AUTHOR_NAME": "Alice",
    "GIT_AUTHOR_EMAIL": "alice@example.com",
    "GIT_COMMITTER_NAME": "Alice",
    "GIT_COMMITTER_EMAIL": "alice@example.com",
}


def git(folder: Path, *arguments: str) -> str:
    """What it prints."""
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=_ENVIRONMENT, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@dataclass
class Repository:
    """A working copy, whose branches can be fetched from `url` as soon as they are committed to."""

    folder: Path
    url: str

    def commit(self, content: bytes | str, name: str = "agent-config.yml", **options: str) -> str:
        """The new commit of the branch that is checked out."""
        body = content.encode() if isinstance(content, str) else content
        (self.folder / name).write_bytes(body)
        return self.commit_all(**options)

    def commit_all(self, message: str = "change") -> str:
        git(self.folder, "add", "--all")
        git(self.folder, "commit", "--quiet", "--allow-empty", "--message", message)
        return self.tip()

    def tip(self) -> str:
        return git(self.folder, "rev-parse", "HEAD")

    def git(self, *arguments: str) -> str:
        return git(self.folder, *arguments)


@dataclass
class GitServer:
    """`asked`: the request lines, `heads`: the headers of each; the rest is what is wrong with it."""

    root: Path
    url: str = ""
    asked: list[str] = field(default_factory=list)
    heads: list[dict[str, str]] = field(default_factory=list)
    is_slow: bool = False
    status: int | None = None
    location: str | None = None
    is_dumb: bool = False

    def repository(self, name: str = "acme/webapp") -> Repository:
        """Empty, on branch main; partial fetches are served, as Git hosts do."""
        folder = self.root / f"{name}.git"
        folder.mkdir(parents=True)
        git(folder, "init", "--quiet", "--initial-branch=main", ".")
        git(folder, "config", "uploadpack.allowFilter", "true")
        git(folder, "config", "http.receivepack", "false")
        return Repository(folder, f"{self.url}/{name}.git")


def read_git_at_leisure(components: Components) -> None:
    """As commands and workers do: a web worker, which a test's are of, rests after each read."""
    components.git = Components(components.settings, components.clock).git


@pytest.fixture
def git_host(tmp_path: Path) -> Iterator[GitServer]:
    """A Git host on loopback, for one test."""
    require(lambda: GIT.find("git"))
    with git_server(tmp_path / "repositories") as server:
        yield server


@contextmanager
def git_server(root: Path) -> Iterator[GitServer]:
    server = GitServer(root)
    http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(server))
    http.daemon_threads = True
    server.url = f"http://127.0.0.1:{http.server_address[1]}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


def _handler(wanted: GitServer) -> type[BaseHTTPRequestHandler]:
    return type("Handler", (_Handler,), {"server_is": wanted})


class _Handler(BaseHTTPRequestHandler):
    server_is: ClassVar[GitServer]

    def do_GET(self) -> None:
        server = self.server_is
        server.asked.append(self.requestline)
        server.heads.append(dict(self.headers.items()))
        if server.is_slow:
            self._trickle()
        elif server.status is not None:
            self._refuse(server.status)
        elif server.is_dumb:
            self._file()
        else:
            self._backend()

    do_POST = do_GET  # noqa: N815 - the name that http.server looks for

    def _trickle(self) -> None:
        """Never done, and never silent."""
        self.send_response(200)
        self.send_header("Content-Type", "application/x-git-upload-pack-advertisement")
        self.end_headers()
        try:
            while self.server_is.is_slow:
                self.wfile.write(b" ")
                self.wfile.flush()
                time.sleep(0.05)
        except OSError:
            return

    def _refuse(self, status: int) -> None:
        self.send_response(status)
        if self.server_is.location is not None:
            self.send_header("Location", f"{self.server_is.location}{self.path}")
        self.send_header("WWW-Authenticate", 'Basic realm="git"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _file(self) -> None:
        file = self.server_is.root / self.path.partition("?")[0].lstrip("/").replace(".git/", ".git/.git/")
        self.send_response(200 if file.is_file() else 404)
        body = file.read_bytes() if file.is_file() else b""
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _backend(self) -> None:
        path, _, query = self.path.partition("?")
        environment = _ENVIRONMENT | {
            "GIT_PROJECT_ROOT": str(self.server_is.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        done = subprocess.run(
            ["git", "http-backend"], input=body, env=environment, capture_output=True, check=False
        )
        head, _, answer = done.stdout.partition(b"\r\n\r\n")
        lines = [line.partition(": ") for line in head.decode().split("\r\n") if line]
        fields = {name: value for name, _, value in lines}
        self.send_response(int(fields.pop("Status", "200").split()[0]))
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        try:
            self.wfile.write(answer)
        except OSError:
            return

    def log_message(self, *_: object) -> None:
        pass

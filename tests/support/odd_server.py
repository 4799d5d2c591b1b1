"""Small HTTP servers on loopback that behave as a test wants them to, and remember what they were asked."""

import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class OddServer:
    """`over` is set when the test is done: a behaviour that holds a request up waits for it."""

    port: int
    scheme: str = "http"
    asked: list[Asked] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def address(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"


Behaviour = Callable[[BaseHTTPRequestHandler, OddServer], None]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is what these tests are about."""


def answer(
    status: int, body: bytes, headers: Mapping[str, str] | None = None, *, kind: str = "application/json"
) -> Behaviour:
    def behave(handler: BaseHTTPRequestHandler, _server: OddServer) -> None:
        handler.send_response(status)
        for name, value in {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            **(headers or {}),
        }.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return behave


def silence(_handler: BaseHTTPRequestHandler, server: OddServer) -> None:
    server.over.wait()


def hang_up(handler: BaseHTTPRequestHandler, _server: OddServer) -> None:
    handler.close_connection = True


def raw(data: bytes) -> Behaviour:
    def behave(handler: BaseHTTPRequestHandler, _server: OddServer) -> None:
        handler.wfile.write(data)

    return behave


def drip(start: bytes, drop: bytes) -> Behaviour:
    """`start` at once, then `drop` for ever, each well within any timeout of a single read."""

    def behave(handler: BaseHTTPRequestHandler, server: OddServer) -> None:
        handler.wfile.write(start)
        while not server.over.wait(0.02):
            handler.wfile.write(drop)

    return behave


@contextmanager
def serving(behave: Behaviour, *, tls: ssl.SSLContext | None = None) -> Iterator[OddServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            odd.asked.append(Asked(self.command, self.path, dict(self.headers), body))
            behave(self, odd)

        do_POST = do_PUT = do_GET  # noqa: N815 - http.server's names

        def log_message(self, *_args: object) -> None:
            """Nothing to say."""

    server = _Server(("127.0.0.1", 0), Handler)
    odd = OddServer(server.server_port, "https" if tls else "http")
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield odd
    finally:
        odd.over.set()
        server.shutdown()
        thread.join()
        server.server_close()

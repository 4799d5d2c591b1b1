"""One origin over HTTP, at addresses checked before: no proxy, no redirect, no endless time or size."""

import io
import socket
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from types import TracebackType
from typing import Self

import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict

from app.errors import Refusal

_REDIRECTS = range(300, 400)


class OutboundRefusal(Refusal):
    """No answer was to be had, or none that may be used; the text completes "cannot …: "."""


@dataclass(frozen=True)
class Limits:
    """Seconds and bytes that one request may cost."""

    connect: float = 5.0
    """Looking the name up, and again reaching one of its addresses."""
    total: float = 10.0
    """From the first packet to the last byte of the answer."""
    body: int = 1 << 20


class PinnedTransport(BaseAdapter):
    """Answers a `requests.Session` from `addresses` alone; TLS and Host still go by the name.

    What the caller says about timeouts, certificates and proxies does not count.
    """

    def __init__(
        self,
        host: str,
        port: int,
        addresses: Sequence[str],
        *,
        tls: ssl.SSLContext | None,
        limits: Limits,
    ) -> None:
        super().__init__()
        self._host, self._port, self._addresses = host, port, addresses
        self._tls, self._limits = tls, limits

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,  # noqa: ARG002, FBT001, FBT002 - the signature is requests'
        timeout: object = None,  # noqa: ARG002
        verify: object = True,  # noqa: ARG002, FBT002
        cert: object = None,  # noqa: ARG002
        proxies: Mapping[str, str] | None = None,  # noqa: ARG002
    ) -> requests.Response:
        """Raises OutboundRefusal for all but a complete, direct, uncompressed answer within the limits."""
        try:
            return self._exchange(request)
        except OutboundRefusal as known:
            words = str(known)
        except (OSError, HTTPException) as fault:
            words = _in_words(fault)
        # Out here, not above: http.client's errors quote what the server sent, and would ride along.
        raise OutboundRefusal(words)

    def close(self) -> None:
        """Nothing to close: a connection serves one request."""

    def _exchange(self, request: requests.PreparedRequest) -> requests.Response:
        end = time.monotonic() + self._limits.total
        with self._connected() as wire, _Cutoff(wire, end - time.monotonic()) as cutoff:
            try:
                response = self._ask(wire, request)
            except (OSError, HTTPException):
                if not cutoff.passed:
                    raise
            if cutoff.passed:  # also after an answer without a length, which a cut seems to complete
                raise OutboundRefusal(f"no whole answer within {self._limits.total:g} s")
            return response

    def _connected(self) -> socket.socket:
        end = time.monotonic() + min(self._limits.connect, self._limits.total)
        fault: OSError = TimeoutError()
        for address in self._addresses:
            left = end - time.monotonic()
            if left <= 0:
                break
            try:
                return socket.create_connection((address, self._port), timeout=left)
            except OSError as failed:
                fault = failed
        raise OutboundRefusal(f"cannot connect: {_in_words(fault)}")

    def _ask(self, wire: socket.socket, request: requests.PreparedRequest) -> requests.Response:
        wire.settimeout(None)  # the cutoff is its clock
        connection = HTTPConnection(self._host, self._port)
        connection.set_debuglevel(0)  # a level set for the whole process would print the headers
        with closing(connection):
            connection.sock = self._tls.wrap_socket(wire, server_hostname=self._host) if self._tls else wire
            connection.request(request.method or "GET", request.path_url, request.body, dict(request.headers))
            with connection.getresponse() as answer:
                return _response(request, answer, self._body(answer))

    def _body(self, answer: HTTPResponse) -> bytes:
        if answer.status in _REDIRECTS:
            raise OutboundRefusal(
                f"it redirects ({answer.status}), which is not followed: name the host that answers itself"
            )
        if answer.getheader("Content-Encoding", "identity").strip().lower() != "identity":
            raise OutboundRefusal("its answer is compressed although none of that was asked for")
        body = answer.read(self._limits.body + 1)
        if len(body) > self._limits.body:
            raise OutboundRefusal(f"its answer is larger than {self._limits.body} bytes")
        return body


class _Cutoff:
    """Cuts the connection when its time is up; a socket's own timeout begins anew with every byte."""

    def __init__(self, wire: socket.socket, seconds: float) -> None:
        self.passed = False
        self._wire = wire.dup()  # TLS takes the socket over, and with it the first descriptor
        self._timer = threading.Timer(max(seconds, 0.0), self._cut)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        self._timer.join()
        self._wire.close()

    def _cut(self) -> None:
        self.passed = True
        with suppress(OSError):  # the other side may have closed it already
            self._wire.shutdown(socket.SHUT_RDWR)


def _response(request: requests.PreparedRequest, answer: HTTPResponse, body: bytes) -> requests.Response:
    response = requests.Response()
    response.request = request
    response.url = request.url or ""
    response.status_code = answer.status
    response.reason = answer.reason
    response.headers = CaseInsensitiveDict(answer.getheaders())
    response.raw = io.BytesIO(body)
    return response


def _in_words(fault: Exception) -> str:
    """What happened, without a byte of what the server sent."""
    match fault:
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted: {fault.verify_message}"
        case ssl.SSLError():
            return f"TLS failed ({fault.reason or 'no TLS there'})"
        case TimeoutError():
            return "no answer in time"
        case ConnectionRefusedError():
            return "the connection was refused"
        case HTTPException():
            return "its answer is not HTTP, or broke off"
        case _:
            return (fault.strerror if isinstance(fault, OSError) else None) or "the connection broke off"

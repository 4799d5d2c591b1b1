"""A load generator: one thread, HTTP/1.1 keep-alive over raw sockets, a bounded number of requests."""

import asyncio
import json
from base64 import b64encode, urlsafe_b64decode
from collections.abc import Iterator
from urllib.parse import urlencode

CONNECTIONS = 16


class UnexpectedAnswerError(Exception):
    """The server did not say 200 with a body of a known length; shows the beginning of what it said."""


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def token_request(path: str, client_id: str, client_secret: str, **form: str) -> bytes:
    """A client's request for a token, by `client_secret_basic`."""
    return post_form(path, client_id, client_secret, grant_type="client_credentials", **form)


def post_form(path: str, client_id: str, client_secret: str, **form: str) -> bytes:
    return _post(path, client_id, client_secret, "application/x-www-form-urlencoded", urlencode(form))


def post_json(path: str, client_id: str, client_secret: str, body: object) -> bytes:
    return _post(path, client_id, client_secret, "application/json", json.dumps(body))


def _post(path: str, client_id: str, client_secret: str, content_type: str, body: str) -> bytes:
    credentials = b64encode(f"{client_id}:{client_secret}".encode()).decode()
    head = (
        f"POST {path} HTTP/1.1",
        "Host: localhost",
        f"Authorization: Basic {credentials}",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join((*head, "", body)).encode()


def send(port: int, request: bytes, count: int, connections: int = CONNECTIONS) -> bytes:
    """The same request `count` times to a loopback port; returns the last answer's body."""
    return asyncio.run(_send(port, request, iter(range(count)), connections))


async def _send(port: int, request: bytes, turns: Iterator[int], connections: int) -> bytes:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_converse(port, request, turns)) for _ in range(connections)]
    return next(body for task in tasks if (body := task.result()))


async def _converse(port: int, request: bytes, turns: Iterator[int]) -> bytes:
    """One connection, which takes turns from the common count until there are none."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = b""
    try:
        for _ in turns:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            body = await reader.readexactly(body_length(head))
    finally:
        writer.close()
    await writer.wait_closed()
    return body


def expect_rs256(body: bytes) -> None:
    """That a token endpoint's answer holds what is compared: a JWT with an RSA-2048 signature."""
    token: str = json.loads(body)["access_token"]
    header, _, signature = (urlsafe_b64decode(part + "==") for part in token.split("."))
    if json.loads(header)["alg"] != "RS256" or len(signature) != 256:
        raise UnexpectedAnswerError(header.decode())


def expect(body: bytes, **members: object) -> None:
    """That the JSON object says so; raises `UnexpectedAnswerError`."""
    said = json.loads(body)
    if any(said.get(name) != value for name, value in members.items()):
        raise UnexpectedAnswerError(body[:200].decode(errors="replace"))


def body_length(head: bytes) -> int:
    """The `Content-Length` of a 200; raises `UnexpectedAnswerError`."""
    lines = head.lower().split(b"\r\n")
    lengths = [int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:")]
    if not lines[0].startswith(b"http/1.1 200") or len(lengths) != 1:
        raise UnexpectedAnswerError(head[:200].decode(errors="replace"))
    return lengths[0]

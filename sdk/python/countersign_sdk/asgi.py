"""``Guard``: an ASGI middleware that lets through those alone who may."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from countersign_sdk.refusals import Question, Refusal, check
from countersign_sdk.resource_server import ResourceServer

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Rule = Callable[[Scope], Question]


class Guard:
    """``rule`` names the action and the resource of a request, or says ``ANY_TOKEN`` where any token that
    verifies will do. A request for which it says nothing is refused.

    Downstream ``scope["identity"]`` is who calls, both names of it. Lifespan events pass; everything else
    that is not HTTP is refused.
    """

    def __init__(self, app: Application, server: ResourceServer, rule: Rule) -> None:
        self._app = app
        self._server = server
        self._rule = rule

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            raise RuntimeError("the guard lets HTTP through and nothing else")
        question = self._rule(scope)
        found = await asyncio.to_thread(check, self._server, _authorization(scope), question)
        if isinstance(found, Refusal):
            await _refuse(found, send)
            return
        await self._app({**scope, "identity": found}, receive, send)


def _authorization(scope: Scope) -> str:
    values = [value for name, value in scope["headers"] if name.lower() == b"authorization"]
    return values[0].decode("latin-1") if len(values) == 1 else ""


async def _refuse(refusal: Refusal, send: Send) -> None:
    headers = [(name.lower().encode(), value.encode()) for name, value in refusal.headers.items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": refusal.body})

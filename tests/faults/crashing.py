"""Does a piece of work in a fork of itself, and kills that at a moment it is told: crashes without start-ups.

Reads orders, one JSON object a line: `task`, `delay` in seconds from when the task is about to begin, and
what it needs. Answers each with the list of words that the task had said by then: what a client had received.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from app.flows.start import StartRequest, start
from app.ledger.record import Actor
from app.protocol.scopes import composite_scope
from app.settings import Settings
from app.tokens.grants import Account, decide
from app.wiring import Components

Order = dict[str, Any]
Say = Callable[[str], object]
BY = Actor(name="operator:crash")
READY = "ready"


def first_start(components: Components, order: Order, say: Say) -> None:
    """What `countersign init` does."""
    say(READY)
    components.prepare(BY)
    say("prepared")


def mint(components: Components, order: Order, say: Say) -> None:
    """One token after another."""
    say(READY)
    while True:
        say(mint_one(components))


def mint_one(components: Components) -> str:
    """For the people of the sample flow; its `jti`."""
    account, scope = Account(3, "duo", is_composite=True), composite_scope(["api"], 1)
    issuer = components.settings.issuer
    signed = components.mint.access_token(
        lambda connection, now: decide(connection, account, scope, [], issuer=issuer, now=now), BY
    )
    return str(signed.claims["jti"])


def run(components: Components, order: Order, say: Say) -> None:
    """One run after another."""
    request = StartRequest(inputs={}, source="cli", **order["request"])
    say(READY)
    while True:
        components.executions.execute(
            start(components.database, components.clock, request, BY), lambda _: None, BY
        )
        say("ended")


TASKS = {"first_start": first_start, "mint": mint, "run": run}


@cache
def opened(environment: frozenset[tuple[str, str]]) -> Components:
    """Warm, with its signing key in memory, and without a connection that a fork would share."""
    components = Components(Settings.from_env(dict(environment)))
    mint_one(components)
    components.database.dispose()
    return components


def components_for(order: Order) -> Components:
    if order["task"] == "first_start":
        return Components(Settings.from_env(order["environment"]))
    return opened(frozenset(order["environment"].items()))


def crash(order: Order) -> list[str]:
    components = components_for(order)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        TASKS[order["task"]](components, order, lambda word: os.write(writing, f"{word}\n".encode()))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as said:
        assert said.readline().strip() == READY
        time.sleep(order["delay"])
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return said.read().split()


if __name__ == "__main__":
    os.dup2(os.open(Path(os.devnull), os.O_WRONLY), sys.stderr.fileno())
    for line in sys.stdin:
        print(json.dumps(crash(json.loads(line))), flush=True)  # noqa: T201 - the answer

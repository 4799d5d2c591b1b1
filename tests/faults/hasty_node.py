"""A node whose days pass in a second: web, worker, follower, an agent that mints, an operator that rotates.

All in one process, over the settings of the environment but with the durations below. Says each token that
its agent got, as a line of JSON; ends with its stdin.
"""

import json
import os
import random
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import timedelta

from flask import Flask
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.serving import WSGIRequestHandler, make_server

from app.errors import Refusal
from app.factory import create_app
from app.ledger.record import Actor
from app.settings import Settings
from app.signing import keyring
from app.signing.algorithms import Algorithm
from app.wiring import Components
from tests.support.components import basic

MAX_AGE = 0.5
FOLLOWS = 0.1
LEAD = timedelta(seconds=2.5)
"""More than `MAX_AGE` and `FOLLOWS` together; the rest is for a machine that is busy."""
PERIOD = LEAD + timedelta(seconds=0.3)
TOKEN_LIFE = timedelta(seconds=2)
OUTLIVES = timedelta(seconds=0.5)
MINTS_EVERY = 0.15
OTHER_ALGORITHM, OTHER_AUDIENCE = Algorithm.ES256, "https://es256.example"
OPERATOR = Actor(name="operator:hasty")


@dataclass(frozen=True)
class Minted:
    """`at`: when the answer was there."""

    token: str
    audience: str
    at: float


class Quiet(WSGIRequestHandler):
    def log(self, *_: object) -> None: ...


def hasty() -> Flask:
    """The product with its durations scaled, those included that are no settings."""
    keyring._EVERY_SECONDS = FOLLOWS
    settings = replace(
        Settings.from_env(),
        key_publish_lead=LEAD,
        key_rotation_period=PERIOD,
        access_token_ttl=TOKEN_LIFE,
        jwks_max_age=timedelta(seconds=MAX_AGE),
    )
    app = create_app(settings)
    components: Components = app.extensions["countersign"]
    components.lifecycle.rules = replace(components.lifecycle.rules, outlives=OUTLIVES)
    components.follow_keys()
    return app


def mint(app: Flask, client: tuple[str, str], scope: str) -> None:
    http, headers = app.test_client(), {"Authorization": basic(*client)}
    own = app.extensions["countersign"].settings.issuer + "/api/v1"
    for resource in (None, OTHER_AUDIENCE):
        form = {"grant_type": "client_credentials", "scope": scope} | (
            {"resource": resource} if resource else {}
        )
        answer = http.post("/oauth/token", data=form, headers=headers)
        if answer.status_code == 503:  # a database that is busy for seconds: none was issued
            continue
        if answer.status_code != 200:
            raise AssertionError(f"no token: {answer.status_code} {answer.text}")
        minted = Minted(answer.get_json()["access_token"], resource or own, time.time())
        sys.stdout.write(json.dumps(asdict(minted)) + "\n")
        sys.stdout.flush()
    time.sleep(MINTS_EVERY)


def rotate(components: Components) -> None:
    """At any moment; mostly it is too early."""
    time.sleep(random.uniform(0, 2))  # noqa: S311 - a moment, no secret
    with suppress(Refusal, SQLAlchemyError):
        components.lifecycle.rotate(random.choice([Algorithm.RS256, OTHER_ALGORITHM]), OPERATOR)  # noqa: S311


def keep(components: Components) -> None:
    time.sleep(0.2)
    with suppress(SQLAlchemyError):  # as a worker does
        components.upkeep.keep()


def always(do: Callable[..., None], *arguments: object) -> None:
    """In the background; a failure ends the process."""

    def forever() -> None:
        try:
            while True:
                do(*arguments)
        finally:
            traceback.print_exc()
            os._exit(1)

    threading.Thread(target=forever, daemon=True).start()


def main(port: str, client_id: str, secret: str, scope: str) -> None:
    app = hasty()
    components: Components = app.extensions["countersign"]
    server = make_server("127.0.0.1", int(port), app, threaded=True, request_handler=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    always(mint, app, (client_id, secret), scope)
    always(rotate, components)
    always(keep, components)
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])

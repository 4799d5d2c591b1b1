"""Disabled, deleted, revoked, killed at a random moment under load: nothing is allowed after the bound.

Minting and introspection keep nothing: their bound is 0, counted from when the change is durable. A decision
may rest on what one process read a second ago.
"""

import random
import time
from collections import Counter
from datetime import timedelta
from functools import partial

import pytest
import requests

from app.settings import Settings
from app.wiring import Components
from tests.properties.cutting import (
    ALL,
    BOUND,
    DECIDE,
    ENDINGS,
    INTROSPECT,
    KILLS,
    MINT,
    Load,
    Unanswered,
    ask_one,
    asked,
    disable_human,
    insist,
)
from tests.support.components import NOW, inhabited, on_every_database
from tests.support.effort import count
from tests.support.server import Installation

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

IN_PROCESS = count(ci=1, proof=20)
THROUGH_SERVER = count(ci=1, proof=20)
MOMENTS = 1.0
"""Seconds within which each is ended."""


class TickingClock:
    """From the fixtures' present on, as fast as time goes."""

    def __init__(self):
        self._began = time.monotonic()

    def __call__(self):
        return NOW + timedelta(seconds=time.monotonic() - self._began)


def play(load, rounds, record_property):
    """Each round a pair for each ending, all under load at once."""
    seen = Counter()
    for _ in range(rounds):
        pairs = {ending: load.newcomers() for ending in ENDINGS}
        first = load.clients()
        for pair in pairs.values():
            assert insist(partial(ask_one, first, pair, MINT, load.chance, load.shop), Unanswered)
        moments = sorted((load.chance.uniform(0.3, MOMENTS), ending.__name__, ending) for ending in pairs)
        with load.upon(list(pairs.values())):
            began = time.monotonic()
            for moment, _, ending in moments:
                time.sleep(max(0.0, began + moment - time.monotonic()))
                load.end(pairs[ending], ending)
        for ending, pair in pairs.items():
            for what, moment, allowed in pair.seen:
                is_after = moment > pair.ended + BOUND[what]
                assert not (is_after and allowed and what in ENDINGS[ending]), (
                    ending,
                    what,
                    moment - pair.ended,
                )
                seen[what, is_after and what in ENDINGS[ending]] += 1
        for ending, kind in KILLS.items():
            assert_dead_for_ever(load, pairs[ending], kind)
    for what in BOUND:
        record_property(f"{what}: asked before, and after the bound", (seen[what, False], seen[what, True]))
        assert seen[what, False] > rounds
        assert seen[what, True] > rounds


def assert_dead_for_ever(load, pair, kind):
    """All that was issued until then, to the microsecond, also when both are enabled again; nothing later."""
    target = {"user": pair.user, "service_account": pair.account, "delegation": pair.delegation}[kind.value]
    assert load.newest_token(pair) <= load.cut_off_at(kind, target)
    load.enable(pair)
    client = load.clients()

    def introspected(token):
        return insist(partial(asked, client, INTROSPECT, {"token": token}, load.shop), Unanswered)

    for token in pair.tokens:
        assert introspected(token) == (200, {"active": False})
    issued = len(pair.tokens)
    if insist(partial(ask_one, client, pair, MINT, load.chance, load.shop), Unanswered):
        assert load.newest_token(pair) > load.cut_off_at(kind, target)
        assert introspected(pair.tokens[issued])[1]["active"]


def flask_client(app):
    http = app.test_client()

    def ask(path, body, authorization):
        form = {"json": body} if path == DECIDE else {"data": body}
        answer = http.post(path, **form, headers={"Authorization": authorization})
        return answer.status_code, answer.get_json()

    return ask


@on_every_database
def test_in_one_process(peopled, tmp_path, database_url, record_property):
    with inhabited(peopled, tmp_path, TickingClock(), database_url) as world:
        app = world.http.application
        load = Load(world.components, lambda: flask_client(app), random.Random(4))  # noqa: S311 - moments
        play(load, IN_PROCESS, record_property)


NO_ANSWER = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
"""None at all, none in time, or half of one: what a worker that dies or a machine that hangs leaves."""


def http_client(url):
    session = requests.Session()

    def ask(path, body, authorization):
        form = {"json": body} if path == DECIDE else {"data": body}
        try:
            answer = session.post(url + path, **form, headers={"Authorization": authorization}, timeout=30)
        except NO_ANSWER as error:
            raise Unanswered(path, error) from None
        return answer.status_code, answer.json()

    return ask


@on_every_database
def test_through_the_server_while_another_process_ends_them(tmp_path, backend, request, record_property):
    settings = {} if backend == "sqlite" else {"DATABASE_URL": request.getfixturevalue("postgresql_url")}
    installation = Installation(tmp_path, **settings)
    installation.invoke("init")
    components = Components(Settings.from_env(installation.environment))
    with installation.serve() as server:
        load = Load(components, lambda: http_client(server.issuer), random.Random(5))  # noqa: S311 - moments
        play(load, THROUGH_SERVER, record_property)
    components.database.dispose()


def test_every_ending_ends_something():
    assert all(ENDINGS.values())
    assert ENDINGS[disable_human] == ALL

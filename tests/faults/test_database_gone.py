"""PostgreSQL is killed, or hangs: whoever needs it is told so in time, discovery and the JWKS do not notice,
and then tokens and rotation go on.
"""

import time
from contextlib import contextmanager
from statistics import median

import pytest
import requests

from tests.support.components import basic
from tests.support.nodes import SharedInstallation, jwks_of, kids_at
from tests.support.postgresql import cluster

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
LONGER_THAN_ANY_LOOK = 7.0
SHORTER_THAN_ANY_WAIT = 1.0
"""Seconds; whoever asks a database that hangs is longer at it."""
PERIOD = 14.0
SETUP = (
    "user create alice --email alice@example.com",
    "service-account create duo",
    "delegation grant --user alice --service-account duo",
)


def documents(node, seconds=None):
    """Status and content of each; to `seconds` is added how long the answers took."""
    urls = (f"{node}/.well-known/openid-configuration", jwks_of(node))
    answers = [requests.get(url, timeout=60) for url in urls]
    if seconds is not None:
        seconds += [answer.elapsed.total_seconds() for answer in answers]
    return [(answer.status_code, answer.content) for answer in answers]


class Client:
    """One with a good secret."""

    def __init__(self, made):
        for line in SETUP:
            made.invoke(*line.split())
        secret = made.invoke("service-account", "secret", "create", "duo", json=True).data
        self._headers = {"Authorization": basic(secret["client_id"], secret["client_secret"])}

    def ask(self, node):
        form = {"grant_type": "client_credentials", "scope": "user:1"}
        return requests.post(f"{node}/oauth/token", data=form, headers=self._headers, timeout=60)


def readiness(node):
    return requests.get(f"{node}/readyz", timeout=60)


def assert_out_of_service(node, client):
    """With one thread a node, whoever waits for the database makes the documents wait."""
    shown = documents(node)
    assert readiness(node).status_code == 503
    assert documents(node) == shown
    refused = client.ask(node)
    assert (refused.status_code, refused.json()["error"]) == (503, "temporarily_unavailable")
    assert int(refused.headers["Retry-After"])
    assert documents(node) == shown


@contextmanager
def killed(server):
    server.kill()
    yield
    server.start()


@contextmanager
def frozen(server):
    with server.frozen():
        yield


def until(holds, *, patience):
    deadline = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def rotated_by_schedule(made):
    return {
        event["at"]: event["kid"]
        for event in made.invoke("audit", "list", "--action", "keys:signing_key:rotate", json=True).data
        if event["actor"] == "worker"
    }


def kids_of(made):
    """As they are now: a schedule goes on."""
    return {row["kid"] for row in made.invoke("keys", "list", json=True).data}


@pytest.mark.parametrize("gone", [killed, frozen])
def test_discovery_and_jwks_go_on_and_then_all_the_rest_does(tmp_path, gone):
    with cluster(durable=False) as server, server.database() as url:
        made = SharedInstallation(
            tmp_path,
            url,
            WEB_WORKERS="1",  # a second one might still be starting when it happens, and then cannot
            KEY_PUBLISH_LEAD="1s",
            KEY_ROTATION_PERIOD=f"{PERIOD:.0f}s",
        )
        client = Client(made)
        with made.nodes() as nodes:
            assert {client.ask(node).status_code for node in nodes} == {200}
            with gone(server):
                shown = [documents(node) for node in nodes]
                seconds = []
                deadline = time.monotonic() + LONGER_THAN_ANY_LOOK
                while time.monotonic() < deadline:
                    assert [documents(node, seconds) for node in nodes] == shown
                    time.sleep(0.1)
                assert median(seconds) < SHORTER_THAN_ANY_WAIT
                for node in nodes:
                    assert_out_of_service(node, client)
            assert {status for node in shown for status, _ in node} == {200}
            before = rotated_by_schedule(made)
            until(lambda: len(rotated_by_schedule(made)) > len(before), patience=180)
            until(lambda: all(set(kids_at(node)) == kids_of(made) for node in nodes), patience=120)
            until(lambda: all(readiness(node).ok and client.ask(node).ok for node in nodes), patience=120)

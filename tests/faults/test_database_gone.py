"""PostgreSQL is killed, or hangs: discovery and the JWKS do not notice, and then rotation goes on."""

import time
from contextlib import contextmanager

import pytest
import requests

from tests.support.nodes import SharedInstallation, jwks_of, kids_at
from tests.support.postgresql import cluster

pytestmark = pytest.mark.slow
LONGER_THAN_ANY_LOOK = 7.0
PERIOD = 14.0


def documents(node):
    for url in (f"{node}/.well-known/openid-configuration", jwks_of(node)):
        answer = requests.get(url, timeout=2)
        yield answer.status_code, answer.content


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


@pytest.mark.parametrize("gone", [killed, frozen])
def test_discovery_and_jwks_go_on_and_so_does_rotation(tmp_path, gone):
    with cluster(durable=False) as server, server.database() as url:
        made = SharedInstallation(
            tmp_path,
            url,
            WEB_WORKERS="1",  # a second one might still be starting when it happens, and then cannot
            KEY_PUBLISH_LEAD="1s",
            KEY_ROTATION_PERIOD=f"{PERIOD:.0f}s",
        )
        with made.nodes() as nodes:
            with gone(server):
                shown = [list(documents(node)) for node in nodes]
                deadline = time.monotonic() + LONGER_THAN_ANY_LOOK
                while time.monotonic() < deadline:
                    assert [list(documents(node)) for node in nodes] == shown
                    time.sleep(0.1)
                if gone is killed:
                    assert {requests.get(f"{node}/readyz", timeout=20).status_code for node in nodes} == {503}
            assert {status for node in shown for status, _ in node} == {200}
            before = rotated_by_schedule(made)
            until(lambda: len(rotated_by_schedule(made)) > len(before), patience=60)
            kids = {row["kid"] for row in made.invoke("keys", "list", json=True).data}
            until(lambda: all(set(kids_at(node)) == kids for node in nodes), patience=10)
            until(lambda: all(requests.get(f"{node}/readyz", timeout=20).ok for node in nodes), patience=40)

"""Other processes: what they see of a change, and what they show when their database is gone."""

import threading
import time
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from sqlalchemy import update

from app.factory import create_app
from app.signing import keyring
from app.signing.algorithms import Algorithm
from app.signing.keyring import FOLLOWS_WITHIN_SECONDS
from app.signing.keystores import KeystoreError
from app.signing.models import SigningKey
from app.tokens import audiences
from app.wiring import Components
from tests.support.components import ISSUER, OPERATOR, on_every_database, parts, settings_for
from tests.support.postgresql import cluster

RS256, ES256 = Algorithm.RS256, Algorithm.ES256


@contextmanager
def another_node(components):
    node = Components(components.settings, components.clock)
    yield node
    node.database.dispose()


@pytest.fixture(autouse=True)
def naps(monkeypatch):
    """The seconds that followers mean to rest between two looks. Here they hurry; after the test they rest
    for ever: a fork in a later one must not meet them at work.
    """
    asked, over = [], threading.Event()

    def nap(seconds):
        asked.append(seconds)
        if over.wait(0.02):
            threading.Event().wait()

    monkeypatch.setattr(keyring, "time", SimpleNamespace(sleep=nap))
    yield asked
    over.set()


def until(holds, *, patience=60):
    deadline = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@on_every_database
def test_a_process_follows_and_never_rests_for_half_of_the_promised_time(components, naps):
    with another_node(components) as node:
        before = node.keyring.current()
        node.follow_keys()
        components.lifecycle.rotate(RS256, OPERATOR)
        until(lambda: naps and node.keyring.current() is not before)
        assert max(naps) < FOLLOWS_WITHIN_SECONDS / 2
        assert node.keyring.current().active.kid == components.keyring.current().active.kid


def test_a_process_that_nobody_has_asked_yet_has_the_keys(components):
    """So that it needs no database when that is killed a moment after."""
    with another_node(components) as node:
        node.follow_keys()
        until(lambda: node.keyring._snapshot)


def test_a_look_that_was_overtaken_by_another_threads_is_mended_by_the_next(components):
    before = components.keyring.current()
    kid = components.lifecycle.rotate(RS256, OPERATOR)
    components.keyring._snapshot = before
    components.keyring.refresh()
    assert components.keyring.current().active.kid == kid


def test_a_slow_look_brings_no_revoked_key_back(components, monkeypatch):
    """Another thread reads, is held up, and ends after the revocation has been seen."""
    ring, kid = components.keyring, components.keyring.current().active.kid
    reads, revoked = ring._opened, threading.Event()
    has_read = threading.Event()

    def slow(rows):
        if threading.current_thread() is look:
            has_read.set()
            assert revoked.wait(60)
        return reads(rows)

    monkeypatch.setattr(ring, "_opened", slow)
    look = threading.Thread(target=ring.refresh)
    look.start()
    assert has_read.wait(60)
    components.lifecycle.revoke(kid, "leaked", OPERATOR)
    revoked.set()
    look.join()
    assert kid not in {jwk["kid"] for jwk in ring.current().public_jwks}


def test_whatever_goes_wrong_beside_it_goes_on_following(components, caplog):
    """Nobody would start it again."""
    times = []

    def wrong():
        times.append("once more")
        raise RuntimeError("secret words")

    with another_node(components) as node:
        node.keyring.follow(beside=wrong)
        until(lambda: len(times) > 5)
        kid = components.lifecycle.rotate(RS256, OPERATOR)
        until(lambda: node.keyring.current().active.kid == kid)
    # Once, although it went wrong often.
    assert [each.getMessage() for each in caplog.records].count("counts are kept: RuntimeError") == 1
    assert "secret words" not in caplog.text


def test_a_keystore_of_a_newer_version_is_a_fault_of_its_own_key_alone(components):
    """While nodes are upgraded one after the other."""
    with another_node(components) as node, components.database.writing_connection() as connection:
        node.keyring.current()
        connection.execute(update(SigningKey).where(SigningKey.state == "active").values(keystore="kms"))
        connection.commit()
        node.keyring.refresh()
        assert node.keyring.current().active
        with another_node(components) as fresh, pytest.raises(KeystoreError, match="upgrade this node"):
            fresh.keyring.current()


def test_what_has_not_changed_is_not_read_again(components):
    before = components.keyring.current()
    components.keyring.refresh()
    assert components.keyring.current() is before


def test_a_private_half_that_goes_missing_stops_nothing_that_is_open(components, tmp_path):
    before = components.keyring.current().active
    for file in (tmp_path / "keys").glob("*.pem"):
        file.unlink()
    components.keyring.refresh()
    assert components.keyring.current().active is before


def test_a_key_that_cannot_be_opened_here_is_published_all_the_same(components, tmp_path):
    """Another node has rotated to a key whose private half this one does not have."""
    with another_node(components) as node:
        node.keyring.current()
        kid = components.lifecycle.rotate(RS256, OPERATOR)
        (tmp_path / "keys" / f"{kid}.pem").rename(tmp_path / "elsewhere")
        node.keyring.refresh()
        snapshot = node.keyring.current()
        assert kid in {jwk["kid"] for jwk in snapshot.public_jwks}
        with pytest.raises(Exception, match="restore it from a backup"):
            _ = snapshot.active
        (tmp_path / "elsewhere").rename(tmp_path / "keys" / f"{kid}.pem")
        node.keyring.refresh()
        assert node.keyring.current().active.kid == kid


@pytest.mark.slow
def test_killing_postgresql_leaves_discovery_and_jwks_answering(tmp_path, naps):
    with cluster(durable=False) as server, server.database() as url:
        settings = settings_for(tmp_path, url)
        first = Components(settings)
        first.prepare(OPERATOR)
        first.database.dispose()
        app = create_app(settings)
        http, node = app.test_client(), app.extensions["countersign"]
        node.keyring.current()
        node.follow_keys()
        shown = {
            path: http.get(path).data
            for path in ("/.well-known/openid-configuration", "/.well-known/jwks.json")
        }
        name = node.database.url.database
        server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        server.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")  # noqa: S608 - ours
        until(lambda: http.get("/readyz").status_code == 503)  # the backends were only told to end
        looks = len(naps)
        until(lambda: len(naps) > looks + 1)  # one that began afterwards is over
        for path, body in shown.items():
            answer = http.get(path)
            assert (answer.status_code, answer.data) == (200, body)
        node.database.dispose()


class TestDiscovery:
    def test_follows_what_is_in_use(self, world):
        def named():
            metadata = world.http.get("/.well-known/openid-configuration").get_json()
            return metadata["id_token_signing_alg_values_supported"]

        assert named() == ["RS256"]
        keys = world.components.lifecycle
        with keys.offering(ES256, OPERATOR) as publish, world.components.database.writing() as session:
            audiences.register(
                session,
                ISSUER,
                "https://es.example",
                audiences.AudienceKind.API,
                "ES256",
                [],
                by=OPERATOR,
                now=world.clock(),
            )
            publish(session)
        assert named() == ["ES256", "RS256"]
        world.clock.advance(days=1)
        answer = world.ask(scope=world.scope, resource="https://es.example")
        assert parts(answer.get_json()["access_token"])[0]["alg"] == "ES256"
        world.change(audiences.remove, "https://es.example")
        world.components.keyring.refresh()
        assert named() == ["ES256", "RS256"]
        world.clock.advance(days=1, minutes=11)
        world.components.upkeep.keep()
        assert named() == ["RS256"]
        assert len(world.http.get("/.well-known/jwks.json").get_json()["keys"]) == 2


class TestAge:
    def test_is_told_by_readyz_and_the_metrics_before_it_is_an_outage(self, world):
        assert 'countersign_signing_key_overdue{alg="RS256"} 0.0' in world.http.get("/metrics").text
        world.clock.advance(days=92)
        ready = world.http.get("/readyz")
        assert (ready.status_code, ready.get_json()["warnings"]) == (200, ["signing key age"])
        counted = world.http.get("/metrics").text
        assert 'countersign_signing_key_age_seconds{alg="RS256"} 7.9488e+06' in counted
        assert 'countersign_signing_key_overdue{alg="RS256"} 1.0' in counted
        assert "countersign_signing_keys_published 2.0" in counted

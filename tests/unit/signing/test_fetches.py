"""Has my Vault seen the new key yet: who fetched the JWKS since, without letting strangers fill anything."""

import pytest
from sqlalchemy import event

from app.errors import NotFound
from app.signing.algorithms import Algorithm
from app.signing.fetches import fetched_since
from tests.support.components import OPERATOR, on_every_database

JWKS = "/.well-known/jwks.json"


def fetch(world, agent="vault/1.20", address="10.1.2.3", **headers):
    environ = {"REMOTE_ADDR": address, "HTTP_USER_AGENT": agent}
    return world.http.get(JWKS, environ_overrides=environ, headers=headers)


def since(world, kid):
    world.components.fetches.flush()
    with world.components.database.reading() as session:
        return [(each.agent, each.network, each.count) for each in fetched_since(session, kid)]


@on_every_database
def test_counts_since_each_key_was_published(world):
    first = world.components.keyring.current().newest
    for _ in range(3):
        fetch(world)
    world.clock.advance(hours=1)
    world.components.lifecycle.rotate(Algorithm.RS256, OPERATOR)
    new = world.components.keyring.current().newest
    assert since(world, new) == []
    world.clock.advance(hours=1)
    fetch(world, agent="envoy", address="2001:db8:1:2::3")
    assert since(world, new) == [("envoy", "2001:db8:1::/48", 1)]
    world.clock.advance(hours=1)
    fetch(world)
    assert since(world, new) == [("vault/1.20", "10.1.2.0/24", 1), ("envoy", "2001:db8:1::/48", 1)]
    assert since(world, first) == [("vault/1.20", "10.1.2.0/24", 4), ("envoy", "2001:db8:1::/48", 1)]


def test_who_is_told_that_nothing_has_changed_has_it_too(world):
    etag = fetch(world).headers["ETag"]
    assert fetch(world, **{"If-None-Match": etag}).status_code == 304
    assert since(world, world.components.keyring.current().newest) == [("vault/1.20", "10.1.2.0/24", 2)]


def test_discovery_is_not_counted(world):
    world.http.get("/.well-known/openid-configuration")
    assert since(world, world.components.keyring.current().newest) == []


def test_a_forwarded_address_is_believed_of_a_trusted_proxy_alone(world):
    """None is trusted here."""
    fetch(world, **{"X-Forwarded-For": "192.0.2.1"})
    assert since(world, world.components.keyring.current().newest)[0][1] == "10.1.2.0/24"


@pytest.mark.parametrize("agent", ["", "\x01\x02", "ä" * 10, "x" * 10_000])
def test_any_agent_and_address_is_counted_as_something_short(world, agent):
    log, newest = world.components.fetches, world.components.keyring.current().newest
    log.note(newest, agent, "unix:")
    [(named, network, times)] = since(world, newest)
    assert 1 <= len(named) <= 120
    assert named.isascii()
    assert (network, times) == ("other", 1)


def test_strangers_fill_neither_the_memory_nor_the_table(world):
    log, newest = world.components.fetches, world.components.keyring.current().newest
    for part in range(3):
        for number in range(1200):
            log.note(newest, f"agent {part} {number}", "10.0.0.1")
        assert len(log._counts) <= 1001
        rows = since(world, newest)
    assert len(rows) <= 2001
    assert sum(times for *_, times in rows) == 3600
    assert {agent: times for agent, _, times in rows}["other"] > 1000


def test_who_makes_up_names_in_one_place_leaves_room_for_all_others(world):
    log, newest = world.components.fetches, world.components.keyring.current().newest
    for part in range(50):
        for number in range(60):
            log.note(newest, f"agent {part} {number}", "10.0.0.1")
        world.components.fetches.flush()
    log.note(newest, "vault/1.20", "10.1.2.3")
    rows = since(world, newest)
    assert ("vault/1.20", "10.1.2.0/24", 1) in rows
    assert len(rows) == 52
    assert ("other", "10.0.0.0/24", 3000 - 50) in rows


@on_every_database
def test_a_flush_writes_once_however_many_there_are(world):
    log, newest = world.components.fetches, world.components.keyring.current().newest
    for number in range(500):
        log.note(newest, f"agent {number % 7}", f"10.0.{number % 200}.1")
    said = []
    engine = world.components.database.engine
    event.listen(engine, "before_cursor_execute", lambda *given: said.append((given[2], given[5])))
    log.flush()
    assert [many for text, many in said if "jwks_fetches" in text and "SELECT" not in text] == [True]
    assert len(said) <= 3
    assert sum(times for *_, times in since(world, newest)) == 500


def test_what_cannot_be_written_now_is_written_later(world, tmp_path):
    newest = world.components.keyring.current().newest
    fetch(world)
    database = tmp_path / "var" / "countersign.sqlite3"
    world.components.database.dispose()
    hidden = [file.rename(tmp_path / file.name) for file in database.parent.glob("countersign.sqlite3*")]
    with pytest.raises(Exception, match="jwks_fetches"):
        world.components.fetches.flush()
    world.components.database.dispose()
    for file in database.parent.glob("countersign.sqlite3*"):
        file.unlink()
    for file in hidden:
        file.rename(database.parent / file.name)
    fetch(world)
    assert since(world, newest) == [("vault/1.20", "10.1.2.0/24", 2)]


def test_an_unknown_key(world):
    with pytest.raises(NotFound):
        since(world, "nothing")


@pytest.mark.parametrize(("site", "counted"), [("same-origin", 0), ("cross-site", 1)])
def test_the_console_that_looks_a_key_up_is_no_verifier(world, site, counted):
    fetch(world, agent="Mozilla/5.0", **{"Sec-Fetch-Site": site})
    assert len(since(world, world.components.keyring.current().newest)) == counted

"""Next, active, retired, removed, or revoked: what leads from one to the other, and what never does."""

import shutil
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest

from app.clock import rfc3339
from app.errors import Conflict, InvalidInput, NotFound
from app.ledger.record import Actor
from app.signing import rotations
from app.signing.algorithms import Algorithm
from app.signing.checks import AnotherWasFaster, TooEarly
from app.signing.keystores import KeystoreError
from app.signing.rotations import Wish
from app.tokens.presented import NotAlive
from app.wiring import Components
from tests.support.components import NOW, OPERATOR, ManualClock, on_every_database, settings_for
from tests.support.crash import End, killed_before
from tests.support.together import together
from tests.unit.signing.keysets import assert_one_pair_of_each, assert_whole, key, states, told

RS256, ES256, EDDSA = Algorithm.RS256, Algorithm.ES256, Algorithm.EDDSA
DAY = timedelta(days=1)


def take_into_use(components: Components, algorithm: Algorithm) -> None:
    with (
        components.lifecycle.offering(algorithm, OPERATOR) as publish,
        components.database.writing() as session,
    ):
        publish(session)


class TestRotating:
    @on_every_database
    def test_moves_each_key_one_state_on(self, components, tmp_path):
        active, following = key(components, "active"), key(components, "next")
        assert components.lifecycle.rotate(RS256, OPERATOR) == following.kid
        assert states(components).count("retired") == 1
        assert key(components, "retired").kid == active.kid
        assert key(components, "active").kid == following.kid
        assert components.keyring.current().active.kid == following.kid
        assert_whole(components, tmp_path / "keys")

    def test_is_told(self, components):
        active, following = key(components, "active"), key(components, "next")
        components.lifecycle.rotate(RS256, OPERATOR)
        [event] = told(components, "rotate")
        assert (event.actor, event.kid) == ("operator:tester", following.kid)
        assert (event.detail["retired"], event.detail["override"]) == (active.kid, None)
        [destroyed] = told(components, "destroy")
        assert destroyed.kid == active.kid

    def test_waits_until_the_next_key_has_been_public_for_the_lead(self, components, clock):
        components.lifecycle.rotate(RS256, OPERATOR)
        clock.advance(hours=23, minutes=59)
        with pytest.raises(TooEarly, match="may sign from 2026-11-23T10:00:00"):
            components.lifecycle.rotate(RS256, OPERATOR)
        clock.advance(minutes=1)
        components.lifecycle.rotate(RS256, OPERATOR)
        assert states(components).count("retired") == 2

    def test_does_not_wait_for_the_keys_of_a_first_start(self, components):
        """Whoever has fetched the one has fetched the other."""
        components.lifecycle.rotate(RS256, OPERATOR)

    def test_before_the_lead_is_an_override_on_record(self, components):
        components.lifecycle.rotate(RS256, OPERATOR)
        components.lifecycle.rotate(RS256, OPERATOR, override="a drill")
        assert [event.detail["override"] for event in told(components, "rotate")] == [None, "a drill"]

    def test_is_no_override_where_none_was_needed(self, components):
        components.lifecycle.rotate(RS256, OPERATOR, override="a drill")
        assert [event.detail["override"] for event in told(components, "rotate")] == [None]

    @pytest.mark.parametrize("reason", ["", "  ", "x" * 501])
    def test_an_override_says_why(self, components, reason):
        with pytest.raises(InvalidInput, match="reason"):
            components.lifecycle.rotate(RS256, OPERATOR, override=reason)

    def test_what_somebody_else_has_rotated_is_not_rotated_again(self, components):
        seen = key(components, "active").kid
        components.lifecycle.rotate(RS256, OPERATOR, expected=seen)
        with pytest.raises(AnotherWasFaster):
            components.lifecycle.rotate(RS256, OPERATOR, expected=seen, override="both clicked")

    def test_what_is_not_in_use_cannot_be_rotated(self, components):
        with pytest.raises(NotFound, match="audience add URI --alg ES256"):
            components.lifecycle.rotate(ES256, OPERATOR)

    def test_a_next_key_that_cannot_sign_here_does_not_become_active(self, components, tmp_path):
        """Such as on a second machine that shares the database, and not the files."""
        following, before = key(components, "next").kid, states(components)
        (tmp_path / "keys" / f"{following}.pem").unlink()
        with pytest.raises(KeystoreError, match=following):
            components.lifecycle.rotate(RS256, OPERATOR)
        assert states(components) == before

    def test_a_jwks_that_is_full_holds_no_more(self, components):
        for _ in range(6):
            components.lifecycle.rotate(RS256, OPERATOR, override="again and again")
        oldest = min(row.retired_at for row in components.keyring.history() if row.retired_at)
        with pytest.raises(Conflict, match="at most 8 keys") as refused:
            components.lifecycle.rotate(RS256, OPERATOR, override="once too often")
        assert f"there is room by {rfc3339(oldest + timedelta(hours=25))}, when" in str(refused.value)
        assert len(components.keyring.current().public_jwks) == 8


class TestARetiredKey:
    def test_is_published_until_a_day_after_its_last_token(self, world):
        keyring, clock, upkeep = world.components.keyring, world.clock, world.components.upkeep
        old = keyring.current().active.kid
        clock.advance(minutes=5)
        assert world.ask(scope=world.scope).status_code == 200
        clock.advance(minutes=1)
        world.components.lifecycle.rotate(RS256, OPERATOR)
        clock.advance(hours=24, minutes=8, seconds=59)
        upkeep.keep()
        assert old in {jwk["kid"] for jwk in keyring.current().public_jwks}
        clock.advance(seconds=2)
        upkeep.keep()
        assert old not in {jwk["kid"] for jwk in keyring.current().public_jwks}
        [event] = told(world.components, "remove")
        assert (event.kid, event.actor) == (old, "worker")

    def test_that_has_signed_nothing_is_published_for_a_day(self, components, clock):
        components.lifecycle.rotate(RS256, OPERATOR)
        clock.advance(hours=24)
        components.upkeep.keep()
        assert "removed" in states(components)


class TestRevoking:
    @on_every_database
    def test_the_active_key_promotes_the_next_whatever_its_age(self, components, tmp_path):
        components.lifecycle.rotate(RS256, OPERATOR)
        active, following = key(components, "active"), key(components, "next")
        components.lifecycle.revoke(active.kid, "in a repository", OPERATOR)
        assert key(components, "active").kid == following.kid
        shown = {jwk["kid"] for jwk in components.keyring.current().public_jwks}
        assert following.kid in shown
        assert active.kid not in shown
        [event] = told(components, "revoke")
        assert (event.kid, event.detail["reason"], event.detail["was"]) == (
            active.kid,
            "in a repository",
            "active",
        )
        assert (
            told(components, "rotate")[-1].detail["override"] == "the active key was revoked: in a repository"
        )
        assert_whole(components, tmp_path / "keys")

    @pytest.mark.parametrize("state", ["next", "retired"])
    def test_another_key_leaves_the_active_one_alone(self, components, state, tmp_path):
        components.lifecycle.rotate(RS256, OPERATOR)
        active, victim = key(components, "active"), key(components, state)
        components.lifecycle.revoke(victim.kid, "lost", OPERATOR)
        assert key(components, "active").kid == active.kid
        assert key(components, "revoked").kid == victim.kid
        assert_whole(components, tmp_path / "keys")

    def test_is_for_ever(self, components):
        kid = key(components, "active").kid
        components.lifecycle.revoke(kid, "lost", OPERATOR)
        with pytest.raises(Conflict, match="revoked"):
            components.lifecycle.revoke(kid, "lost", OPERATOR)

    def test_what_was_never_there(self, components):
        with pytest.raises(NotFound):
            components.lifecycle.revoke("nothing", "lost", OPERATOR)

    def test_kills_its_tokens_here_at_once(self, world):
        token = world.ask(scope=world.scope).get_json()["access_token"]
        with world.components.database.reading_connection() as connection:
            assert world.components.read_access_token(connection, token)
        other = Components(world.components.settings, world.clock)
        other.lifecycle.revoke(world.components.keyring.current().active.kid, "lost", OPERATOR)
        other.database.dispose()
        with (
            world.components.database.reading_connection() as connection,
            pytest.raises(NotAlive, match="not published any more"),
        ):
            world.components.read_access_token(connection, token)


class TestAnAlgorithm:
    @on_every_database
    def test_signs_once_its_first_key_has_been_public_for_the_lead(self, components, clock):
        take_into_use(components, ES256)
        keyring = components.keyring
        assert keyring.current().signer("ES256", clock()).alg == "RS256"
        clock.advance(hours=24)
        assert keyring.current().signer("ES256", clock()).alg == "ES256"
        assert_one_pair_of_each(components)

    def test_rotates_on_its_own(self, components, clock):
        take_into_use(components, ES256)
        clock.advance(days=2)
        before = key(components, "active").kid
        components.lifecycle.rotate(ES256, OPERATOR)
        assert key(components, "active").kid == before
        assert states(components, "ES256") == ["retired", "active", "next"]

    def test_whose_first_key_is_revoked_goes_on_waiting(self, components, clock):
        take_into_use(components, ES256)
        components.lifecycle.revoke(key(components, "active", "ES256").kid, "lost", OPERATOR)
        assert components.keyring.current().signer("ES256", clock()).alg == "RS256"
        assert [event.detail["override"] for event in told(components, "rotate")] == [None]

    def test_that_would_fill_the_jwks_is_refused(self, components):
        take_into_use(components, ES256)
        take_into_use(components, EDDSA)
        with pytest.raises(Conflict, match="at most 8 keys"):
            take_into_use(components, Algorithm.ES384)

    def test_in_use_twice_has_one_pair(self, components):
        take_into_use(components, ES256)
        take_into_use(components, ES256)
        assert sorted(states(components, "ES256")) == ["active", "next"]


@pytest.fixture
def three(components, clock):
    """As many algorithms as there may be, none in its lead: two rotations fill the JWKS."""
    for algorithm in (ES256, EDDSA):
        take_into_use(components, algorithm)
    clock.advance(days=2)
    return components


class TestAllAlgorithms:
    def test_what_has_no_room_is_told_beside_what_was_rotated(self, three):
        done = rotations.rotate(three.lifecycle, three.keyring, Wish(), OPERATOR)
        assert [each.alg for each in done.rotated] == [RS256, ES256]
        [(algorithm, why)] = done.waiting.items()
        assert algorithm is EDDSA
        assert "at most 8 keys" in str(why)

    def test_a_private_half_that_is_lost_holds_up_no_other(self, three, tmp_path):
        (tmp_path / "keys" / f"{key(three, 'next').kid}.pem").unlink()
        done = rotations.rotate(three.lifecycle, three.keyring, Wish(), OPERATOR)
        assert [each.alg for each in done.rotated] == [ES256, EDDSA]
        assert "restore it from a backup" in str(done.waiting[RS256])

    def test_one_that_was_asked_for_is_refused_as_it_is(self, three):
        rotations.rotate(three.lifecycle, three.keyring, Wish(), OPERATOR)
        with pytest.raises(Conflict, match="at most 8 keys"):
            rotations.rotate(three.lifecycle, three.keyring, Wish(algorithm=EDDSA), OPERATOR)


class TestTheSchedule:
    def test_rotates_first_what_every_verifier_takes_and_logs_once_what_waits(self, three, clock, caplog):
        clock.advance(days=90)
        for _ in range(3):
            three.upkeep.keep()
            clock.advance(seconds=10)
        assert [each for each in (RS256, ES256, EDDSA) if "retired" in states(three, each)] == [RS256, ES256]
        [line] = [each.getMessage() for each in caplog.records if "is not rotated" in each.getMessage()]
        assert key(three, "active", EDDSA).kid in line
        clock.advance(days=2)
        three.upkeep.keep()
        assert "retired" in states(three, EDDSA)

    def test_rotates_what_is_past_its_age(self, components, clock):
        clock.advance(days=89, hours=23)
        components.upkeep.keep()
        assert told(components, "rotate") == []
        clock.advance(hours=1)
        components.upkeep.keep()
        components.upkeep.keep()
        [event] = told(components, "rotate")
        assert event.actor == "worker"

    def test_waits_for_the_lead_all_the_same(self, tmp_path):
        components = Components(
            settings_for(tmp_path, KEY_ROTATION_PERIOD="1h", KEY_PUBLISH_LEAD="24h"), clock := ManualClock()
        )
        components.prepare(OPERATOR)
        for _ in range(50):
            clock.advance(hours=1)
            components.upkeep.keep()
        assert len(told(components, "rotate")) == 3
        components.database.dispose()


def rotate(folder: str, url: str | None, expected: str) -> None:
    components = Components(settings_for(Path(folder), url), ManualClock())
    try:
        components.lifecycle.rotate(RS256, Actor(name="operator:node"), expected=expected, override="both")
    except AnotherWasFaster:
        return


@pytest.mark.slow
@on_every_database
def test_nodes_that_rotate_at_once_make_one_rotation(components, tmp_path, database_url):
    expected = components.keyring.current().active.kid
    components.database.dispose()
    assert together(4, rotate, str(tmp_path), database_url, expected) == [0] * 4
    components.keyring.refresh()
    assert len(told(components, "rotate")) == 1
    assert sorted(states(components)) == ["active", "next", "retired"]
    components.lifecycle.ensure_keys(OPERATOR)
    assert_whole(components, tmp_path / "keys")


def keys_active(lifecycle) -> str:
    return lifecycle._keyring.current().active.kid


def publish(lifecycle) -> None:
    with lifecycle.offering(ES256, OPERATOR) as add, lifecycle._database.writing() as session:
        add(session)


ACTS = {
    "rotate": lambda keys: keys.rotate(RS256, OPERATOR),
    "revoke the active": lambda keys: keys.revoke(keys_active(keys), "lost", OPERATOR),
    "take into use": publish,
}


@pytest.mark.slow
@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_a_crash_before_any_step_heals_at_the_next_start(act, prepared, tmp_path):
    """`kill -9` before the first statement, the second, …, until it gets through."""
    for step in count(1):
        folder = tmp_path / str(step)
        shutil.copytree(prepared.home, folder / "var")
        shutil.copytree(prepared.keys, folder / "keys")
        settings = settings_for(folder)

        end = killed_before(step, lambda s=settings: act(Components(s, ManualClock(NOW + DAY)).lifecycle))
        after = Components(settings, ManualClock(NOW + DAY))
        after.prepare(OPERATOR)
        assert_whole(after, folder / "keys")
        after.database.dispose()
        if end is End.DONE:
            break
    assert step > 10

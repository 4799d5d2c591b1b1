"""Client secrets live and die by themselves, and with their account."""

from datetime import timedelta

import pytest

from app.identity import accounts, credentials
from tests.support.components import claims_of, on_every_database


def status(world, secret):
    return world.ask(authorization=world.basic(secret=secret), scope=world.scope).status_code


@on_every_database
def test_several_secrets_are_good_at_a_time(world):
    _, second = world.new_secret()
    assert status(world, world.secret) == status(world, second) == 200


@on_every_database
def test_a_revoked_secret_is_dead_and_the_other_is_not(world):
    _, second = world.new_secret()
    with world.components.database.writing() as session:
        account = accounts.find_service_account(session, "duo")
    world.change(credentials.revoke_client_secret, account, world.secret_id)
    assert (status(world, world.secret), status(world, second)) == (401, 200)


@on_every_database
def test_a_secret_dies_at_the_moment_it_expires(world):
    _, brief = world.new_secret(life=timedelta(minutes=5))
    world.clock.advance(minutes=5, microseconds=-1)
    assert status(world, brief) == 200
    world.clock.advance(microseconds=1)
    assert status(world, brief) == 401


@on_every_database
def test_a_disabled_account_has_no_secret_that_is_good(world):
    world.set_active("duo", active=False)
    assert status(world, world.secret) == 401
    world.set_active("duo", active=True)
    assert status(world, world.secret) == 200


@pytest.mark.spec("RFC 6749", "2.3.1", "A secret authenticates the client it was issued to.")
def test_a_secret_of_another_account_is_nobodys(world):
    _, foreign = world.new_account("other")
    assert status(world, foreign) == 401


def test_a_token_row_tells_when_a_secret_was_last_used_once_a_minute(world):
    def last_used():
        with world.components.database.reading() as session:
            return session.get(credentials.ClientSecret, world.secret_id).last_used_at

    assert last_used() is None
    claims_of(world.ask(scope=world.scope))
    first = last_used()
    assert first == world.clock()
    world.clock.advance(seconds=59)
    claims_of(world.ask(scope=world.scope))
    assert last_used() == first
    world.clock.advance(seconds=1)
    claims_of(world.ask(scope=world.scope))
    assert last_used() == world.clock()

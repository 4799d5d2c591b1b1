"""An enforced account without exactly one living human gets nothing, at any door: here those of the mint."""

import pytest
from sqlalchemy import delete

from app.errors import Refusal
from app.flows.models import Run
from app.flows.start import StartRequest, start
from app.identity.models import Delegation
from app.tokens.grants import Account, GrantRefused, decide
from tests.support.components import ISSUER, OPERATOR


def nobody(_world):
    return ""


def two_humans(world):
    bob = world.new_user("bob")
    world.delegate("bob")
    return f"user:{world.alice} user:{bob}"


def another_human(world):
    """Who has delegated nothing."""
    return f"user:{world.new_user('bob')}"


def a_disabled_human(world):
    world.set_active("alice", active=False)
    return f"user:{world.alice}"


def a_human_who_never_was(_world):
    return "user:999"


def a_machine(world):
    return f"user:{world.new_account('other')[0]}"


def itself(world):
    return f"user:{world.duo}"


def a_human_whose_delegation_is_gone(world):
    with world.components.database.writing_connection() as connection:
        connection.execute(delete(Delegation))
    return f"user:{world.alice}"


def any_human(_world):
    return "user:*"


WRONG = (
    nobody,
    two_humans,
    another_human,
    a_disabled_human,
    a_human_who_never_was,
    a_machine,
    itself,
    a_human_whose_delegation_is_gone,
    any_human,
)
wrong = pytest.mark.parametrize("human", WRONG)


@wrong
@pytest.mark.parametrize("scope", ["", "api "])
def test_at_the_token_endpoint(world, human, scope):
    answer = world.ask(scope=(scope + human(world)).strip())
    assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_scope")
    assert world.tokens() == []
    event = world.in_ledger(answer)
    assert (event.outcome, event.service_account) == ("denied", f"service_account:{world.duo}")


@wrong
def test_at_the_mint_whoever_asks(world, human):
    """As the command line and a run do."""
    account, scope = Account(world.duo, "duo", is_composite=True), human(world)
    with pytest.raises(GrantRefused):
        world.components.mint.access_token(
            lambda connection, now: decide(connection, account, scope, [], issuer=ISSUER, now=now), OPERATOR
        )
    assert world.tokens() == []
    [event] = world.events("tokens:access_token:issue")
    assert (event.outcome, event.service_account) == ("denied", f"service_account:{world.duo}")


@wrong
def test_at_the_start_of_a_run(world, human):
    request = StartRequest(
        project=world.project,
        flow="fix-ci",
        user=human(world),
        service_account="duo",
        inputs={},
        source="test",
    )
    with pytest.raises(Refusal):
        start(world.components.database, world.clock, request, OPERATOR)
    with world.components.database.reading() as session:
        assert session.query(Run).count() == 0

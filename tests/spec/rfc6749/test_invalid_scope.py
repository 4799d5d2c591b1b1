"""Every way to ask for what cannot be granted: one answer for all, and the cause in the ledger alone."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from app.identity import accounts, delegations, projects
from tests.support.components import World, claims_of, on_every_database


def nothing(world: World) -> None:
    """As the world is."""


def disable_alice(world: World) -> None:
    world.set_active("alice", active=False)


def revoke(world: World) -> None:
    world.change(delegations.revoke, world.delegation)


def expire(world: World) -> None:
    world.clock.advance(days=30)


def narrow(world: World) -> None:
    revoke(world)
    world.delegate(scopes=["code.read", "flow.start"])


def limit_to_the_project(world: World) -> None:
    """Not even all scopes of a delegation help where nothing says to the API how far it reaches."""
    revoke(world)
    with world.components.database.reading() as session:
        alice, duo = accounts.find_user(session, "alice"), accounts.find_service_account(session, "duo")
        project = projects.find_project(session, world.project)
    expires_at = world.clock() + timedelta(days=1)
    world.change(
        lambda session, **by_now: delegations.grant(
            session,
            *(session.merge(each, load=False) for each in (alice, duo)),
            project=session.merge(project, load=False),
            scopes=None,
            expires_at=expires_at,
            **by_now,
        )
    )


@dataclass(frozen=True)
class Refused:
    """`scope` and `cause` may name `{alice}`, `{duo}` and `{bob}`, who has delegated nothing."""

    scope: str | None
    cause: str
    before: Callable[[World], None] = field(default=nothing)


NOT_A_NUMBER = "a user: scope that is not user: and a decimal number"
UNKNOWN = "a scope that does not exist"
ABSENT = "human: there is no human to act for"

REFUSALS = {
    "no scope": Refused(None, ABSENT),
    "an empty scope": Refused("", ABSENT),
    "no human": Refused("api", ABSENT),
    "the wildcard": Refused("user:*", NOT_A_NUMBER),
    "a leading zero": Refused("user:0{alice}", NOT_A_NUMBER),
    "another leading zero": Refused("user:07", NOT_A_NUMBER),
    "a digit that is not ASCII": Refused("user:\u0667", NOT_A_NUMBER),
    "a fullwidth digit": Refused("user:\uff17", NOT_A_NUMBER),
    "a sign": Refused("user:+{alice}", NOT_A_NUMBER),
    "a negative number": Refused("user:-{alice}", NOT_A_NUMBER),
    "zero": Refused("user:0", NOT_A_NUMBER),
    "a fraction": Refused("user:{alice}.0", NOT_A_NUMBER),
    "hexadecimal": Refused("user:0x1", NOT_A_NUMBER),
    "a login": Refused("user:alice", NOT_A_NUMBER),
    "no number": Refused("user:", NOT_A_NUMBER),
    "a number without end": Refused("user:" + "7" * 400, NOT_A_NUMBER),
    "a newline after it": Refused("user:{alice}\n", NOT_A_NUMBER),
    "two humans": Refused("user:{alice} user:{bob}", "more than one user: scope"),
    "the same human twice": Refused("user:{alice} user:{alice}", "a scope is repeated"),
    "an upper-case prefix": Refused("User:{alice}", UNKNOWN),
    "a machine as a principal": Refused("service_account:{duo}", UNKNOWN),
    "the account's own number": Refused("user:{duo}", "human: user:{duo} is no human"),
    "another account's number": Refused("user:{robot}", "human: user:{robot} is no human"),
    "nobody's number": Refused("user:4711", "human: user:4711 is no human"),
    "the largest number": Refused("user:999999999999999999", "human: user:999999999999999999 is no human"),
    "an unknown scope": Refused("user:{alice} everything", UNKNOWN),
    "a scope of OpenID Connect": Refused("openid user:{alice}", UNKNOWN),
    "a scope in upper case": Refused("API user:{alice}", UNKNOWN),
    "a scope with a wildcard": Refused("code.* user:{alice}", UNKNOWN),
    "a scope twice": Refused("api api user:{alice}", "a scope is repeated"),
    "two spaces": Refused("api  user:{alice}", UNKNOWN),
    "a leading space": Refused(" user:{alice}", UNKNOWN),
    "a tab": Refused("api\tuser:{alice}", UNKNOWN),
    "a comma": Refused("api,user:{alice}", UNKNOWN),
    "1 MB less than the largest body": Refused("x" * 60_000, "longer than"),
    "a human who delegated nothing": Refused("user:{bob}", "delegation: there is no delegation"),
    "a disabled human": Refused("user:{alice}", "active: alice is disabled", disable_alice),
    "a revoked delegation": Refused("user:{alice}", "delegation: the delegation was revoked", revoke),
    "an expired delegation": Refused("user:{alice}", "delegation: the delegation has expired", expire),
    "a delegation for one project": Refused(
        "user:{alice}",
        "delegation: the delegation is for one project, and not for this",
        limit_to_the_project,
    ),
    "more than the delegation": Refused(
        "code.write user:{alice}", "delegation: no delegation covers code.write", narrow
    ),
    "all, of a narrow delegation": Refused(
        "api user:{alice}", "delegation: no delegation covers api", narrow
    ),
    "one within and one beyond": Refused(
        "code.read secret.read user:{alice}", "delegation: no delegation covers code.read secret.read", narrow
    ),
}
REFUSAL = b'{"error": "invalid_scope", "error_description": "The requested scope cannot be granted."}'


def ask_after(world: World, refused: Refused):
    """The answer, and the cause that the ledger is to give."""
    names = {
        "alice": world.alice,
        "duo": world.duo,
        "bob": world.new_user("bob"),
        "robot": world.new_account("robot")[0],
    }
    refused.before(world)
    scope = refused.scope and refused.scope.format(**names)
    return world.ask(scope=scope), refused.cause.format(**names)


@pytest.mark.spec("RFC 6749", "5.2", "A scope that is invalid, unknown or malformed is 400 invalid_scope.")
@pytest.mark.parametrize("refused", REFUSALS.values(), ids=REFUSALS)
def test_each_gets_the_same_answer_and_its_cause_stands_in_the_ledger(world, refused):
    answer, cause = ask_after(world, refused)
    assert (answer.status_code, answer.data) == (400, REFUSAL)
    event = world.in_ledger(answer)
    assert (event.action, event.outcome) == ("tokens:access_token:issue", "denied")
    assert event.service_account == event.actor == f"service_account:{world.duo}"
    assert event.detail["error"] == "invalid_scope"
    assert cause in event.detail["cause"]
    assert world.tokens() == []


@on_every_database
@pytest.mark.parametrize(
    "name", ["the account's own number", "the largest number", "a disabled human", "an expired delegation"]
)
def test_the_same_on_every_database(world, name):
    answer, cause = ask_after(world, REFUSALS[name])
    assert (answer.status_code, answer.data) == (400, REFUSAL)
    assert cause in world.in_ledger(answer).detail["cause"]


def test_the_ledger_names_the_human_that_was_asked_for(world):
    world.change(delegations.revoke, world.delegation)
    assert world.in_ledger(world.ask(scope=world.scope)).user == f"user:{world.alice}"


def test_an_enabled_human_can_be_acted_for_again(world):
    world.set_active("alice", active=False)
    world.set_active("alice", active=True)
    claims_of(world.ask(scope=world.scope))


class TestAnAccountThatActsInItsOwnName:
    """Created with `--not-composite`."""

    @pytest.fixture
    def ask(self, world):
        number, secret = world.new_account("robot", is_composite=False)
        return lambda scope: world.ask(scope=scope, authorization=world.basic(f"sa_{number}", secret))

    def test_names_no_human(self, ask):
        claims = claims_of(ask("code.read"))
        assert claims["scope"] == "code.read"
        assert not {"user_id", "user_login", "delegation_id", "act"} & claims.keys()

    def test_may_not_act_for_one(self, ask, world):
        answer = ask(f"api user:{world.alice}")
        assert answer.data == REFUSAL
        assert "acts in its own name" in world.in_ledger(answer).detail["cause"]

    @pytest.mark.parametrize("scope", [None, ""])
    @pytest.mark.spec("RFC 6749", "3.3", "Without a scope, the request fails or a default is used: it fails.")
    def test_asks_for_something(self, ask, world, scope):
        answer = ask(scope)
        assert answer.data == REFUSAL
        assert world.in_ledger(answer).detail["cause"] == "no scope was asked for"


class TestANarrowDelegation:
    @pytest.fixture
    def narrowed(self, world):
        narrow(world)
        return world

    @pytest.mark.parametrize("scope", ["", "code.read ", "flow.start code.read "])
    def test_covers_what_it_names(self, narrowed, scope):
        assert claims_of(narrowed.ask(scope=scope + narrowed.scope))["scope"] == scope + narrowed.scope

    def test_a_second_one_may_cover_more(self, narrowed):
        wider = narrowed.delegate(scopes=["secret.read"])
        claims = claims_of(narrowed.ask(scope=f"secret.read {narrowed.scope}"))
        assert claims["delegation_id"] == str(wider)

    def test_two_are_not_added_together(self, narrowed):
        narrowed.delegate(scopes=["secret.read"])
        assert narrowed.ask(scope=f"secret.read code.read {narrowed.scope}").data == REFUSAL


def test_the_scope_api_covers_every_other(world):
    world.change(delegations.revoke, world.delegation)
    world.delegate(scopes=["api"], life=timedelta(hours=1))
    assert claims_of(world.ask(scope=f"code.write {world.scope}"))["scope"] == f"code.write {world.scope}"

"""An API may have the human as `sub` and the agent as `act`: RFC 8693 for the same delegation."""

import pytest

from app.tokens.audiences import Rendering
from tests.support.components import claims_of, on_every_database, parts
from tests.support.resource_server import resource_server

OWN = {"iat", "nbf", "exp", "jti", "aud"}


@pytest.fixture
def delegated(world):
    return resource_server(world, "https://delegated.acme.example", "one", Rendering.DELEGATED)


@on_every_database
@pytest.mark.spec(
    "RFC 8693", "4.1", "act names the acting party by its sub; the token's sub is who it is for."
)
def test_sub_is_the_human_and_act_the_service_account(world, delegated):
    claims = parts(delegated.token())[1]
    assert claims["sub"] == f"user:{world.alice}"
    assert claims["act"] == {"sub": f"service_account:{world.duo}"}


@pytest.mark.spec("RFC 8693", "4.1", "act holds claims about the actor's identity, and no times.")
def test_act_says_who_and_nothing_else(delegated):
    assert parts(delegated.token())[1]["act"].keys() == {"sub"}


@pytest.mark.spec("RFC 8693", "4.2", "scope is a list of words separated by spaces.")
@pytest.mark.spec("RFC 8693", "4.3", "client_id is the client that asked for the token.")
def test_every_other_claim_is_that_of_the_composite_rendering(world, delegated):
    composite = resource_server(world, "https://composite.acme.example", "two")
    one, two = (parts(api.token("code.read"))[1] for api in (delegated, composite))
    assert one.keys() - two.keys() == {"act"}
    assert {name for name in two if one[name] != two[name]} - OWN == {"sub"}


def test_both_renderings_have_the_same_row_and_the_same_parties_in_the_ledger(world, delegated):
    composite = resource_server(world, "https://composite.acme.example", "two")
    for api in (delegated, composite):
        api.token()
    one, two = world.tokens()
    for name in ("kind", "kid", "scope", "service_account_id", "user_id", "delegation_id", "expires_at"):
        assert getattr(one, name) == getattr(two, name)
    one, two = world.events("tokens:access_token:issue")
    for name in ("actor", "user", "service_account", "outcome"):
        assert getattr(one, name) == getattr(two, name)


@pytest.mark.parametrize("rendering", Rendering)
def test_both_are_decided_alike(world, rendering):
    api = resource_server(world, "https://one.acme.example", "one", rendering)
    world.set_active("alice", active=False)
    answer = world.ask(scope=world.scope, resource=api.uri)
    assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_scope")


def test_introspection_answers_in_the_rendering_of_the_audience(world, delegated):
    seen = delegated.sees(delegated.token())
    assert (seen["active"], seen["sub"]) == (True, f"user:{world.alice}")
    assert seen["act"] == {"sub": f"service_account:{world.duo}"}


def test_who_acts_for_nobody_is_sub_in_both(world, delegated):
    number, secret = world.new_account("lonely", is_composite=False)
    authorization = world.basic(f"sa_{number}", secret)
    answer = world.ask(authorization=authorization, scope="api", resource=delegated.uri)
    claims = claims_of(answer)
    assert claims["sub"] == f"service_account:{number}"
    assert "act" not in claims

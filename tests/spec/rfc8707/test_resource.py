"""The audience of an access token is asked for with `resource`: RFC 8707."""

import pytest

from app.tokens import audiences
from app.tokens.audiences import AudienceKind
from tests.support.components import ISSUER, claims_of, on_every_database

API = "https://api.acme.example/v2"


def register(world, uri, kind=AudienceKind.API):
    world.change(audiences.register, ISSUER, uri, kind, "RS256", [])


@pytest.fixture
def open_world(world):
    register(world, API)
    register(world, "https://vault.acme.example", AudienceKind.VERIFIER)
    return world


def refused(answer):
    assert answer.status_code == 400
    assert answer.get_json() == {
        "error": "invalid_target",
        "error_description": "The requested resource is not known.",
    }


@on_every_database
@pytest.mark.spec("RFC 8707", "2.2", "The audience of the token is the resource that was asked for.")
def test_a_registered_api(open_world):
    assert claims_of(open_world.ask(scope=open_world.scope, resource=API))["aud"] == API


@pytest.mark.parametrize("resource", [API + "/", API.replace("https", "HTTPS"), API.replace("acme", "ACME")])
def test_it_is_found_in_another_spelling_and_named_as_registered(open_world, resource):
    assert claims_of(open_world.ask(scope=open_world.scope, resource=resource))["aud"] == API


@pytest.mark.parametrize("form", [{}, {"resource": f"{ISSUER}/api/v1"}, {"resource": f"{ISSUER}/api/v1/"}])
def test_the_default_is_our_own_api(open_world, form):
    assert claims_of(open_world.ask(scope=open_world.scope, **form))["aud"] == f"{ISSUER}/api/v1"


@pytest.mark.parametrize(
    "resource",
    [
        "https://api.elsewhere.example",
        API + "#fragment",
        API + "?query",
        API.replace("v2", "V2"),
        "https://api.acme.example",
        "https://vault.acme.example",
        ISSUER,
        "sa_1",
        "x" * 5000,
        "http://[",
    ],
)
@pytest.mark.spec("RFC 8707", "2", "A resource that is unknown, malformed or not allowed is invalid_target.")
def test_any_other_resource(open_world, resource):
    answer = open_world.ask(scope=open_world.scope, resource=resource)
    refused(answer)
    event = open_world.in_ledger(answer)
    assert event.outcome == "denied"
    assert event.detail == {
        "error": "invalid_target",
        "cause": "resource: not a registered api audience",
    }
    assert open_world.tokens() == []


def test_two_resources_are_one_too_many(open_world):
    answer = open_world.ask(scope=open_world.scope, resource=[API, f"{ISSUER}/api/v1"])
    refused(answer)
    assert open_world.in_ledger(answer).detail["cause"] == "more than one resource"


def test_a_removed_api_is_unknown_again(open_world):
    open_world.change(audiences.remove, API)
    refused(open_world.ask(scope=open_world.scope, resource=API))

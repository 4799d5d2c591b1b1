"""A resource server asks whether a token is alive: RFC 7662."""

import base64
import hashlib
import hmac
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from app.errors import InvalidInput
from app.identity import accounts
from app.tokens import audiences
from app.tokens.audiences import AudienceKind
from tests.support.components import ISSUER, NOW, OPERATOR, basic, on_every_database, parts
from tests.support.resource_server import INTROSPECT, resource_server

INACTIVE = {"active": False}


@pytest.fixture
def api(world):
    return resource_server(world)


@pytest.fixture(scope="module")
def shared_api(shared_world):
    """For what is only asked."""
    return resource_server(shared_world)


@on_every_database
@pytest.mark.spec("RFC 7662", "2.2", "A live token is answered with active, and with what it says.")
def test_the_answer_for_a_live_token(world, api):
    token = api.token()
    answer = api.introspect(token)
    assert answer.status_code == 200
    assert answer.content_type == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    at = int(NOW.timestamp())
    assert answer.get_json() == {
        "active": True,
        "token_type": "Bearer",
        "username": "alice",
        "iss": ISSUER,
        "sub": f"service_account:{world.duo}",
        "aud": api.uri,
        "client_id": f"sa_{world.duo}",
        "scope": f"api user:{world.alice}",
        "iat": at,
        "nbf": at,
        "exp": at + 600,
        "jti": parts(token)[1]["jti"],
        "service_account_id": str(world.duo),
        "service_account": "duo",
        "user_id": str(world.alice),
        "user_login": "alice",
        "delegation_id": str(world.delegation),
    }


def test_a_live_token_leaves_no_row_in_the_ledger(world, api):
    token = api.token()
    before = len(world.events())
    assert api.is_active(token)
    assert len(world.events()) == before


@pytest.mark.spec("RFC 7662", "2.1", "The endpoint takes POST with a form.")
def test_other_methods_are_refused(shared_world):
    assert shared_world.http.get(INTROSPECT).status_code == 405


@pytest.mark.spec("RFC 7662", "2.1", "token is required; a repeated parameter is malformed.")
@pytest.mark.parametrize(
    "request_",
    [
        {"data": {}},
        {"data": {"token": ""}},
        {"data": {"token": ["a", "b"]}},
        {"data": {"token": "a"}, "query_string": {"token": "a"}},
        {"json": {"token": "a"}},
    ],
)
def test_malformed_requests(shared_world, shared_api, request_):
    headers = {"Authorization": shared_api.authorization}
    answer = shared_world.http.post(INTROSPECT, headers=headers, **request_)
    assert answer.status_code == 400
    assert answer.get_json()["error"] == "invalid_request"


@pytest.mark.spec("RFC 7662", "2.1", "token_type_hint may be ignored.")
@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "saml", ""])
def test_a_hint_changes_nothing(shared_api, hint):
    assert shared_api.introspect(shared_api.token(), token_type_hint=hint).get_json()["active"] is True


@pytest.mark.spec("RFC 7662", "2.3", "A caller that does not authenticate gets 401 as RFC 6749 §5.2 has it.")
@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": basic("sa_2", "wrong")}, {"Authorization": "Bearer something"}]
)
def test_a_stranger(world, api, headers):
    """In a fresh installation: a repeat within the minute would only be counted."""
    answer = world.http.post(INTROSPECT, data={"token": api.token()}, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")
    assert answer.get_json()["error"] == "invalid_client"
    assert world.in_ledger(answer).outcome == "denied"


def test_a_disabled_resource_server_is_a_stranger(world, api):
    token = api.token()
    with world.components.database.writing() as session:
        account = accounts.find_service_account(session, "acme-api")
        accounts.set_service_account_active(session, account, active=False, by=OPERATOR, now=NOW)
    assert api.introspect(token).status_code == 401


def other_resource_server(world, _api):
    return resource_server(world, "https://other.acme.example", "other").authorization


def another_account(world, _api):
    number, secret = world.new_account("curious", is_composite=False)
    return basic(f"sa_{number}", secret.reveal())


def its_own_client(world, _api):
    return world.basic()


@pytest.mark.spec("RFC 7662", "2.2", "Who may not know of a token learns that it is not active, no more.")
@pytest.mark.spec("RFC 7662", "4", "A resource server learns of tokens that are for it, and of no others.")
@pytest.mark.parametrize("caller", [other_resource_server, another_account, its_own_client])
def test_whoever_is_no_introspector_of_the_audience(world, api, caller):
    authorization = caller(world, api)
    token = api.token()
    answer = world.http.post(INTROSPECT, data={"token": token}, headers={"Authorization": authorization})
    assert (answer.status_code, answer.get_json()) == (200, INACTIVE)
    event = world.in_ledger(answer)
    assert (event.action, event.outcome) == ("tokens:access_token:introspect", "denied")
    assert event.detail["cause"] == "the caller is no introspector of this audience"
    assert (event.user, event.service_account) == (f"user:{world.alice}", f"service_account:{world.duo}")
    assert event.jti == parts(token)[1]["jti"]
    assert event.actor.startswith("service_account:")


def test_nobody_asks_about_tokens_for_our_own_api(world, api):
    own = world.ask(scope=world.scope).get_json()["access_token"]
    assert api.sees(own) == INACTIVE


def test_an_audience_that_was_removed_has_no_introspectors(world, api):
    token = api.token()
    world.change(audiences.remove, api.uri)
    assert api.sees(token) == INACTIVE


def test_an_account_that_can_do_nothing_alone_is_no_introspector(world):
    with world.components.database.reading() as session:
        duo = accounts.find_service_account(session, "duo")
    with pytest.raises(InvalidInput, match="not composite"):
        world.change(
            audiences.register,
            ISSUER,
            "https://api.acme.example",
            AudienceKind.API,
            "RS256",
            [],
            introspectors=[duo],
        )


def encoded(part):
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def by_another_key(token):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    text = token.rpartition(".")[0]
    return f"{text}.{encoded(key.sign(text.encode(), padding.PKCS1v15(), SHA256()))}"


def headed(token, **header):
    """Another header over the same claims and signature."""
    _, claims, signature = token.split(".")
    return f"{encoded(parts(token)[0] | header)}.{claims}.{signature}"


def with_hmac(token):
    text = f"{encoded(parts(token)[0] | {'alg': 'HS256'})}.{token.split('.')[1]}"
    return f"{text}.{encoded(hmac.digest(b'the public key', text.encode(), hashlib.sha256))}"


def widened(token):
    header, _, signature = token.split(".")
    return f"{header}.{encoded(parts(token)[1] | {'user_id': '999'})}.{signature}"


def another_spelling(token):
    """The unused bits of the last character: a lax decoder reads the same signature."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return token[:-1] + alphabet[alphabet.index(token[-1]) ^ 1]


FORGERIES = {
    "by another key": by_another_key,
    "alg none": lambda token: headed(token, alg="none").rpartition(".")[0] + ".",
    "alg none with a signature": lambda token: headed(token, alg="none"),
    "HS256": with_hmac,
    "an unknown kid": lambda token: headed(token, kid="x" * 43),
    "a kid that is no text": lambda token: headed(token, kid=["a"]),
    "a key in the header": lambda token: headed(token, jwk={"kty": "RSA"}),
    "an unknown crit": lambda token: headed(token, crit=["exp"]),
    "a header that is a list": lambda token: f"{encoded([])}.{token.partition('.')[2]}",
    "other claims": widened,
    "another spelling": another_spelling,
    "padding": lambda token: token + "=",
    "white space": lambda token: token + "\n",
    "twice": lambda token: f"{token}.{token}",
    "its number alone": lambda token: parts(token)[1]["jti"],
    "garbage": lambda _: "a.b.c",
    "not ASCII": lambda _: "é.é.é",
    "one megabyte less": lambda token: token + "A" * 50_000,
}


@pytest.mark.spec("RFC 7662", "4", "The server checks the signature, and that it issued the token.")
@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES)
def test_what_we_have_not_signed(shared_api, forge):
    assert shared_api.sees(forge(shared_api.token())) == INACTIVE


def test_every_truncation(shared_api):
    """Cut at either end: a token that is valid in part is not valid."""
    token = shared_api.token()
    header, claims, signature = token.split(".")
    cuts = [0, 1, len(header), len(header) + 1, len(header) + 1 + len(claims), len(token) - 43]
    cut = [token[:at] for at in cuts[1:]] + [token[at:] for at in cuts[1:]] + [token[:-1], token[:-4]]
    assert [each for each in cut if shared_api.is_active(each)] == []
    assert shared_api.is_active(token)
    assert not shared_api.is_active(f"{header}.{claims}.{signature[:-6]}")


@pytest.mark.spec("RFC 7662", "4", "An expired token is not active.")
def test_an_expired_token(world, api):
    token = api.token()
    world.clock.advance(seconds=600)
    answer = api.introspect(token)
    assert answer.get_json() == INACTIVE
    assert world.in_ledger(answer).detail["cause"] == "expired"


@pytest.mark.spec(
    "RFC 7662", "4", "A token that is not valid yet is not active, beyond what clocks differ by."
)
@pytest.mark.parametrize(("behind", "active"), [(60, True), (120, False)])
def test_a_token_from_a_node_whose_clock_is_ahead(world, api, behind, active):
    token = api.token()
    world.clock.advance(seconds=-behind)
    assert api.is_active(token) is active

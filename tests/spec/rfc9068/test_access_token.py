"""The access token: RFC 9068, in the claims that docs/reference promises."""

import re

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from joserfc import jwt
from joserfc.jwk import KeySet

from app.identity import delegations
from tests.support.components import ISSUER, NOW, claims_of, on_every_database, parts


def issued(world, **form):
    answer = world.ask(**({"scope": f"api {world.scope}"} | form))
    assert answer.status_code == 200, answer.text
    return answer.get_json()["access_token"]


@on_every_database
@pytest.mark.spec("RFC 9068", "2.2", "The claims are iss, exp, aud, sub, client_id, iat and jti.")
def test_the_claims_of_a_composite_token(world):
    claims = parts(issued(world))[1]
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", claims.pop("jti"))
    at = int(NOW.timestamp())
    assert claims == {
        "iss": ISSUER,
        "sub": f"service_account:{world.duo}",
        "aud": f"{ISSUER}/api/v1",
        "client_id": f"sa_{world.duo}",
        "scope": f"api user:{world.alice}",
        "iat": at,
        "nbf": at,
        "exp": at + 600,
        "service_account_id": str(world.duo),
        "service_account": "duo",
        "user_id": str(world.alice),
        "user_login": "alice",
        "delegation_id": str(world.delegation),
    }


@pytest.mark.spec("RFC 9068", "2.1", "typ is at+jwt.")
@pytest.mark.spec("RFC 7515", "4.1.4", "kid names the key that signed.")
def test_the_header(shared_world):
    header = parts(issued(shared_world))[0]
    assert header == {
        "alg": "RS256",
        "kid": shared_world.components.keyring.current().active.kid,
        "typ": "at+jwt",
    }


@pytest.mark.spec("RFC 9068", "4", "A resource server finds the key in the JWKS of the issuer and verifies.")
@pytest.mark.spec("RFC 7515", "5.2", "The signature is valid over the encoded header and payload.")
def test_the_published_keys_verify_it(shared_world):
    published = KeySet.import_key_set(shared_world.http.get("/.well-known/jwks.json").get_json())
    assert jwt.decode(issued(shared_world), published, algorithms=["RS256"]).claims["iss"] == ISSUER


@pytest.mark.spec("RFC 7515", "2", "Base64url without padding, line breaks or whitespace.")
def test_it_is_compact_and_unpadded(shared_world):
    assert re.fullmatch(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{342}", issued(shared_world))


@pytest.mark.spec(
    "RFC 7519", "2", "A NumericDate is a number of seconds; ours are whole and never lie ahead."
)
def test_times_are_whole_seconds(shared_world):
    claims = parts(issued(shared_world))[1]
    assert {type(claims[name]) for name in ("iat", "nbf", "exp")} == {int}
    assert claims["nbf"] == claims["iat"] <= NOW.timestamp()


@pytest.mark.spec("RFC 7519", "4.1.7", "jti is unique.")
def test_no_two_tokens_have_one_jti(shared_world):
    assert len({parts(issued(shared_world))[1]["jti"] for _ in range(20)}) == 20


@pytest.mark.parametrize("life", [61, 599])
@on_every_database
def test_a_token_never_outlives_its_delegation(world, life):
    world.change(delegations.revoke, world.delegation)
    brief = world.delegate(life=delegations.DEFAULT_LIFE)
    world.clock.advance(days=30, seconds=-life)
    claims = claims_of(world.ask(scope=world.scope))
    assert claims["delegation_id"] == str(brief)
    assert claims["exp"] == int(NOW.timestamp()) + 30 * 86400
    assert claims["exp"] - claims["iat"] in {life, life + 1}


def test_it_is_dead_when_the_delegation_is_to_the_second(world):
    """`exp` is rounded down, so that it never lies after the delegation's end."""
    world.clock.advance(days=30, microseconds=-1)
    claims = claims_of(world.ask(scope=world.scope))
    assert claims["exp"] <= world.clock().timestamp() + 1e-6


@on_every_database
def test_a_token_is_told_of_once_in_its_table_and_once_in_the_ledger(world):
    answer = world.ask(scope=f"api {world.scope}")
    claims = claims_of(answer)
    [row] = world.tokens()
    event = world.in_ledger(answer)
    assert row.jti == event.jti == claims["jti"]
    assert row.kid == event.kid == parts(answer.get_json()["access_token"])[0]["kid"]
    assert (row.kind, row.audience, row.scope) == ("access", claims["aud"], claims["scope"])
    assert (row.service_account_id, row.user_id) == (world.duo, world.alice)
    assert (row.delegation_id, row.run_id) == (world.delegation, None)
    assert row.issued_at == NOW
    assert (event.action, event.outcome) == ("tokens:access_token:issue", "success")
    assert event.user == f"user:{world.alice}"
    assert event.service_account == event.actor == f"service_account:{world.duo}"
    assert event.detail == {
        "sub": claims["sub"],
        "aud": claims["aud"],
        "delegation": world.delegation,
        "scope": claims["scope"],
    }


def test_the_token_itself_is_nowhere_in_the_database(world, tmp_path):
    token = issued(world)
    world.components.database.dispose()
    stored = b"".join(file.read_bytes() for file in (tmp_path / "var").glob("countersign.sqlite3*"))
    assert parts(token)[1]["jti"].encode() in stored
    assert not [part for part in token.split(".") if part.encode() in stored]
    assert world.secret.reveal().encode() not in stored


@pytest.mark.spec("RFC 9068", "2.1", "Signed with an asymmetric algorithm; RS256 is always there.")
def test_the_key_that_signs_is_rsa_of_2048_bits(shared_world):
    published = KeySet.import_key_set(shared_world.http.get("/.well-known/jwks.json").get_json())
    for key in published.keys:
        assert isinstance(public := key.raw_value, RSAPublicKey)
        assert public.key_size == 2048

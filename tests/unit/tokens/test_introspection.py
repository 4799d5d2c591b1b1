"""A token is alive while everything is that it lives from, and while it says what its row says."""

import json
from base64 import urlsafe_b64encode

import pytest
from sqlalchemy import delete, insert, update

from app.identity import delegations
from app.identity.models import ServiceAccount
from app.protocol.claims import ACCESS_TOKEN_TYPE
from app.signing.models import KeyState, SigningKey
from app.tokens.life import NOT_SIGNED
from app.tokens.models import IssuedToken
from tests.support.components import OPERATOR, on_every_database, parts
from tests.support.resource_server import INTROSPECT, REVOKE, resource_server


@pytest.fixture
def api(world):
    return resource_server(world)


def in_database(world, statement):
    with world.components.database.writing_connection() as connection:
        connection.execute(statement)


def disable_alice(world):
    world.set_active("alice", active=False)


def disable_duo(world):
    world.set_active("duo", active=False)


def revoke_delegation(world):
    world.change(delegations.revoke, world.delegation)


def let_the_delegation_expire(world):
    """As when a node's clock is ahead of that of the one which issued."""
    in_database(world, update(delegations.Delegation).values(expires_at=world.clock()))


def revoke_key(world):
    active = SigningKey.state == KeyState.ACTIVE
    in_database(world, update(SigningKey).where(active).values(state=KeyState.REVOKED))


def forget_the_token(world):
    in_database(world, delete(IssuedToken))


def let_duo_act_alone(world):
    in_database(world, update(ServiceAccount).values(is_composite=False))


DEATHS = {
    disable_alice: "the human is disabled, gone or none",
    disable_duo: "the service account is disabled or gone",
    revoke_delegation: "the delegation is revoked, has expired or is gone",
    let_the_delegation_expire: "the delegation is revoked, has expired or is gone",
    revoke_key: "its key is not published any more",
    forget_the_token: "a token that was never issued",
    let_duo_act_alone: "an enforced account without a human, or one that takes none with one",
}


@on_every_database
@pytest.mark.parametrize(("die", "cause"), DEATHS.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_what_it_lives_from_dies_and_so_does_it(world, api, die, cause):
    token = api.token()
    assert api.is_active(token)
    die(world)
    answer = api.introspect(token)
    assert answer.get_json() == {"active": False}
    event = world.in_ledger(answer)
    assert (event.outcome, event.detail["cause"]) == ("denied", cause)
    if die is not forget_the_token:
        assert (event.user, event.service_account) == (
            f"user:{world.alice}",
            f"service_account:{world.duo}",
        )


@pytest.mark.parametrize("who", ["alice", "duo"])
def test_who_is_enabled_again_has_their_tokens_back(world, api, who):
    token = api.token()
    world.set_active(who, active=False)
    assert not api.is_active(token)
    world.set_active(who, active=True)
    assert api.is_active(token)


def test_a_retired_key_still_vouches_for_what_it_signed(world, api):
    token = api.token()
    active = SigningKey.state == KeyState.ACTIVE
    in_database(world, update(SigningKey).where(active).values(state=KeyState.RETIRED))
    assert api.is_active(token)


def test_the_token_of_an_account_that_acts_alone(world, api):
    number, secret = world.new_account("lonely", is_composite=False)
    answer = world.ask(authorization=world.basic(f"sa_{number}", secret), scope="api", resource=api.uri)
    seen = api.sees(answer.get_json()["access_token"])
    assert (seen["active"], seen["sub"]) == (True, f"service_account:{number}")
    assert "username" not in seen


def as_it_is(_world):
    return {}, {}


def without_a_human(_world):
    return {"user_id": None, "user_login": None, "scope": "api"}, {"user_id": None}


def without_the_scope(_world):
    return {"scope": "api"}, {}


def with_a_second_human(world):
    return {"scope": f"user:{world.alice} user:{world.new_user('bob')}"}, {}


def with_the_human_twice(world):
    return {"scope": f"user:{world.alice} user:{world.alice}"}, {}


def with_another_human_than_was_issued(world):
    number = world.new_user("bob")
    return {"scope": f"user:{number}", "user_id": str(number)}, {}


def with_a_machine_for_a_human(world):
    return {"scope": f"user:{world.duo}", "user_id": str(world.duo)}, {}


def with_a_human_who_never_was(_world):
    return {"scope": "user:999", "user_id": "999"}, {}


def with_any_human(_world):
    return {"scope": "user:*"}, {}


def with_another_spelling_of_the_human(world):
    return {"scope": f"user:0{world.alice}"}, {}


@pytest.mark.parametrize(
    ("differ", "active"),
    [
        (as_it_is, True),
        *(
            (differ, False)
            for differ in (
                without_a_human,
                without_the_scope,
                with_a_second_human,
                with_the_human_twice,
                with_another_human_than_was_issued,
                with_a_machine_for_a_human,
                with_a_human_who_never_was,
                with_any_human,
                with_another_spelling_of_the_human,
            )
        ),
    ],
)
def test_an_enforced_account_has_exactly_the_human_it_was_issued_for(world, api, differ, active):
    """Even under our own signature and a row that agrees: as if the mint had been wrong."""
    claims = parts(api.token())[1]
    [row] = world.tokens()
    said, stored = differ(world)
    claims = {name: value for name, value in (claims | said | {"jti": "mine"}).items() if value is not None}
    columns = {each.name: getattr(row, each.name) for each in IssuedToken.__table__.columns}
    in_database(world, insert(IssuedToken).values(columns | stored | {"jti": "mine"}))
    token = world.components.keyring.current().active.sign(ACCESS_TOKEN_TYPE, claims).reveal()
    assert api.is_active(token) is active


@pytest.mark.parametrize("typ", ["JWT", "at+JWT", "logout+jwt", ""])
def test_another_kind_of_token_under_our_own_signature(world, api, typ):
    claims = parts(api.token())[1]
    token = world.components.keyring.current().active.sign(typ, claims).reveal()
    assert not api.is_active(token)


def test_an_issuer_that_we_once_were(world, api):
    claims = parts(api.token())[1] | {"iss": "http://localhost:9000"}
    token = world.components.keyring.current().active.sign(ACCESS_TOKEN_TYPE, claims).reveal()
    assert not api.is_active(token)


@pytest.mark.parametrize(
    "aud", ["https://api.acme.example/", "https://API.acme.example", ["https://api.acme.example"], "*"]
)
def test_an_audience_that_is_not_the_registered_text(world, api, aud):
    claims = parts(api.token())[1] | {"aud": aud}
    token = world.components.keyring.current().active.sign(ACCESS_TOKEN_TYPE, claims).reveal()
    assert not api.is_active(token)


def test_a_scope_that_is_not_the_rows(world, api):
    claims = parts(api.token("code.read"))[1] | {"scope": f"api {world.scope}"}
    token = world.components.keyring.current().active.sign(ACCESS_TOKEN_TYPE, claims).reveal()
    answer = api.introspect(token)
    assert answer.get_json() == {"active": False}
    assert world.in_ledger(answer).detail["cause"] == "not what was issued under its number"


@on_every_database
@pytest.mark.parametrize("path", [INTROSPECT, REVOKE])
def test_a_resource_server_cannot_make_the_ledger_grow_with_what_is_no_token(world, api, path):
    before = len(world.events())
    for number in range(50):
        sent = {"token": f"garbage{number}"}
        answer = world.http.post(path, data=sent, headers={"Authorization": api.authorization})
        assert answer.status_code == 200
    assert len(world.events()) == before + 1
    told = world.events()[0]
    assert told.actor == told.service_account == f"service_account:{api.account}"
    world.clock.advance(minutes=1)
    api.sees("garbage")
    assert {each.detail.get("repeated") for each in world.events()[:2]} == {49, None}


def test_a_token_that_was_never_issued_is_told_of_as_the_callers(world, api):
    token = api.token()
    forget_the_token(world)
    event = world.in_ledger(api.introspect(token))
    assert event.service_account == f"service_account:{api.account}"


def test_the_token_of_a_revoked_key_is_told_by_that_key(world, api):
    """Once this process follows; and only if the key did sign it: a name alone is anybody's to write."""
    token = api.token()
    revoked = world.components.keyring.current().active.kid
    world.components.lifecycle.revoke(revoked, "leaked", OPERATOR)
    cause = f"signed with {revoked}, which was revoked at 2026-11-22T10:00:00"
    for path in (INTROSPECT, REVOKE):
        answer = world.http.post(path, data={"token": token}, headers={"Authorization": api.authorization})
        assert world.in_ledger(answer).detail["cause"].startswith(cause)
    forged = token[:-8] + ("AAAAAAAA" if not token.endswith("AAAAAAAA") else "BBBBBBBB")
    assert world.in_ledger(api.introspect(forged)).detail["cause"] == NOT_SIGNED


@on_every_database
@pytest.mark.parametrize("kid", ["\0" * 43, "x" * 43, "", 1, None])
def test_a_kid_that_there_is_not_is_no_key_of_ours(world, api, kid):
    header = part({"alg": "RS256", "kid": kid, "typ": ACCESS_TOKEN_TYPE})
    answer = api.introspect(f"{header}.{part({})}.AAAA")
    assert answer.get_json() == {"active": False}
    assert world.in_ledger(answer).detail["cause"] == NOT_SIGNED


def part(content: dict) -> str:
    return urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")

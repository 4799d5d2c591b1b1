"""A client ends a token of its own: RFC 7009."""

import pytest
from sqlalchemy import text

from app.tokens.assembly import IdTokenGrant, Parties
from app.tokens.grants import Account, decide
from tests.support.components import ISSUER, NOW, OPERATOR, basic, on_every_database, parts
from tests.support.resource_server import REVOKE, resource_server


@pytest.fixture
def api(world):
    return resource_server(world)


def minted(world, grant):
    """The ID token of a run, which gets an access token with it."""
    account = Account(world.duo, "duo", is_composite=True)
    with world.components.database.reading_connection() as connection:
        access = decide(connection, account, world.scope, [], issuer=ISSUER, now=world.clock())
    return world.components.mint.for_run(access, [grant], OPERATOR).ids[grant.name]


def revoke(world, token, authorization=None, **form):
    headers = {"Authorization": authorization or world.basic()}
    return world.http.post(REVOKE, data={"token": token, **form}, headers=headers)


@on_every_database
@pytest.mark.spec("RFC 7009", "2", "Revocation takes place immediately.")
@pytest.mark.spec("RFC 7009", "2.2", "200 says that it is revoked; the body is ignored.")
def test_a_client_revokes_its_own_token(world, api):
    token, other = api.token(), api.token()
    answer = revoke(world, token)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    assert not api.is_active(token)
    assert api.is_active(other)
    event = world.in_ledger(answer)
    assert (event.action, event.outcome) == ("tokens:access_token:revoke", "success")
    assert (event.user, event.service_account) == (f"user:{world.alice}", f"service_account:{world.duo}")
    assert event.jti == parts(token)[1]["jti"]


def test_it_may_be_done_again(world, api):
    token = api.token()
    assert [revoke(world, token).status_code for _ in range(2)] == [200, 200]
    assert not api.is_active(token)


@pytest.mark.spec(
    "RFC 7009", "2.2", "An unknown token is answered with 200, for it is as the client wants it."
)
@pytest.mark.parametrize("token", ["unknown", "a.b.c", "x" * 20_000])
def test_an_unknown_token(world, token):
    answer = revoke(world, token)
    assert (answer.status_code, answer.get_json()) == (200, {})
    assert world.in_ledger(answer).outcome == "denied"


def test_a_truncated_token_revokes_nothing(world, api):
    token = api.token()
    assert revoke(world, token[:-1]).status_code == 200
    assert api.is_active(token)


@pytest.mark.spec("RFC 7009", "2.1", "A token of another client's is refused, and the client is told.")
def test_another_clients_token(world, api):
    token = api.token()
    answer = revoke(world, token, api.authorization)
    assert answer.status_code == 400
    assert answer.get_json() == {
        "error": "invalid_grant",
        "error_description": "The token was issued to another client.",
    }
    assert api.is_active(token)
    event = world.in_ledger(answer)
    assert (event.outcome, event.actor) == ("denied", f"service_account:{api.account}")
    assert (event.user, event.service_account) == (f"user:{world.alice}", f"service_account:{world.duo}")


@pytest.mark.spec("RFC 7009", "2.1", "The client authenticates as at the token endpoint.")
@pytest.mark.parametrize("authorization", ["Bearer something", basic("sa_2", "wrong"), basic("nobody", "x")])
def test_a_stranger(world, api, authorization):
    token = api.token()
    answer = revoke(world, token, authorization)
    assert (answer.status_code, answer.get_json()["error"]) == (401, "invalid_client")
    assert api.is_active(token)


@pytest.mark.spec("RFC 7009", "2.1", "token is required.")
def test_without_a_token(world):
    answer = world.http.post(REVOKE, data={"x": "y"}, headers={"Authorization": world.basic()})
    assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_request")


@pytest.mark.spec("RFC 7009", "2.1", "token_type_hint may be ignored, a wrong one too.")
@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "unheard_of"])
def test_a_hint_changes_nothing(world, api, hint):
    token = api.token()
    assert revoke(world, token, token_type_hint=hint).status_code == 200
    assert not api.is_active(token)


@pytest.mark.spec("RFC 7009", "2.2.1", "unsupported_token_type: this kind cannot be revoked.")
def test_an_id_token_whose_verifiers_ask_nobody(world):
    parties = Parties(service_account=world.duo, user=world.alice, delegation=world.delegation)
    grant = IdTokenGrant(
        name="VAULT_ID_TOKEN",
        subject="project_path:acme/webapp:flow:fix-ci",
        audience=("https://vault.acme.example",),
        life=world.components.settings.id_token_ttl,
        claims={},
        parties=parties,
    )
    answer = revoke(world, minted(world, grant).token.reveal())
    assert (answer.status_code, answer.get_json()["error"]) == (400, "unsupported_token_type")
    assert world.in_ledger(answer).user == f"user:{world.alice}"


REFUSE = {
    "sqlite": """CREATE TRIGGER refuse BEFORE INSERT ON {table}
                 BEGIN SELECT RAISE(ABORT, 'the disk is full'); END""",
    "postgresql": """CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
                     $$ BEGIN RAISE EXCEPTION 'the disk is full'; END $$;
                     CREATE TRIGGER refuse BEFORE INSERT ON {table} EXECUTE FUNCTION refuse()""",
}


@on_every_database
@pytest.mark.spec("RFC 7009", "2.2.1", "503: the client must assume that the token is still there.")
@pytest.mark.parametrize("table", ["cut_offs", "audit_events"])
def test_storage_that_fails_is_never_a_success(world, api, backend, table):
    token = api.token()
    with world.components.database.writing_connection() as connection:
        connection.execute(text(REFUSE[backend].format(table=table)))
    answer = revoke(world, token)
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert api.is_active(token)


def test_an_expired_token_is_revoked_like_any(world, api):
    token = api.token()
    world.clock.now = NOW.replace(year=NOW.year + 1)
    assert revoke(world, token).status_code == 200

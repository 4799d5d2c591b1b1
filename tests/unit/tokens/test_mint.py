"""Nothing is issued that is not told of, and nothing that is overtaken before it is committed."""

from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from app.errors import Overtaken
from app.identity import accounts, credentials, delegations
from app.ledger.record import Actor
from app.protocol.oauth_errors import OAuthError
from app.protocol.principals import service_account_principal
from app.signing.algorithms import Algorithm
from app.tokens.assembly import IdTokenGrant, Parties
from app.tokens.grants import Account, GrantRefused, decide
from app.tokens.mint import RunTokens
from app.wiring import Components
from tests.support.components import ISSUER, NOW, OPERATOR, claims_of, on_every_database, parts

REFUSE_AUDIT = {
    "sqlite": """CREATE TRIGGER refuse BEFORE INSERT ON audit_events
                 BEGIN SELECT RAISE(ABORT, 'the disk of the ledger is full'); END""",
    "postgresql": """CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
                     $$ BEGIN RAISE EXCEPTION 'the disk of the ledger is full'; END $$;
                     CREATE TRIGGER refuse BEFORE INSERT ON audit_events EXECUTE FUNCTION refuse()""",
}


@on_every_database
def test_without_its_ledger_row_there_is_no_token(world, backend):
    with world.components.database.writing_connection() as connection:
        connection.execute(text(REFUSE_AUDIT[backend]))
    before = world.events()
    answer = world.ask(scope=world.scope)
    assert answer.status_code >= 500
    assert "access_token" not in answer.text
    assert "ledger" not in answer.text
    assert world.tokens() == []
    assert len(world.events()) == len(before)


@on_every_database
def test_without_its_token_row_there_is_no_ledger_row(world, backend):
    with world.components.database.writing_connection() as connection:
        connection.execute(text(REFUSE_AUDIT[backend].replace("audit_events", "issued_tokens")))
    assert world.ask(scope=world.scope).status_code >= 500
    assert world.events("tokens:access_token:issue") == []


@on_every_database
def test_without_a_ledger_row_a_refusal_is_no_answer_either(world, backend):
    with world.components.database.writing_connection() as connection:
        connection.execute(text(REFUSE_AUDIT[backend]))
    assert world.ask(scope="nonsense").status_code >= 500
    assert world.ask(authorization=world.basic("sa_999")).status_code >= 500


def disable_alice(world):
    world.set_active("alice", active=False)


def disable_duo(world):
    world.set_active("duo", active=False)


def revoke_delegation(world):
    world.change(delegations.revoke, world.delegation)


def revoke_secret(world):
    with world.components.database.reading() as session:
        duo = accounts.find_service_account(session, "duo")
    world.change(credentials.revoke_client_secret, duo, world.secret_id)


@pytest.mark.parametrize(
    ("overtake", "dead"),
    [
        (disable_alice, "user"),
        (disable_duo, "service_account"),
        (revoke_delegation, "delegation"),
        (revoke_secret, "client_secret"),
    ],
)
@on_every_database
def test_what_overtakes_a_decision_before_its_commit_wins(world, overtake, dead):
    def decide_then_overtaken(connection, now):
        grant = decided(world)(connection, now)
        overtake(world)
        return grant

    world.components.keyring.current()
    with pytest.raises(GrantRefused) as refused:
        world.components.mint.access_token(decide_then_overtaken, actor(world))
    assert refused.value.error is OAuthError.INVALID_SCOPE
    assert str(refused.value) == OAuthError.INVALID_SCOPE.description
    assert world.tokens() == []
    [event] = world.events("tokens:access_token:issue")
    assert event.outcome == "denied"
    assert event.detail["cause"] == f"no longer valid: {dead}"
    assert (event.user, event.service_account) == (f"user:{world.alice}", f"service_account:{world.duo}")


@contextmanager
def elsewhere(world):
    """Another node of the same installation: its keys."""
    node = Components(world.components.settings, world.clock)
    yield node.lifecycle
    node.database.dispose()


@on_every_database
@pytest.mark.parametrize(("lag", "by_the_old"), [(4, True), (6, False)])
def test_a_key_that_another_node_has_retired_signs_for_five_seconds_more(world, lag, by_the_old):
    """It stays published until the last token it signed has died."""
    old = world.components.keyring.current().active.kid
    with elsewhere(world) as keys:
        new = keys.rotate(Algorithm.RS256, OPERATOR)
    world.clock.advance(seconds=lag)
    world.components.mint.access_token(decided(world), actor(world))
    [token] = world.tokens()
    assert token.kid == (old if by_the_old else new)


@on_every_database
def test_what_is_signed_with_a_key_that_another_node_has_revoked_is_signed_anew(world):
    old = world.components.keyring.current().active.kid

    def decide_then_overtaken(connection, now):
        grant = decided(world)(connection, now)
        with elsewhere(world) as keys:
            keys.revoke(old, "found in a repository", OPERATOR)
        return grant

    signed = world.components.mint.access_token(decide_then_overtaken, actor(world))
    [token] = world.tokens()
    assert token.kid == parts(signed.token.reveal())[0]["kid"] != old
    [event] = world.events("tokens:access_token:issue")
    assert (event.outcome, event.kid) == ("success", token.kid)


def test_the_operator_issues_by_the_same_rules_in_their_own_name(world):
    def grant(connection, now):
        return decide(connection, account(world), world.scope, [], issuer=ISSUER, now=now)

    signed = world.components.mint.access_token(grant, Actor(name="operator:root"))
    [event] = world.events("tokens:access_token:issue")
    assert (event.actor, event.jti) == ("operator:root", signed.claims["jti"])
    assert parts(signed.token.reveal())[1] == dict(signed.claims)


def test_storage_that_does_not_answer_is_503_with_retry_after(world, tmp_path):
    world.http.get("/.well-known/jwks.json")
    world.components.database.dispose()
    for file in (tmp_path / "var").glob("countersign.sqlite3*"):
        file.unlink()
    answer = world.ask(scope=world.scope)
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.get_json()["error"] == "temporarily_unavailable"
    assert answer.headers["Cache-Control"] == "no-store"


class TestARun:
    """Its access token and ID tokens: all or none."""

    @pytest.fixture
    def mint(self, world):
        def mint(*grants) -> RunTokens:
            return world.components.mint.for_run(access_grant(world), grants, actor(world))

        return mint

    def id_grant(self, world, name="VAULT_ID_TOKEN", *audience, **claims):
        return IdTokenGrant(
            name=name,
            subject="project_path:acme/webapp:flow:fix-ci",
            audience=audience or ("https://vault.example.com",),
            life=timedelta(minutes=15),
            claims=claims,
            parties=Parties(service_account=world.duo, user=world.alice, delegation=world.delegation, run=7),
        )

    @on_every_database
    def test_each_has_its_row_and_its_event(self, world, mint):
        made = mint(self.id_grant(world), self.id_grant(world, "AWS", "sts.amazonaws.com"))
        jtis = {made.access.claims["jti"], *(each.claims["jti"] for each in made.ids.values())}
        assert {row.jti for row in world.tokens()} == jtis
        told = world.events("tokens:id_token:issue") + world.events("tokens:access_token:issue")
        assert {event.jti for event in told} == jtis
        assert [event.detail["name"] for event in world.events("tokens:id_token:issue")] == [
            "AWS",
            "VAULT_ID_TOKEN",
        ]

    @pytest.mark.spec("RFC 7519", "4.1.3", "A single audience is a string, several are a list.")
    def test_one_audience_is_a_string_and_several_are_a_list(self, world, mint):
        made = mint(self.id_grant(world, "ONE", "a"), self.id_grant(world, "TWO", "a", "b"))
        assert [made.ids[name].claims["aud"] for name in ("ONE", "TWO")] == ["a", ["a", "b"]]
        assert sorted(str(row.audience) for row in world.tokens()) == sorted(
            [f"{ISSUER}/api/v1", "a", str(["a", "b"])]
        )

    @pytest.mark.spec("RFC 7519", "5.1", "An ID token's typ is JWT.")
    def test_an_id_token_is_typed_and_lives_as_it_was_told(self, world, mint):
        header, claims = parts(mint(self.id_grant(world)).ids["VAULT_ID_TOKEN"].token.reveal())
        assert header["typ"] == "JWT"
        assert claims["exp"] - claims["iat"] == 15 * 60
        assert "azp" not in claims

    def test_no_claim_of_a_flow_overrides_a_registered_one(self, world, mint):
        hostile = dict.fromkeys(("iss", "sub", "aud", "iat", "nbf", "exp", "jti"), "evil")
        claims = mint(self.id_grant(world, **hostile)).ids["VAULT_ID_TOKEN"].claims
        assert "evil" not in claims.values()

    @on_every_database
    @pytest.mark.parametrize(
        ("overtake", "dead"),
        [
            (disable_alice, "user"),
            (disable_duo, "service_account"),
            (revoke_delegation, "delegation"),
        ],
    )
    def test_what_overtakes_one_overtakes_all(self, world, overtake, dead):
        access, grants = access_grant(world), [self.id_grant(world), self.id_grant(world, "LAST")]
        overtake(world)
        with pytest.raises(Overtaken, match=f"no longer valid: {dead}$"):
            world.components.mint.for_run(access, grants, actor(world))
        self.assert_nothing_is_issued(world)

    @on_every_database
    def test_all_hang_on_one_and_the_same_delegation(self, world, mint):
        good = self.id_grant(world)
        gone = replace(good.parties, delegation=4711)
        with pytest.raises(ValueError, match="different conditions"):
            mint(good, replace(good, name="LAST", parties=gone))
        self.assert_nothing_is_issued(world)

    def assert_nothing_is_issued(self, world):
        assert world.tokens() == []
        for action in ("tokens:id_token:issue", "tokens:access_token:issue"):
            assert world.events(action) == []

    @pytest.mark.parametrize(("left", "lives"), [(60, 60), (899, 899), (900, 900), (1200, 900)])
    def test_an_id_token_never_outlives_the_delegation(self, world, mint, left, lives):
        grant = self.id_grant(world)
        until = world.clock() + timedelta(seconds=left)
        parties = replace(grant.parties, delegation_expires_at=until)
        claims = mint(replace(grant, parties=parties)).ids["VAULT_ID_TOKEN"].claims
        assert claims["exp"] - claims["iat"] == lives
        [expires_at] = [row.expires_at for row in world.tokens() if row.kind == "id"]
        assert expires_at <= until


def account(world):
    return Account(world.duo, "duo", is_composite=True)


def actor(world):
    return Actor(name=service_account_principal(world.duo), request_id="test-request")


def access_grant(world):
    """Of a run, which no client secret proves."""
    with world.components.database.reading_connection() as connection:
        grant = decide(connection, account(world), world.scope, [], issuer=ISSUER, now=NOW)
    return replace(grant, run_id=7)


def decided(world):
    """What the token endpoint decides for duo and alice."""
    return lambda connection, now: replace(
        decide(connection, account(world), world.scope, [], issuer=ISSUER, now=now),
        client_secret_id=world.secret_id,
    )


def test_a_token_of_the_world_is_issued(world):
    """Else the refusals above would show nothing."""
    assert claims_of(world.ask(scope=world.scope))

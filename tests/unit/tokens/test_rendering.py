"""Which audiences have a rendering, and what is never rendered."""

import pytest

from app.errors import InvalidInput
from app.tokens import audiences
from app.tokens.assembly import IdTokenGrant, Parties
from app.tokens.audiences import AudienceKind, Rendering
from app.tokens.grants import Account, decide
from tests.support.components import ISSUER, OPERATOR, claims_of
from tests.support.resource_server import resource_server


def test_a_verifier_audience_has_none(world):
    with pytest.raises(InvalidInput, match="choose api"):
        world.change(
            audiences.register,
            ISSUER,
            "https://vault.acme.example",
            AudienceKind.VERIFIER,
            "RS256",
            [],
            rendering=Rendering.DELEGATED,
        )


def test_our_own_api_is_composite(world):
    assert claims_of(world.ask(scope=world.scope))["sub"] == f"service_account:{world.duo}"


def test_a_runs_access_token_is_rendered_and_its_id_tokens_are_not(world):
    api = resource_server(world, rendering=Rendering.DELEGATED)
    account = Account(world.duo, "duo", is_composite=True)
    with world.components.database.reading_connection() as connection:
        access = decide(connection, account, world.scope, [api.uri], issuer=ISSUER, now=world.clock())
    subject = "project_path:acme/webapp:flow:fix-ci"
    id_token = IdTokenGrant(
        name="VAULT_ID_TOKEN",
        subject=subject,
        audience=("https://vault.acme.example",),
        life=world.components.settings.id_token_ttl,
        claims={"act": {"sub": f"service_account:{world.duo}"}},
        parties=Parties(service_account=world.duo, user=world.alice, delegation=world.delegation),
    )
    made = world.components.mint.for_run(access, [id_token], OPERATOR)
    assert made.access.claims["sub"] == f"user:{world.alice}"
    assert made.ids["VAULT_ID_TOKEN"].claims["sub"] == subject

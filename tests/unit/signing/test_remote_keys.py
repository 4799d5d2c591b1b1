"""Keys of a keystore that signs by itself (transit): seen late, or lost there."""

import pytest

from app import wiring
from app.signing.algorithms import Algorithm
from app.signing.keystores import KeystoreError
from app.tokens.grants import Account, decide
from app.wiring import Components
from tests.support.components import ISSUER, OPERATOR, inhabited, settings_for
from tests.unit.signing.keysets import key, states, told

RS256 = Algorithm.RS256


@pytest.fixture
def nodes(peopled, tmp_path, clock, transit_tenancy, monkeypatch):
    """Two over one database, whose keys were made in transit, however long a busy machine takes for one."""
    monkeypatch.setattr(wiring, "_TRANSIT_SECONDS", 60.0)
    with inhabited(peopled, tmp_path, clock) as world:
        settings = settings_for(
            tmp_path,
            KEYSTORE="transit",
            TRANSIT_URL=transit_tenancy.server.address,
            TRANSIT_MOUNT=transit_tenancy.mount,
            TRANSIT_TOKEN=transit_tenancy.token.reveal(),
        )
        both = [Components(settings, clock) for _ in range(2)]
        for _ in range(2):
            both[0].lifecycle.rotate(RS256, OPERATOR, override="into transit")
        yield *both, Account(world.duo, "duo", is_composite=True), world.scope
        for each in both:
            each.database.dispose()


def test_a_node_that_has_yet_to_follow_a_revocation_issues_all_the_same(nodes):
    """In transit the revoked key is gone at once."""
    here, there, duo, scope = nodes

    def issue() -> None:
        there.mint.access_token(
            lambda connection, now: decide(connection, duo, scope, [], issuer=ISSUER, now=now), OPERATOR
        )

    issue()
    before = there.keyring.current().active.kid
    here.lifecycle.revoke(before, "leaked", OPERATOR)
    issue()
    assert there.keyring.current().active.kid == here.keyring.current().active.kid != before


def test_a_next_key_that_is_lost_there_does_not_become_active(nodes, transit_tenancy):
    here, *_ = nodes
    lost, before = key(here, "next"), states(here)
    transit = transit_tenancy.root.secrets.transit
    transit.update_key_configuration(lost.reference, deletion_allowed=True, mount_point=transit_tenancy.mount)
    transit.delete_key(lost.reference, mount_point=transit_tenancy.mount)
    with pytest.raises(KeystoreError, match=lost.reference):
        here.lifecycle.rotate(RS256, OPERATOR, override="a drill")
    assert states(here) == before


def test_a_retired_key_stays_there_for_as_long_as_clocks_may_differ(nodes, clock):
    here, *_ = nodes
    here.lifecycle.rotate(RS256, OPERATOR, override="a drill")
    clock.advance(seconds=125)
    here.upkeep.keep()
    kept = {row.kid for row in here.keyring.history() if row.state == "retired" and row.destroyed_at is None}
    assert len(kept) == 1
    clock.advance(minutes=1)
    here.upkeep.keep()
    assert kept < {row.kid for row in told(here, "destroy")}

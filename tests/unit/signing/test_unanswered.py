"""A request for a signature whose process died before it told of the outcome."""

from dataclasses import replace

from app.ledger.actions import AuditAction, Outcome
from app.ledger.record import record
from tests.support.components import OPERATOR, on_every_database

REQUEST, ISSUE = AuditAction.SIGNATURE_REQUEST, AuditAction.ACCESS_TOKEN_ISSUE


def tell(world, jti, *actions, outcome=Outcome.SUCCESS):
    asked = OPERATOR.did(REQUEST, world.clock(), jti=jti, kid="k", project="acme/webapp", detail={"sub": "s"})
    with world.components.database.writing_connection() as connection:
        record(connection, asked, *(replace(asked, action=each, outcome=outcome) for each in actions))


def failed(world):
    return [row for row in world.events(REQUEST) if row.outcome == "failed"]


@on_every_database
def test_it_gets_one_failed_row_ten_minutes_later(world):
    tell(world, "lost")
    tell(world, "issued", ISSUE)
    tell(world, "refused", ISSUE, outcome=Outcome.FAILED)
    world.components.upkeep.keep()
    assert failed(world) == []
    world.clock.advance(minutes=10)
    world.components.upkeep.keep()
    [row] = failed(world)
    assert (row.jti, row.kid, row.project, row.actor) == ("lost", "k", "acme/webapp", "worker")
    assert row.detail["sub"] == "s"
    assert "given to nobody" in row.detail["error"]
    del world.components.upkeep  # another worker, which has seen nothing yet
    for _ in range(2):
        world.clock.advance(minutes=1)
        world.components.upkeep.keep()
    assert len(failed(world)) == 1


def test_one_after_the_other(world):
    for number in range(3):
        tell(world, str(number))
        world.clock.advance(minutes=2)
        world.components.upkeep.keep()
    world.clock.advance(minutes=8)
    world.components.upkeep.keep()
    assert [row.jti for row in failed(world)] == ["2", "1", "0"]


def test_a_node_whose_clock_is_slow_is_told_of_as_any_other(world):
    """Even by more than the patience: the next looks see it, though they have been further already."""
    world.components.upkeep.keep()
    world.clock.advance(minutes=-9)
    tell(world, "slow, and not dead")
    world.clock.advance(minutes=9, seconds=10)
    world.components.upkeep.keep()
    assert failed(world) == []
    world.clock.advance(minutes=-14)
    tell(world, "slower")
    world.clock.advance(minutes=14)
    world.components.upkeep.keep()
    assert [row.jti for row in failed(world)] == ["slower"]

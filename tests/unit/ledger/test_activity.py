"""What happened hour by hour: counted once when an hour is over, and as if it were counted anew."""

from datetime import timedelta

from sqlalchemy import event

from app.ledger.actions import AuditAction, Outcome
from app.ledger.activity import Activity
from app.ledger.record import record
from tests.support.components import OPERATOR, on_every_database

TOLD = (
    (AuditAction.ACCESS_TOKEN_ISSUE, Outcome.SUCCESS),
    (AuditAction.ACCESS_TOKEN_ISSUE, Outcome.DENIED),
    (AuditAction.ID_TOKEN_ISSUE, Outcome.FAILED),
    (AuditAction.RUN_CREATE, Outcome.SUCCESS),
)


def tell(components, *, ago):
    with components.database.writing() as session:
        record(session, *(OPERATOR.did(what, components.clock() - ago, outcome=how) for what, how in TOLD))


def counted(components, activity, hours=24):
    with components.database.reading() as session:
        return activity.by_hour(session, components.clock(), hours)


@on_every_database
def test_what_is_remembered_is_what_whoever_begins_now_counts(components, clock):
    """Although rows come late: of a node whose clock is behind, or of a slow transaction."""
    activity = Activity()
    for minutes in (0, 20, 43, 1, 4, 70, 9 * 60, 30 * 60):
        clock.advance(minutes=minutes)
        tell(components, ago=timedelta(minutes=4))
        for hours in (1, 24, 48):
            assert counted(components, activity, hours) == counted(components, Activity(), hours)
    assert [hour.tokens for hour in counted(components, activity, 48)].count(1) >= 3


def test_an_hour_that_is_over_is_not_counted_again(components, clock):
    activity, spans = Activity(), []
    clock.advance(minutes=6)
    event.listen(
        components.database.engine, "before_cursor_execute", lambda *said: spans.append(len(said[3]))
    )
    counted(components, activity)
    counted(components, activity)
    first, second = [length for length in spans if length > 5][:2]
    assert first - second == 2 * 23

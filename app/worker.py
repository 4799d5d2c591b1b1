"""The background process of a node: keeps house, and executes the runs that wait.

Its housekeeping may be done by any node, any number of times; a run is executed by the one that took it.
"""

import logging
import signal
import threading
from collections.abc import Callable
from datetime import timedelta

from sqlalchemy.exc import SQLAlchemyError

from app.clock import Clock
from app.db import Database
from app.errors import Refusal
from app.flows import idempotency, log, runs
from app.flows.execution import end_orphans
from app.flows.executors.local import LocalExecutor
from app.flows.taker import Taker
from app.flows.vault_leftovers import VaultLeftovers
from app.identity import sign_in_upkeep
from app.ledger.checkpoints import Checkpoints
from app.ledger.key import LedgerKeyError
from app.signing.upkeep import Upkeep

_EVERY_SECONDS = 10.0
_LEAP = runs.ABANDONED_AFTER / 3
_log = logging.getLogger(__name__)


def work(
    database: Database,
    clock: Clock,
    executor: LocalExecutor,
    checkpoints: Checkpoints,
    keys: Upkeep,
    log_retention: timedelta,
    taker: Taker,
    leftovers: VaultLeftovers,
) -> None:
    """Until told to stop; a database that does not answer is tried again. A worker that takes no runs any
    more ends, so that another is started.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with taker.taking():
        time_leapt = False
        while not stop.is_set() and taker.is_taking:
            keep_house(database, clock, executor, log_retention, time_leapt=time_leapt)
            for chore in (leftovers.end_soon, keys.keep, lambda: _seal(checkpoints.make_if_due)):
                _attempt(chore)
            time_leapt = rest(stop, clock)
    _attempt(lambda: _seal(checkpoints.make))


def keep_house(
    database: Database,
    clock: Clock,
    executor: LocalExecutor,
    log_retention: timedelta,
    *,
    time_leapt: bool = False,
) -> None:
    """``time_leapt``: nobody who lives can have been heard of, so nobody is taken for dead."""

    def remove_logs() -> None:
        if removed := log.remove_old(database, clock() - log_retention, clock()):
            _log.info("the logs of %d runs were removed: they ended more than %s ago", removed, log_retention)

    _attempt(lambda: _tell_ended(end_orphans(database, executor, clock())))
    if not time_leapt:
        _attempt(lambda: _tell_ended(runs.fail_abandoned(database, clock())))
    _attempt(lambda: idempotency.forget_old(database, clock()))
    _attempt(lambda: sign_in_upkeep.forget_old(database, clock()))
    _attempt(remove_logs)


def rest(stop: threading.Event, clock: Clock) -> bool:
    """Until the next round; whether far more time went by: the clock was set, or this host slept."""
    before = clock()
    stop.wait(_EVERY_SECONDS)
    return clock() - before > _LEAP


def _tell_ended(runs_ended: int) -> None:
    if runs_ended:
        _log.warning("%d runs had lost their process and are ended as failed", runs_ended)


def _attempt(chore: Callable[[], object]) -> None:
    """What one chore cannot do now is done at the next round, and the others at this."""
    try:
        chore()
    except SQLAlchemyError as error:
        _log.warning("housekeeping waits for the database: %s", type(error).__name__)
    except (Refusal, OSError) as error:
        _log.error("housekeeping: %s", error)


def _seal(checkpoint: Callable[[], object]) -> None:
    """Without its key the ledger goes on, unsigned; the house is kept all the same."""
    try:
        checkpoint()
    except LedgerKeyError as error:
        _log.error("the ledger gets no checkpoint: %s", error)

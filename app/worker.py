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
from app.flows.executors.local import LocalExecutor
from app.flows.taker import Taker
from app.flows.vault_leftovers import VaultLeftovers
from app.ledger.checkpoints import Checkpoints
from app.ledger.key import LedgerKeyError
from app.signing.upkeep import Upkeep

_EVERY_SECONDS = 10.0
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
    """Until told to stop; a database that does not answer is tried again."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with taker.taking():
        while not stop.is_set():
            try:
                keep_house(database, clock, executor, log_retention)
                leftovers.end_soon()
                keep_keys(keys)
                _seal(checkpoints.make_if_due)
            except SQLAlchemyError as error:
                _log.warning("housekeeping waits for the database: %s", type(error).__name__)
            stop.wait(_EVERY_SECONDS)
    try:
        _seal(checkpoints.make)
    except SQLAlchemyError as error:
        _log.warning("no last checkpoint of the ledger: %s", type(error).__name__)


def keep_house(database: Database, clock: Clock, executor: LocalExecutor, log_retention: timedelta) -> None:
    now = clock()
    orphans = runs.fail_orphans(database, executor.remove_leftovers(), now)
    if ended := orphans + runs.fail_abandoned(database, now):
        _log.warning("%d runs had lost their process and are ended as failed", ended)
    idempotency.forget_old(database, now)
    if removed := log.remove_old(database, now - log_retention, now):
        _log.info("the logs of %d runs were removed: they ended more than %s ago", removed, log_retention)


def keep_keys(keys: Upkeep) -> None:
    try:
        keys.keep()
    except (Refusal, OSError) as error:
        _log.error("signing keys are not kept: %s", error)


def _seal(checkpoint: Callable[[], object]) -> None:
    """Without its key the ledger goes on, unsigned; the house is kept all the same."""
    try:
        checkpoint()
    except LedgerKeyError as error:
        _log.error("the ledger gets no checkpoint: %s", error)

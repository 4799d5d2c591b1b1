"""The background process of a node: keeps house. Its work may be done by any node, any number of times."""

import logging
import signal
import threading
from collections.abc import Callable
from datetime import timedelta

from sqlalchemy.exc import SQLAlchemyError

from app.clock import Clock
from app.db import Database
from app.errors import Refusal
from app.flows import log, runs
from app.flows.executors.local import LocalExecutor
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
) -> None:
    """Keeps house until told to stop; a database that does not answer is tried again."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    while not stop.is_set():
        try:
            keep_house(database, clock, executor, log_retention)
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
    if ended := runs.fail_abandoned(database, clock()):
        _log.warning("%d runs had lost their process and are ended as failed", ended)
    executor.remove_leftovers()
    now = clock()
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

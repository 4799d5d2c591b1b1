"""The background process of a node: keeps house. Its work may be done by any node, any number of times."""

import logging
import signal
import threading

from sqlalchemy.exc import SQLAlchemyError

from app.flows import runs
from app.wiring import Components

_EVERY_SECONDS = 10.0
_log = logging.getLogger(__name__)


def work(components: Components, stop: threading.Event) -> None:
    """Keeps house until told to stop; a database that does not answer is tried again."""
    while not stop.is_set():
        try:
            keep_house(components)
        except SQLAlchemyError as error:
            _log.warning("housekeeping waits for the database: %s", type(error).__name__)
        stop.wait(_EVERY_SECONDS)


def keep_house(components: Components) -> None:
    if ended := runs.fail_abandoned(components.database, components.clock()):
        _log.warning("%d runs had lost their process and are ended as failed", ended)
    components.executor.remove_leftovers()


def main(components: Components) -> None:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    work(components, stop)

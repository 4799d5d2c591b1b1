"""A database that does not answer is no fault of a run's: it is put up with, but not for ever."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.errors import Refusal

NO_ANSWER = (OperationalError, InterfaceError, PoolTimeout)
_LONGEST_SECONDS = 30.0
"""With one more wait for an answer, well below ``runs.ABANDONED_AFTER``."""
_PAUSE_SECONDS = 0.5
_log = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")


class DatabaseAway(Refusal):
    def __init__(self) -> None:
        super().__init__("the database did not answer")


class Outage:
    """Of one thing that is asked again and again; ``DatabaseAway`` once it has failed for too long."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._since: float | None = None

    @contextmanager
    def put_up_with(self) -> Iterator[None]:
        """What is done in it may have failed, and be done again."""
        try:
            yield
        except NO_ANSWER as error:
            self._endure(error)
        else:
            self._since = None

    def outlast(self, do: Callable[[], _Answer]) -> _Answer:
        """Does it until the database answers."""
        while True:
            try:
                answer = do()
            except NO_ANSWER as error:
                self._endure(error)
                time.sleep(_PAUSE_SECONDS)
            else:
                self._since = None
                return answer

    def _endure(self, error: Exception) -> None:
        now = self._monotonic()
        if self._since is None:
            self._since = now
            _log.warning("the database does not answer: %s", type(error).__name__)
        if now - self._since >= _LONGEST_SECONDS:
            raise DatabaseAway from None

"""How long we wait for PostgreSQL, by our own clock.

``statement_timeout`` is the server's to keep: one that hangs and holds on to its sockets, stopped or behind a
stalled disk, would keep the one thread of a web worker for ever, and discovery with it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection, Engine, event, text

_Result = TypeVar("_Result")
_POLL_SECONDS = 0.1  # psycopg's own: how soon Ctrl-C is noticed
_PROMPTLY = 2.0
"""Seconds: for what takes no time, and for the server's own refusal of what takes too long to arrive."""
_PATIENCE = "SELECT extract(epoch FROM current_setting('statement_timeout')::interval)::float8"


class Impatient(psycopg.Connection[Any]):
    """Closes itself when the server does not answer in time, for nobody knows what it is at; the pool then
    discards it. ``seconds`` is for a statement in a transaction; outside of one the pool pings.
    """

    seconds: float | None = None

    def wait(
        self, gen: PQGen[_Result], interval: float = _POLL_SECONDS, timeout: float | None = None
    ) -> _Result:
        limit = timeout or (_PROMPTLY if self.autocommit else self.seconds)
        try:
            return super().wait(gen, interval, limit)
        except psycopg.OperationalError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self.close()
            raise


def keep(engine: Engine) -> None:
    """Each connection waits a little longer than the server lets a statement take, whoever has set that."""

    @event.listens_for(engine, "do_connect")
    def connect(_dialect: object, _record: object, arguments: list[Any], parameters: dict[str, Any]) -> Any:
        connection = Impatient.connect(*arguments, **parameters, autocommit=True)
        [patience] = connection.execute(_PATIENCE).fetchone() or [0.0]
        connection.seconds = patience + _PROMPTLY if patience else None
        connection.autocommit = False
        return connection


@contextmanager
def lifted(connection: Connection) -> Iterator[None]:
    """In this transaction neither side has a limit, for locks neither."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, Impatient)  # noqa: S101 - of an engine that `keep` was told of
    connection.execute(text("SET LOCAL lock_timeout = 0"))
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    driver.seconds, seconds = None, driver.seconds
    try:
        yield
    finally:
        driver.seconds = seconds

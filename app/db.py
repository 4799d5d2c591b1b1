"""The database: one engine, two kinds of transaction, and the schema's common ground."""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    BigInteger,
    Connection,
    DateTime,
    Dialect,
    Integer,
    MetaData,
    TypeDecorator,
    create_engine,
    event,
    make_url,
    text,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.types import JSON

from app.forks import renewed_in_children
from app.prepared import driver_cursor

_MIGRATIONS = Path(__file__).parent.parent / "migrations"
_MIGRATION_LOCK = 0x636F756E  # any constant: the advisory lock under which one node migrates


class UtcTime(TypeDecorator[datetime]):
    """An aware time in UTC, to the microsecond, on databases with and without zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - signature
        if value is not None and value.tzinfo is None:
            raise ValueError("a time without a zone")
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - signature
        return (
            None
            if value is None
            else value.replace(tzinfo=UTC)
            if value.tzinfo is None
            else value.astimezone(UTC)
        )


_NUMBER = BigInteger().with_variant(Integer(), "sqlite")  # the ledger outgrows 32 bits; SQLite's has 64


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's form
        int: _NUMBER,
        datetime: UtcTime,
        dict[str, Any]: JSON,
        list[str]: JSON(none_as_null=True),
    }


@dataclass(frozen=True, kw_only=True)
class Patience:
    """Seconds until a database that keeps us waiting counts as one that does not answer; 0 is for ever."""

    connect: int
    lock: int
    statement: int


IN_A_REQUEST = Patience(connect=3, lock=2, statement=5)
"""While one request waits its web worker answers no other, discovery included."""
AT_LEISURE = Patience(connect=10, lock=10, statement=0)
"""For the command line and the worker: an export may take its time."""


class Database:
    """Opens transactions. Reading ones see one snapshot; writing ones hold SQLite's only writer lock
    from their first statement, so that what they check still holds when they commit.
    """

    def __init__(self, url: str, patience: Patience = AT_LEISURE) -> None:
        self.url = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        options: dict[str, Any] = {"hide_parameters": True, "json_serializer": _json}
        if self.is_sqlite:
            self.engine = create_engine(self.url, **options)
            event.listen(self.engine, "connect", partial(_sqlite_on_connect, patience.lock))
            event.listen(self.engine, "begin", _sqlite_on_begin)
        else:
            from app import db_deadline  # psycopg, which nobody on SQLite needs

            options |= {"pool_pre_ping": True, "pool_timeout": patience.connect}
            self.engine = create_engine(_with_timeouts(self.url, patience), **options)
            db_deadline.keep(self.engine)
        self._writing = self.engine.execution_options(writing=True)
        one_snapshot = {} if self.is_sqlite else {"isolation_level": "REPEATABLE READ"}
        self._reading = self.engine.execution_options(**one_snapshot)
        renewed_in_children(self, lambda database: database.engine.dispose(close=False))

    @contextmanager
    def reading(self) -> Iterator[Session]:
        with Session(self._reading, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Commits at the end; rolls back on any exception."""
        with Session(self._writing, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def reading_connection(self) -> Iterator[Connection]:
        """Core alone, for the token path: the ORM costs as much there as the signature."""
        with self._reading.connect() as connection:
            yield connection

    @contextmanager
    def writing_connection(self) -> Iterator[Connection]:
        with self._writing.begin() as connection:
            yield connection

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """For a whole request of the token path: to take one from the pool costs more than to read. What
        ``Prepared.rows`` reads on it is a snapshot each; what is to be written goes through ``writing_on``.
        """
        with self.engine.connect() as connection:
            yield connection

    @contextmanager
    def writing_on(self, connection: Connection) -> Iterator[None]:
        """A transaction as that of ``writing_connection``; whatever the connection was reading has ended."""
        connection.rollback()
        connection.execution_options(writing=True)
        try:
            with connection.begin():
                yield
        finally:
            connection.execution_options(writing=False)

    def upgrade(self, revision: str = "head") -> None:
        """Migrates, in one transaction, one node at a time, for as long as it takes."""
        with self._migrating() as connection:
            _alembic("upgrade", connection, revision)

    def downgrade(self, revision: str) -> None:
        with self._migrating() as connection:
            _alembic("downgrade", connection, revision)

    @contextmanager
    def _migrating(self) -> Iterator[Connection]:
        """SQLite makes a table anew to change a column: who refers to it is checked in the end ("Making Other
        Kinds Of Table Schema Changes", https://sqlite.org/lang_altertable.html).
        """
        with self._writing.connect() as connection:
            if self.is_sqlite:
                _sqlite_pragma(connection, "foreign_keys=OFF")
                _sqlite_pragma(
                    connection, f"busy_timeout={2**31 - 1}"
                )  # milliseconds: until others have migrated
            try:
                with connection.begin(), self._without_limits(connection):
                    if not self.is_sqlite:
                        lock = text("SELECT pg_advisory_xact_lock(:lock)")
                        connection.execute(lock, {"lock": _MIGRATION_LOCK})
                    yield connection
                    if self.is_sqlite and connection.execute(text("PRAGMA foreign_key_check")).first():
                        raise AssertionError("a migration has left rows that refer to nothing")
            finally:
                if self.is_sqlite:
                    connection.invalidate()  # the next connection keeps foreign keys again

    def at_head(self) -> bool:
        """Whether the schema is the one that this code was written for; false too when nothing answers."""
        try:
            with self.reading_connection() as connection:
                current = connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
        except SQLAlchemyError:
            return False
        return current == [head()]

    def dispose(self) -> None:
        self.engine.dispose()

    def _without_limits(self, connection: Connection) -> AbstractContextManager[None]:
        if self.is_sqlite:
            return nullcontext()
        from app import db_deadline

        return db_deadline.lifted(connection)


@cache
def head() -> str:
    """The newest revision, as its file is named: to ask Alembic would load it into every web worker."""
    return max(path.name.partition("_")[0] for path in (_MIGRATIONS / "versions").glob("[0-9]*.py"))


def _alembic(task: str, connection: Connection, revision: str) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    getattr(command, task)(config, revision)


def sqlite_url(home_dir: Path) -> str:
    return f"sqlite:///{(home_dir / 'countersign.sqlite3').absolute()}"


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True, allow_nan=False)


def _with_timeouts(url: URL, patience: Patience) -> URL:
    """Whatever the URL says itself stays; ``tcp_user_timeout`` is for a host that vanished (libpq)."""
    waits = {"connect_timeout": str(patience.connect), "tcp_user_timeout": f"{patience.lock}000"}
    options = f"-c lock_timeout={patience.lock}s -c statement_timeout={patience.statement}s"
    own = dict(url.query)
    return url.set(query=waits | own | {"options": f"{options} {own.get('options', '')}".rstrip()})


def _sqlite_on_connect(lock_seconds: int, connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver must not open transactions of its own
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout={lock_seconds}000",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _sqlite_pragma(connection: Connection, pragma: str) -> None:
    """Outside of any transaction, where alone some take effect."""
    cursor = connection.connection.cursor()
    cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _sqlite_on_begin(connection: Connection) -> None:
    writing = connection.get_execution_options().get("writing", False)
    begin = "BEGIN IMMEDIATE" if writing else "BEGIN"
    with driver_cursor(connection, begin) as cursor:
        cursor.execute(begin)

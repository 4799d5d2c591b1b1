"""A ledger that several writers wrote, and what an editor may do to it behind its back."""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from typing import Any

from sqlalchemy import delete, insert, select, text

from app.ledger.actions import AuditAction, Outcome
from app.ledger.models import AuditRow, LedgerCheckpoint, LedgerHead, LedgerWriter
from app.ledger.record import AuditEvent, record
from app.ledger.report import Report
from app.ledger.verification import verify
from app.wiring import Components

EVENTS = AuditRow.__table__
TABLES = (LedgerWriter.__table__, LedgerCheckpoint.__table__, LedgerHead.__table__, EVENTS)


class GivenUp(Exception):  # noqa: N818 - nothing is wrong
    """Ends a transaction without a commit."""


def chances(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - a test repeats itself


def event(components: Components, chance: random.Random) -> AuditEvent:
    maybe = [None, "user:1", "service_account:2", "grüße 'ß' \"\\", ""]
    return AuditEvent(
        at=components.clock(),
        action=chance.choice(list(AuditAction)),
        outcome=chance.choice(list(Outcome)),
        actor="operator:tester",
        user=chance.choice(maybe),
        service_account=chance.choice(maybe),
        project=chance.choice([None, "acme/webapp"]),
        run=chance.choice([None, 1, 2**31 - 1]),
        jti=chance.choice([None, str(chance.random())]),
        detail=chance.choice([{}, {"names": ["a", "b"], "n": 1.5, "deep": {"none": None, "yes": True}}]),
    )


def write(components: Components, seed: int, *, writers: int = 3, transactions: int = 8) -> None:
    """Several threads at once; a transaction has up to three events, and one in four is given up."""
    with ThreadPoolExecutor(writers) as pool:
        list(pool.map(lambda one: _write(components, seed * 100 + one, transactions), range(writers)))


def _write(components: Components, seed: int, transactions: int) -> None:
    chance = chances(seed)
    for number in range(transactions):
        with suppress(GivenUp), components.database.writing() as session:
            for _ in range(chance.randint(1, 3)):
                record(session, event(components, chance))
            if number and chance.random() < 0.25:
                raise GivenUp


def verified(components: Components, **more: Any) -> Report:
    more.setdefault("kept", components.checkpoints.kept.read())
    return verify(components.database, components.ledger_key.public, **more)


def rows(components: Components) -> list[dict[str, Any]]:
    """Chain by chain."""
    with components.database.reading_connection() as connection:
        query = select(EVENTS).order_by(EVENTS.c.writer, EVENTS.c.seq)
        return [dict(row) for row in connection.execute(query).mappings()]


def is_row(row: dict[str, Any]) -> Any:
    return (EVENTS.c.writer == row["writer"]) & (EVENTS.c.seq == row["seq"])


class Editor:
    """Whoever holds the database: no constraint of ours stops them."""

    def __init__(self, components: Components) -> None:
        self._connection = components.database.engine.connect()
        self._connection.detach()
        if components.database.is_sqlite:
            cursor = self._connection.connection.cursor()  # a pragma has no effect in a transaction
            cursor.execute("PRAGMA foreign_keys=OFF")
            cursor.execute("PRAGMA synchronous=OFF")
        else:
            self.do("SET session_replication_role = replica")

    def do(self, statement: Any, *arguments: Any) -> None:
        if isinstance(statement, str):
            statement = text(statement)
        with closing(self._connection.execute(statement, *arguments)):
            pass
        self._connection.commit()

    def change(self, row: dict[str, Any], **values: Any) -> None:
        self.do(EVENTS.update().where(is_row(row)).values(**values))

    def remove(self, *gone: dict[str, Any]) -> None:
        for row in gone:
            self.do(delete(EVENTS).where(is_row(row)))

    def put(self, *new: dict[str, Any]) -> None:
        self.do(insert(EVENTS), list(new))

    @contextmanager
    def trying(self) -> Iterator[None]:
        """Afterwards the ledger is as it was before."""
        kept = [[dict(row) for row in self._connection.execute(select(table)).mappings()] for table in TABLES]
        self._connection.commit()
        yield
        for table in reversed(TABLES):
            self.do(delete(table))
        for table, content in zip(TABLES, kept, strict=True):
            if content:
                self.do(insert(table), content)

    def close(self) -> None:
        self._connection.close()

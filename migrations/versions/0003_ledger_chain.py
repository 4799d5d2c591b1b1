"""The ledger is chained: writers, hashes, checkpoints; rows that are there become the first writer's chain"""

from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Any

import orjson
import sqlalchemy as sa
from alembic import op

from app.db import UtcTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_BATCH = 1000
_ORDER = ("at", "writer", "seq")
_SEARCHED = (("user",), ("service_account",), ("project",), ("run",), ("jti",), ("service_account", "user"))


def upgrade() -> None:
    connection = op.get_bind()
    kept = _set_aside("id")
    writers = op.create_table(
        "ledger_writers",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("started_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_writers")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_ledger_writers_started_at"), "ledger_writers", ["started_at"])
    events = op.create_table(
        "audit_events",
        sa.Column("writer", NUMBER, nullable=False),
        sa.Column("seq", NUMBER, autoincrement=False, nullable=False),
        *_content(),
        sa.Column("hash", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["writer"], ["ledger_writers.id"], name=op.f("fk_audit_events_writer_ledger_writers")
        ),
        sa.PrimaryKeyConstraint("writer", "seq", name=op.f("pk_audit_events")),
    )
    _create_checkpoints()
    _begin_writer(connection, writers, kept)
    _copy(_chained(connection, writers, _rows(connection, kept, "id")), events)
    kept.drop(connection)
    for names in _SEARCHED:
        _partial_index(names, " AND ".join(f'"{name}" IS NOT NULL' for name in names))
    _partial_index(("outcome",), "outcome <> 'success'")
    op.create_index("ix_audit_events_at", "audit_events", _ORDER)
    op.create_index("ix_audit_events_action", "audit_events", ["action", *_ORDER])


def downgrade() -> None:
    connection = op.get_bind()
    kept = _set_aside(*_ORDER[1:])
    events = op.create_table(
        "audit_events",
        sa.Column("id", NUMBER, nullable=False),
        *_content(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_events")),
        sqlite_autoincrement=True,
    )
    rows = _rows(connection, kept, *_ORDER)
    _copy(({name: row[name] for name in row if name not in {"writer", "seq"}} for row in rows), events)
    kept.drop(connection)
    for name in ("actor", "at", "jti", "project", "run", "service_account", "user"):
        op.create_index(f"ix_audit_events_{name}", "audit_events", [name, "id"])
    for table in ("ledger_heads", "ledger_checkpoints", "ledger_writers"):
        op.drop_table(table)


def _content() -> list[sa.Column[Any]]:
    return [
        sa.Column("at", UtcTime(), nullable=False),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("action", "outcome", "actor")),
        *(sa.Column(name, sa.String(), nullable=True) for name in ("user", "service_account", "project")),
        sa.Column("run", NUMBER, nullable=True),
        *(sa.Column(name, sa.String(), nullable=True) for name in ("jti", "kid", "request_id")),
        sa.Column("detail", sa.JSON(), nullable=False),
    ]


def _create_checkpoints() -> None:
    op.create_table(
        "ledger_checkpoints",
        sa.Column("id", NUMBER, autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("previous", sa.String(), nullable=True),
        sa.Column("pruned", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("signature", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_checkpoints")),
    )
    op.create_index(op.f("ix_ledger_checkpoints_at"), "ledger_checkpoints", ["at"])
    op.create_table(
        "ledger_heads",
        sa.Column("writer", NUMBER, autoincrement=False, nullable=False),
        sa.Column("seq", NUMBER, autoincrement=False, nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("checkpoint", NUMBER, nullable=False),
        sa.ForeignKeyConstraint(
            ["checkpoint"],
            ["ledger_checkpoints.id"],
            name=op.f("fk_ledger_heads_checkpoint_ledger_checkpoints"),
        ),
        sa.PrimaryKeyConstraint("writer", "seq", name=op.f("pk_ledger_heads")),
    )
    op.create_index(op.f("ix_ledger_heads_checkpoint"), "ledger_heads", ["checkpoint"])


def _partial_index(names: tuple[str, ...], where: str) -> None:
    op.create_index(
        f"ix_audit_events_{'_'.join(names)}",
        "audit_events",
        [*names, *_ORDER],
        sqlite_where=sa.text(where),
        postgresql_where=sa.text(where),
    )


def _set_aside(*key: str) -> sa.Table:
    """The events in a table without name or index that the new one would clash with."""
    op.execute("CREATE TABLE audit_events_kept AS SELECT * FROM audit_events")
    op.drop_table("audit_events")
    numbers = (sa.Column(name, NUMBER) for name in key)
    return sa.Table("audit_events_kept", sa.MetaData(), *numbers, *_content())


def _rows(connection: sa.Connection, kept: sa.Table, *order: str) -> Iterator[dict[str, Any]]:
    """In this order, streamed."""
    query = sa.select(kept).order_by(*(kept.c[name] for name in order))
    with connection.execute(query, execution_options={"yield_per": _BATCH}) as result:
        for row in result.mappings():
            yield {str(name): value for name, value in row.items()}


def _begin_writer(connection: sa.Connection, writers: sa.Table, kept: sa.Table) -> None:
    """None if there are no rows. No row of a chain may be older than its writer."""
    oldest = connection.scalar(sa.select(sa.func.min(kept.c.at)))
    if oldest is not None:
        connection.execute(sa.insert(writers).values(id=1, started_at=oldest))


def _chained(
    connection: sa.Connection, writers: sa.Table, rows: Iterable[dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    started_at = connection.scalar(sa.select(writers.c.started_at))
    previous = _hash("", {"writer": 1, "started_at": started_at})
    for seq, row in enumerate(rows, 1):
        del row["id"]
        row |= {"writer": 1, "seq": seq}
        previous = row["hash"] = _hash(previous, row)
        yield row


def _hash(previous: str, columns: Mapping[str, Any]) -> str:
    """The chain's rule as it was then: what it may become must not change what this writes."""
    present = {name: value for name, value in columns.items() if value is not None}
    canonical = orjson.dumps(present, option=orjson.OPT_SORT_KEYS | orjson.OPT_UTC_Z)
    return sha256(previous.encode() + canonical).hexdigest()


def _copy(rows: Iterable[dict[str, Any]], table: sa.Table) -> None:
    batch: list[dict[str, Any]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == _BATCH:
            op.bulk_insert(table, batch)
            batch = []
    if batch:
        op.bulk_insert(table, batch)

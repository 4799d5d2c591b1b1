"""Numbered self-checks: what would become an outage is found before it does."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from app.errors import Refusal
from app.wiring import Components


@dataclass(frozen=True)
class Check:
    """``fault`` says what is wrong and what to do; ``None`` is well."""

    number: int
    name: str
    fault: str | None


def readiness(components: Components) -> Iterator[Check]:
    """What must hold for a token to be issued."""
    at_head = components.database.at_head()
    yield Check(1, "database", None if at_head else "not reachable or not migrated: countersign db upgrade")
    yield Check(2, "signing key", _key_fault(components) if at_head else "not known without a database")


def all_checks(components: Components) -> Iterator[Check]:
    yield from readiness(components)
    mode = components.settings.keys_dir.stat().st_mode if components.settings.keys_dir.exists() else 0
    loose = [path.name for path in components.settings.keys_dir.glob("*.pem") if path.stat().st_mode & 0o077]
    writable = "writable by others: chmod go-w" if mode & 0o022 else None
    yield Check(
        3, "keys directory", f"readable by others: chmod 600 {' '.join(loose)}" if loose else writable
    )
    yield Check(4, "local runs", _local_runs_fault(components))


def _key_fault(components: Components) -> str | None:
    try:
        components.keyring.current()
    except (Refusal, SQLAlchemyError) as fault:
        return str(fault) if isinstance(fault, Refusal) else "the database does not answer"
    return None


def _local_runs_fault(components: Components) -> str | None:
    try:
        return components.executions.local_runs_refused
    except Refusal as refusal:
        return str(refusal)

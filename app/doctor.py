"""Numbered self-checks: what would become an outage is found before it does."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from app.db import Database
from app.errors import Refusal
from app.ledger.key import FILE_NAME as LEDGER_KEY
from app.signing.keyring import Keyring


@dataclass(frozen=True)
class Check:
    """``fault`` says what is wrong and what to do; ``None`` is well."""

    number: int
    name: str
    fault: str | None


def readiness(database: Database, keyring: Keyring) -> Iterator[Check]:
    """What must hold for a token to be issued."""
    at_head = database.at_head()
    yield Check(1, "database", None if at_head else "not reachable or not migrated: countersign db upgrade")
    yield Check(2, "signing key", _key_fault(keyring) if at_head else "not known without a database")


def all_checks(
    database: Database, keyring: Keyring, keys_dir: Path, why_no_local_runs: Callable[[], str | None]
) -> Iterator[Check]:
    yield from readiness(database, keyring)
    yield Check(3, "keys directory", _keys_dir_fault(keys_dir))
    yield Check(4, "local runs", _refusal_of(why_no_local_runs))
    yield Check(5, "unknown keys", _unknown_keys_fault(keyring, keys_dir))


def _key_fault(keyring: Keyring) -> str | None:
    try:
        keyring.current()
    except Refusal as refusal:
        return str(refusal)
    except SQLAlchemyError:
        return "the database does not answer"
    return None


def _keys_dir_fault(keys_dir: Path) -> str | None:
    loose = [path.name for path in keys_dir.glob("*.pem") if path.stat().st_mode & 0o077]
    if loose:
        return f"others can read private keys: chmod 600 {' '.join(loose)}"
    mode = keys_dir.stat().st_mode if keys_dir.exists() else 0
    return f"others can write to it: chmod go-w {keys_dir}" if mode & 0o022 else None


def _unknown_keys_fault(keyring: Keyring, keys_dir: Path) -> str | None:
    try:
        known = {row.kid for row in keyring.history()}
    except SQLAlchemyError:
        return "not known without a database"
    files = (path for path in keys_dir.glob("*.pem") if path.name != LEDGER_KEY)
    unknown = sorted(path.name for path in files if path.stem not in known)
    if not unknown:
        return None
    return f"this database knows no key of {' '.join(unknown)}: was it replaced, or is the key another's?"


def _refusal_of(why_not: Callable[[], str | None]) -> str | None:
    try:
        return why_not()
    except Refusal as refusal:
        return str(refusal)

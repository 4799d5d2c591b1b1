"""Numbered self-checks: what would become an outage is found before it does."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from app.db import Database
from app.errors import Refusal
from app.ledger.key import FILE_NAME as LEDGER_KEY
from app.signing.algorithms import ALWAYS
from app.signing.keyring import Keyring
from app.signing.keystores import KeystoreName, Keystores
from app.signing.keystores.checking import faults
from app.signing.models import SIGNING


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


def warnings(keyring: Keyring, overdue_before: datetime) -> Iterator[Check]:
    """What works, but not for long, or not for every algorithm; as far as this process has seen it."""
    yield Check(6, "signing key age", _age_fault(keyring, overdue_before))
    yield Check(7, "keystores", _others_fault(keyring))


def all_checks(
    database: Database,
    keyring: Keyring,
    keystores: Keystores,
    keys_dir: Path,
    why_no_local_runs: Callable[[], str | None],
    overdue_before: datetime,
    *,
    secret_files: Iterable[Path],
    open_ledger_key: Callable[[], object],
) -> Iterator[Check]:
    yield from readiness(database, keyring)
    yield Check(3, "keys directory", _keys_dir_fault(keys_dir))
    yield Check(4, "local runs", _refusal_of(why_no_local_runs))
    yield Check(5, "unknown keys", _unknown_keys_fault(keyring, keys_dir))
    yield Check(6, "signing key age", _age_fault(keyring, overdue_before))
    yield Check(7, "keystores", _keystores_fault(keyring, keystores))
    yield Check(8, "secret files", _secret_files_fault(secret_files))
    yield Check(9, "ledger key", _ledger_key_fault(open_ledger_key))
    yield Check(10, "vault tokens", _vault_tokens_fault(database))


def _key_fault(keyring: Keyring) -> str | None:
    try:
        keyring.current().active  # noqa: B018 - raises what is wrong with it
    except Refusal as refusal:
        return str(refusal)
    except SQLAlchemyError:
        return "the database does not answer"
    return None


def _age_fault(keyring: Keyring, overdue_before: datetime) -> str | None:
    try:
        old = [key.kid for key in keyring.current().actives.values() if key.since < overdue_before]
    except (Refusal, SQLAlchemyError):
        return None  # told of by another check
    if not old:
        return None
    return f"past COUNTERSIGN_KEY_ROTATION_PERIOD: {' '.join(old)}: countersign keys rotate"


def _others_fault(keyring: Keyring) -> str | None:
    try:
        actives = keyring.current().actives
    except (Refusal, SQLAlchemyError):
        return None  # told of by another check
    told = (key.fault for alg, key in actives.items() if key.fault and (alg != ALWAYS or key.signer))
    return "; ".join(told) or None


def _keys_dir_fault(keys_dir: Path) -> str | None:
    loose = [path.name for path in keys_dir.glob("*.pem") if path.stat().st_mode & 0o077]
    if loose:
        return f"others can read private keys: chmod 600 {' '.join(loose)}"
    mode = keys_dir.stat().st_mode if keys_dir.exists() else 0
    return f"others can write to it: chmod go-w {keys_dir}" if mode & 0o022 else None


def _secret_files_fault(files: Iterable[Path]) -> str | None:
    """What is mounted read-only, as orchestrators do it, has the mode that they gave it."""
    loose = [str(path) for path in files if path.stat().st_mode & 0o037 and not _is_read_only(path)]
    return f"others can read or write secrets: chmod g-wx,o= {' '.join(loose)}" if loose else None


def _is_read_only(path: Path) -> bool:
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)


def _ledger_key_fault(open_ledger_key: Callable[[], object]) -> str | None:
    try:
        open_ledger_key()
    except Refusal as refusal:
        return str(refusal)
    except OSError as error:
        return f"{LEDGER_KEY} cannot be read: {error.strerror}"
    return None


def _unknown_keys_fault(keyring: Keyring, keys_dir: Path) -> str | None:
    try:
        rows = keyring.history()
    except SQLAlchemyError:
        return "not known without a database"
    known = {row.kid for row in rows}
    signing = {row.kid for row in rows if row.keystore == KeystoreName.FILES and row.state in SIGNING}
    files = sorted(path for path in keys_dir.glob("*.pem") if path.name != LEDGER_KEY)
    if unknown := [path.name for path in files if path.stem not in known]:
        return f"this database knows no key of {' '.join(unknown)}: was it replaced, or is the key another's?"
    if needless := [path.name for path in files if path.stem not in signing]:
        return f"keys that were moved away or sign no more are still in {' '.join(needless)}: delete them"
    return None


def _keystores_fault(keyring: Keyring, keystores: Keystores) -> str | None:
    try:
        return "; ".join(dict.fromkeys(faults(keyring.history(), keystores))) or None
    except SQLAlchemyError:
        return "not known without a database"


def _vault_tokens_fault(database: Database) -> str | None:
    from app.flows.vault_leftovers import left_behind  # no web worker asks

    try:
        with database.reading() as session:
            left = left_behind(session)
            servers = sorted({str(kept.server["url"]) for kept in left})
    except SQLAlchemyError:
        return "not known without a database"
    if not left:
        return None
    return (
        f"{len(left)} of runs that have ended are not revoked yet: the worker tries again until they are, "
        f"or their token_ttl is over; does it reach {' '.join(servers)}?"
    )


def _refusal_of(why_not: Callable[[], str | None]) -> str | None:
    try:
        return why_not()
    except Refusal as refusal:
        return str(refusal)

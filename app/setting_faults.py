"""What is wrong with settings that are each well formed: together, behind an https issuer, or on this disk.

A setting that is at fault by itself is absent from ``values``; one that is not set is ``None``.
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import make_url

from app.secret import Secret

PREFIX = "COUNTERSIGN_"
_PUBLISH_LEAD_FLOOR = timedelta(minutes=30)
_BESIDE_MAX_AGE = timedelta(seconds=65)
"""By which clocks of two nodes may differ, a minute, and in which a node follows a change of keys."""
_ROTATION_PERIOD_FLOOR = timedelta(days=4)
"""A retired key stays published for up to 25 hours; with three algorithms, as many as the JWKS has room for,
one at a time can.
"""
_LOGINS = (("transit_token",), ("transit_role_id", "transit_secret_id"), ("transit_role", "transit_jwt"))
_NETWORK_FILESYSTEMS = {"nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "lustre", "glusterfs", "fuse.sshfs"}


def is_production(issuer: str) -> bool:
    return issuer.startswith("https:")


def production_faults(values: Mapping[str, Any]) -> Iterator[str]:
    """What an https issuer demands beyond well-formed settings."""
    if not is_production(values.get("issuer", "")):
        return
    for name in ("keys_passphrase", "secret_key"):
        if values.get(name, ...) is None:
            variable = PREFIX + name.upper()
            yield f"{variable} is required behind an https issuer: set it, or {variable}_FILE"
    if values["debug"]:
        yield "FLASK_DEBUG must be off behind an https issuer"
    yield from schedule_faults(values)
    if "database_url" in values:
        yield from _network_disk_faults(values["database_url"], values["home_dir"])


def schedule_faults(values: Mapping[str, Any]) -> Iterator[str]:
    """By what a verifier could meet a key that it has not fetched, or no key could be rotated in time."""
    lead, max_age = values.get("key_publish_lead"), values.get("jwks_max_age")
    period = values.get("key_rotation_period")
    if lead is not None and lead < _PUBLISH_LEAD_FLOOR:
        yield f"{PREFIX}KEY_PUBLISH_LEAD is at least 30m behind an https issuer: verifiers cache the JWKS"
    if lead is not None and max_age is not None and max_age + _BESIDE_MAX_AGE > lead:
        yield (
            f"{PREFIX}JWKS_MAX_AGE is at least 65s less than {PREFIX}KEY_PUBLISH_LEAD, or a key signs before "
            "whoever keeps the JWKS for so long has fetched it: lower the one or raise the other"
        )
    if period is not None and period < _ROTATION_PERIOD_FLOOR:
        yield (
            f"{PREFIX}KEY_ROTATION_PERIOD is at least 4d behind an https issuer, or retired keys fill the "
            "JWKS: each stays there for a day after its last token"
        )


def keystore_faults(values: Mapping[str, Any]) -> Iterator[str]:
    """What a keystore needs, and one way to log in to it."""
    keystore = values.get("keystore")
    if keystore == "database" and values.get("key_encryption_key", ...) is None:
        yield (
            f"{PREFIX}KEY_ENCRYPTION_KEY is required by the database keystore: set it, or "
            f"{PREFIX}KEY_ENCRYPTION_KEY_FILE"
        )
    old = values.get("key_encryption_key_old")
    if old is not None and values.get("key_encryption_key", ...) in {None, old}:
        yield f"{PREFIX}KEY_ENCRYPTION_KEY_OLD is another key than {PREFIX}KEY_ENCRYPTION_KEY, beside it"
    url = values.get("transit_url", ...)
    if keystore == "transit" and url is None:
        yield f"{PREFIX}TRANSIT_URL is required by the transit keystore"
    if url is not None and not _one_login(values):
        yield (
            f"{PREFIX}TRANSIT_URL needs one way to log in: TRANSIT_TOKEN, or TRANSIT_ROLE_ID and "
            "TRANSIT_SECRET_ID, or TRANSIT_ROLE and TRANSIT_JWT"
        )


def _one_login(values: Mapping[str, Any]) -> bool:
    """Whether one of three is complete and no other is begun."""
    begun = [way for way in _LOGINS if any(values.get(name, ...) is not None for name in way)]
    return len(begun) == 1 and all(values.get(name, ...) is not None for name in begun[0])


def _network_disk_faults(database_url: Secret | None, home_dir: Path) -> Iterator[str]:
    url = make_url(database_url.reveal()) if database_url else None
    if url is None:
        name, path = "HOME_DIR", home_dir
    elif url.get_backend_name() == "sqlite":
        name, path = "DATABASE_URL", Path(url.database or "")
    else:
        return
    if _on_network_disk(path):
        yield f"{PREFIX}{name} is on a network disk, where SQLite loses data: use PostgreSQL"


def _on_network_disk(path: Path) -> bool:
    mounts = (line.split(" ")[1:3] for line in Path("/proc/self/mounts").read_text().splitlines())
    holding = [(mount, kind) for mount, kind in mounts if path.resolve().is_relative_to(mount)]
    return max(holding, key=lambda held: len(held[0]), default=("", ""))[1] in _NETWORK_FILESYSTEMS

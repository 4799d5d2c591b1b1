"""Settings: the only reader of the environment, and of the files it points to.

Every fault is found before any is reported, so that one start names them all.
"""

import binascii
import difflib
import ipaddress
import os
import pwd
import re
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from app.clock import parse_duration
from app.errors import InvalidInput
from app.protocol.issuer_identifier import check_issuer, is_loopback
from app.secret import Secret

PREFIX = "COUNTERSIGN_"
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?"
_HOST_NAME = re.compile(rf"(?=.{{1,253}}$)(?:{_LABEL}\.)*(?!(?:[0-9]+|0x[0-9a-f]*)$){_LABEL}", re.IGNORECASE)
_PUBLISH_LEAD_FLOOR = timedelta(minutes=30)
_BESIDE_MAX_AGE = timedelta(seconds=65)
"""By which clocks of two nodes may differ, a minute, and in which a node follows a change of keys."""
_ROTATION_PERIOD_FLOOR = timedelta(days=4)
"""A retired key stays published for up to 25 hours; with three algorithms, as many as the JWKS has room for,
one at a time can.
"""
_KEY_ENCRYPTION_KEY_BYTES = 32
_LOGINS = (("transit_token",), ("transit_role_id", "transit_secret_id"), ("transit_role", "transit_jwt"))
_NETWORK_FILESYSTEMS = {"nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "lustre", "glusterfs", "fuse.sshfs"}


class SettingsError(InvalidInput):
    """All that is wrong with the settings, a line each."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        raise ValueError("is a list of networks such as 10.0.0.0/8, separated by commas") from None


def _host_or_network(text: str) -> str:
    """A host name (RFC 1123 §2.1) or a network, as ``flows.outbound`` reads it."""
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        if not (text.isascii() and _HOST_NAME.fullmatch(text)):
            raise ValueError("is a list of host names and networks, separated by commas") from None
    return text


def _database_url(text: str) -> Secret:
    """Never repeats it: SQLAlchemy's own words would, password and all."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ValueError("is not a URL such as postgresql+psycopg://user:password@host/name") from None
    backend, _, driver = url.drivername.partition("+")
    if backend == "postgresql" and driver in {"", "psycopg"}:
        return Secret(url.set(drivername="postgresql+psycopg").render_as_string(hide_password=False))
    if backend != "sqlite" or driver not in {"", "pysqlite"}:
        raise ValueError("begins with postgresql+psycopg: or sqlite:")
    file = url.database or ""
    if url.set(drivername="sqlite") != URL.create("sqlite", database=file) or file.startswith((":", "file:")):
        raise ValueError(
            "names a file when it is SQLite's, and no more: sqlite:////var/lib/countersign.sqlite3"
        )
    return Secret(text)


def _account(text: str) -> str:
    try:
        return pwd.getpwnam(text).pw_name
    except (KeyError, ValueError):
        raise ValueError("is an account of this machine: create it") from None


def _choice(*allowed: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"is one of: {', '.join(allowed)}")
        return text

    return check


def _bounded(low: str, high: str) -> Callable[[str], timedelta]:
    def check(text: str) -> timedelta:
        value = parse_duration(text)
        if not parse_duration(low) <= value <= parse_duration(high):
            raise ValueError(f"is between {low} and {high}")
        return value

    return check


def _count_to(most: int) -> Callable[[str], int]:
    def check(text: str) -> int:
        if not re.fullmatch(r"[1-9][0-9]{0,5}", text, re.ASCII) or int(text) > most:
            raise ValueError(f"is a whole number from 1 to {most}")
        return int(text)

    return check


def _rsa_key_size(text: str) -> int:
    return int(_choice("2048", "3072", "4096")(text))


def _secret(minimum: int) -> Callable[[str], Secret]:
    def check(text: str) -> Secret:
        if len(text) < minimum:
            raise ValueError(f"has at least {minimum} characters")
        return Secret(text)

    return check


def _key_encryption_key(text: str) -> Secret:
    try:
        raw = b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != _KEY_ENCRYPTION_KEY_BYTES:
        raise ValueError("is 32 random bytes in base64: openssl rand -base64 32")
    return Secret(text)


def _vault_url(text: str) -> str:
    """Never repeats it, for it may hold a password; ``flows.target`` is as strict about the rest."""
    try:
        parts = urlsplit(text)
    except ValueError:
        parts = urlsplit("")
    safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
    if not (safe and parts.hostname) or "@" in text or parts.query or parts.fragment:
        raise ValueError("is a URL such as https://vault.example.com:8200; http on loopback alone")
    return text.rstrip("/")


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _setting(parse: Callable[[str], Any], default: str | None, text: str, *, secret: bool = False) -> Any:
    """A field whose metadata is its documentation; ``secret`` ones can also come from ``…_FILE``."""
    return field(metadata={"parse": parse, "default": default, "text": text, "secret": secret})


@dataclass(frozen=True, kw_only=True)
class Settings:
    issuer: str = _setting(
        check_issuer,
        "http://localhost:8000",
        "The issuer identifier: what verifiers are configured with, and `iss` in every token. "
        "Never taken from a request.",
    )
    database_url: Secret | None = _setting(
        _database_url,
        None,
        "URL of the database; without it SQLite under `HOME_DIR`. "
        "PostgreSQL: `postgresql+psycopg://user:password@host/name`; SQLite: `sqlite:////path/of/file`.",
        secret=True,
    )
    home_dir: Path = _setting(
        Path, "./var", "Where the SQLite database, runs and generated development secrets live."
    )
    keys_dir: Path = _setting(
        Path, "./keys", "Where the `files` keystore keeps encrypted private signing keys."
    )
    keys_passphrase: Secret | None = _setting(
        _secret(16),
        None,
        "Encrypts the private keys in `KEYS_DIR`. Required behind an https issuer; "
        "on loopback one is generated under `HOME_DIR`.",
        secret=True,
    )
    secret_key: Secret | None = _setting(
        _secret(32),
        None,
        "Key of the web framework's signed cookies. Required behind an https issuer; generated on loopback.",
        secret=True,
    )
    trusted_proxies: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = _setting(
        lambda text: tuple(_network(word) for word in _words(text)),
        "",
        "Networks (CIDR, separated by commas) of reverse proxies whose `X-Request-Id` is believed.",
    )
    keystore: Literal["files", "database", "transit"] = _setting(
        _choice("files", "database", "transit"),
        "files",
        "Where private signing keys are made: `files` under `KEYS_DIR`, the `database`, sealed under "
        "`KEY_ENCRYPTION_KEY`, or the `transit` engine of a Vault or OpenBao, which signs and never gives "
        "them away. A key stays where it was made until `countersign keys move`.",
    )
    key_encryption_key: Secret | None = _setting(
        _key_encryption_key,
        None,
        "Seals the private keys of the `database` keystore: 32 random bytes in base64 "
        "(`openssl rand -base64 32`), the same on every node.",
        secret=True,
    )
    key_encryption_key_old: Secret | None = _setting(
        _key_encryption_key,
        None,
        "The key-encryption key that is being replaced, until `countersign keys rewrap` is done.",
        secret=True,
    )
    transit_url: str | None = _setting(
        _vault_url, None, "Address of the Vault or OpenBao of the `transit` keystore, https or on loopback."
    )
    transit_mount: str = _setting(str, "transit", "Mount of its transit engine.")
    transit_namespace: str | None = _setting(str, None, "Its namespace, where it has some.")
    transit_ca_file: Path | None = _setting(
        Path, None, "PEM file of an authority that its certificate is trusted by, beside the system's."
    )
    transit_token: Secret | None = _setting(
        _secret(1),
        None,
        "Its token, renewed while that is possible. One of three ways to log in; what a `…_FILE` holds "
        "is read anew whenever this node logs in.",
        secret=True,
    )
    transit_role_id: str | None = _setting(
        str, None, "Its AppRole to log in with; needs `TRANSIT_SECRET_ID`."
    )
    transit_secret_id: Secret | None = _setting(_secret(1), None, "The AppRole's secret id.", secret=True)
    transit_role: str | None = _setting(
        str, None, "Role of its `jwt` or `kubernetes` method to log in with; needs `TRANSIT_JWT`."
    )
    transit_jwt: Secret | None = _setting(
        _secret(1),
        None,
        "The JWT to log in with, such as a Kubernetes service account's token (`…_FILE`).",
        secret=True,
    )
    transit_auth_mount: str | None = _setting(
        str, None, "Mount of the method to log in by; without it `approle` or `jwt`."
    )
    audiences: Literal["open", "registered"] = _setting(
        _choice("open", "registered"),
        "open",
        "`open`: a flow may declare any audience that is not reserved; "
        "`registered`: only registered verifier audiences.",
    )
    outbound_allow: tuple[str, ...] = _setting(
        lambda text: tuple(_host_or_network(word) for word in _words(text)),
        "",
        "Host names and networks, separated by commas, that secrets and Git repositories may be fetched from "
        "although private.",
    )
    aws_endpoint_url: str | None = _setting(
        _vault_url,
        None,
        "Where AWS's STS and Secrets Manager both are, for trying out: https, or on loopback.",
    )
    local_executor_user: str | None = _setting(
        _account,
        None,
        "Account that steps of the local executor run as. Required for local runs behind an https issuer.",
    )
    key_publish_lead: timedelta = _setting(
        _bounded("1s", "30d"),
        "24h",
        "How long a signing key is public before it may sign; behind https 30m at least.",
    )
    key_rotation_period: timedelta = _setting(
        _bounded("1s", "1000d"),
        "90d",
        "How long a signing key signs before it is due to be rotated; behind https 4d at least.",
    )
    rsa_key_size: int = _setting(
        _rsa_key_size, "2048", "Bits of RSA keys that are made from now on: 2048, 3072 or 4096."
    )
    jwks_max_age: timedelta = _setting(
        _bounded("0s", "24h"),
        "15m",
        "`max-age` of the discovery document and the JWKS; behind https at least 65s less than "
        "`KEY_PUBLISH_LEAD`.",
    )
    access_token_ttl: timedelta = _setting(_bounded("1m", "1h"), "10m", "Life of an access token.")
    id_token_ttl: timedelta = _setting(
        _bounded("1m", "1h"), "10m", "Life of an ID token whose declaration names none."
    )
    session_idle: timedelta = _setting(
        _bounded("5m", "24h"), "1h", "How long a session of the console goes without use before it ends."
    )
    session_life: timedelta = _setting(
        _bounded("15m", "30d"), "12h", "When a session of the console ends, counted from the sign-in."
    )
    log_retention: timedelta = _setting(
        _bounded("1h", "3650d"), "90d", "How long a run's log is kept after its end; the run itself stays."
    )
    runs_per_node: int = _setting(
        _count_to(32), "4", "How many runs the worker process of a node executes at once."
    )
    runs_per_project: int = _setting(
        _count_to(999),
        "10",
        "How many runs of a project go on at once, on all nodes together; `countersign project concurrency` "
        "gives a project a number of its own. Further ones wait.",
    )
    queue_per_project: int = _setting(
        _count_to(99_999),
        "100",
        "How many runs of a project may wait for a worker process; a further start is refused.",
    )
    web_workers: int | None = _setting(
        _count_to(999), None, "Web worker processes; without it one per core on PostgreSQL, one on SQLite."
    )
    log_level: str = _setting(
        _choice("debug", "info", "warning", "error"), "info", "Least severity that is logged."
    )
    debug: bool = field(
        default=False, metadata={"text": "Flask's debug mode, from `FLASK_DEBUG`; refused behind https."}
    )

    secret_files: Mapping[str, Path] = field(default_factory=dict)
    """By setting, the ``…_FILE`` paths that they were read from: nobody else may read them."""

    def read_again(self, name: str) -> Secret:
        """A secret setting as its file has it now; ``ValueError`` if it cannot be read, or is malformed."""
        path = self.secret_files.get(name)
        secret: Secret = (
            getattr(self, name) if path is None else declared()[name]["parse"](_file_content(str(path)))
        )
        return secret

    @property
    def production(self) -> bool:
        """Whether this is no trial: an https issuer, wherever it is."""
        return _is_production(self.issuer)

    @property
    def doubts(self) -> tuple[str, ...]:
        """What is refused behind an https issuer and may be in a trial."""
        return () if self.production else tuple(_schedule_faults(vars(self)))

    @property
    def on_loopback(self) -> bool:
        """Whether the issuer's host is this machine, so that what it talks to may be as well."""
        return is_loopback(urlsplit(self.issuer).hostname or "")

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        """Reads every setting; raises one ``SettingsError`` that names all faults."""
        faults = list(_unknown(environ))
        values: dict[str, Any] = {
            "debug": environ.get("FLASK_DEBUG", "0").lower() not in {"", "0", "false", "no"},
            "secret_files": {
                name: Path(environ[variable])
                for name, variable in _file_variables().items()
                if variable in environ
            },
        }
        for name, metadata in declared().items():
            try:
                values[name] = _read(name, metadata, environ)
            except ValueError as error:
                faults.append(f"{PREFIX}{name.upper()} {error}")
        faults += _keystore_faults(values)
        faults += _production_faults(values)
        if faults:
            raise SettingsError(faults)
        return cls(**values)


def declared() -> dict[str, Mapping[str, Any]]:
    """Every ``COUNTERSIGN_…`` setting: field name to its parser, default and documentation."""
    return {
        name: spec.metadata
        for name, spec in Settings.__dataclass_fields__.items()
        if "parse" in spec.metadata
    }


def _file_variables() -> dict[str, str]:
    """Of each secret setting."""
    return {
        name: f"{PREFIX}{name.upper()}_FILE" for name, metadata in declared().items() if metadata["secret"]
    }


def _read(name: str, metadata: Mapping[str, Any], environ: Mapping[str, str]) -> Any:
    variable = PREFIX + name.upper()
    text = environ.get(variable)
    path = environ.get(variable + "_FILE") if metadata["secret"] else None
    if text is not None and path is not None:
        raise ValueError(f"and {variable}_FILE are both set: keep one")
    if path is not None:
        text = _file_content(path)
    if text is None:
        text = metadata["default"]
    return None if text is None or (text == "" and metadata["default"] is None) else metadata["parse"](text)


def _file_content(path: str) -> str:
    try:
        return Path(path).read_text().removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"(…_FILE) cannot be read: {type(error).__name__}") from None


def _unknown(environ: Mapping[str, str]) -> Iterator[str]:
    known = {name.upper() for name in declared()}
    known |= {variable.removeprefix(PREFIX) for variable in _file_variables().values()}
    for variable in sorted(environ):
        name = variable.removeprefix(PREFIX)
        if variable.startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, 1)
            yield f"{variable} is not a setting" + (f": did you mean {PREFIX}{near[0]}?" if near else "")


def _is_production(issuer: str) -> bool:
    return issuer.startswith("https:")


def _production_faults(values: Mapping[str, Any]) -> Iterator[str]:
    """What an https issuer demands beyond well-formed settings; a setting that is at fault is absent."""
    if not _is_production(values.get("issuer", "")):
        return
    for name in ("keys_passphrase", "secret_key"):
        if values.get(name, ...) is None:
            variable = PREFIX + name.upper()
            yield f"{variable} is required behind an https issuer: set it, or {variable}_FILE"
    if values["debug"]:
        yield "FLASK_DEBUG must be off behind an https issuer"
    yield from _schedule_faults(values)
    if "database_url" in values:
        yield from _network_disk_faults(values["database_url"], values["home_dir"])


def _schedule_faults(values: Mapping[str, Any]) -> Iterator[str]:
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


def _keystore_faults(values: Mapping[str, Any]) -> Iterator[str]:
    """A setting that is at fault itself is absent; one that is not set is ``None``."""
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

"""Settings: the only reader of the environment, and of the files it points to.

Every fault is found before any is reported, so that one start names them all.
"""

import difflib
import ipaddress
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from app import setting_values as values
from app.errors import InvalidInput
from app.protocol.issuer_identifier import check_issuer, is_loopback
from app.secret import Secret
from app.setting_faults import PREFIX, is_production, keystore_faults, production_faults, schedule_faults


class SettingsError(InvalidInput):
    """All that is wrong with the settings, a line each."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


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
        values.database_url,
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
        values.secret(16),
        None,
        "Encrypts the private keys in `KEYS_DIR`. Required behind an https issuer; "
        "on loopback one is generated under `HOME_DIR`.",
        secret=True,
    )
    secret_key: Secret | None = _setting(
        values.secret(32),
        None,
        "Key of the web framework's signed cookies. Required behind an https issuer; generated on loopback.",
        secret=True,
    )
    trusted_proxies: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = _setting(
        lambda text: tuple(values.network(word) for word in values.words(text)),
        "",
        "Networks (CIDR, separated by commas) of reverse proxies whose `X-Request-Id` is believed.",
    )
    keystore: Literal["files", "database", "transit"] = _setting(
        values.choice("files", "database", "transit"),
        "files",
        "Where private signing keys are made: `files` under `KEYS_DIR`, the `database`, sealed under "
        "`KEY_ENCRYPTION_KEY`, or the `transit` engine of a Vault or OpenBao, which signs and never gives "
        "them away. A key stays where it was made until `countersign keys move`.",
    )
    key_encryption_key: Secret | None = _setting(
        values.key_encryption_key,
        None,
        "Seals the private keys of the `database` keystore: 32 random bytes in base64 "
        "(`openssl rand -base64 32`), the same on every node.",
        secret=True,
    )
    key_encryption_key_old: Secret | None = _setting(
        values.key_encryption_key,
        None,
        "The key-encryption key that is being replaced, until `countersign keys rewrap` is done.",
        secret=True,
    )
    transit_url: str | None = _setting(
        values.vault_url,
        None,
        "Address of the Vault or OpenBao of the `transit` keystore, https or on loopback.",
    )
    transit_mount: str = _setting(str, "transit", "Mount of its transit engine.")
    transit_namespace: str | None = _setting(str, None, "Its namespace, where it has some.")
    transit_ca_file: Path | None = _setting(
        Path, None, "PEM file of an authority that its certificate is trusted by, beside the system's."
    )
    transit_token: Secret | None = _setting(
        values.secret(1),
        None,
        "Its token, renewed while that is possible. One of three ways to log in; what a `…_FILE` holds "
        "is read anew whenever this node logs in.",
        secret=True,
    )
    transit_role_id: str | None = _setting(
        str, None, "Its AppRole to log in with; needs `TRANSIT_SECRET_ID`."
    )
    transit_secret_id: Secret | None = _setting(
        values.secret(1), None, "The AppRole's secret id.", secret=True
    )
    transit_role: str | None = _setting(
        str, None, "Role of its `jwt` or `kubernetes` method to log in with; needs `TRANSIT_JWT`."
    )
    transit_jwt: Secret | None = _setting(
        values.secret(1),
        None,
        "The JWT to log in with, such as a Kubernetes service account's token (`…_FILE`).",
        secret=True,
    )
    transit_auth_mount: str | None = _setting(
        str, None, "Mount of the method to log in by; without it `approle` or `jwt`."
    )
    audiences: Literal["open", "registered"] = _setting(
        values.choice("open", "registered"),
        "open",
        "`open`: a flow may declare any audience that is not reserved; "
        "`registered`: only registered verifier audiences.",
    )
    outbound_allow: tuple[str, ...] = _setting(
        lambda text: tuple(values.host_or_network(word) for word in values.words(text)),
        "",
        "Host names and networks, separated by commas, that secrets and Git repositories may be fetched from "
        "although private.",
    )
    aws_endpoint_url: str | None = _setting(
        values.vault_url,
        None,
        "Where AWS's STS and Secrets Manager both are, for trying out: https, or on loopback.",
    )
    local_executor_user: str | None = _setting(
        values.account,
        None,
        "Account that steps of the local executor run as. Required for local runs behind an https issuer.",
    )
    key_publish_lead: timedelta = _setting(
        values.bounded("1s", "30d"),
        "24h",
        "How long a signing key is public before it may sign; behind https 30m at least.",
    )
    key_rotation_period: timedelta = _setting(
        values.bounded("1s", "1000d"),
        "90d",
        "How long a signing key signs before it is due to be rotated; behind https 4d at least.",
    )
    rsa_key_size: int = _setting(
        values.rsa_key_size, "2048", "Bits of RSA keys that are made from now on: 2048, 3072 or 4096."
    )
    jwks_max_age: timedelta = _setting(
        values.bounded("0s", "24h"),
        "15m",
        "`max-age` of the discovery document and the JWKS; behind https at least 65s less than "
        "`KEY_PUBLISH_LEAD`.",
    )
    access_token_ttl: timedelta = _setting(values.bounded("1m", "1h"), "10m", "Life of an access token.")
    id_token_ttl: timedelta = _setting(
        values.bounded("1m", "1h"), "10m", "Life of an ID token whose declaration names none."
    )
    session_idle: timedelta = _setting(
        values.bounded("5m", "24h"),
        "1h",
        "How long a session of the console goes without use before it ends.",
    )
    session_life: timedelta = _setting(
        values.bounded("15m", "30d"), "12h", "When a session of the console ends, counted from the sign-in."
    )
    log_retention: timedelta = _setting(
        values.bounded("1h", "3650d"),
        "90d",
        "How long a run's log is kept after its end; the run itself stays.",
    )
    runs_per_node: int = _setting(
        values.count_to(32), "4", "How many runs the worker process of a node executes at once."
    )
    runs_per_project: int = _setting(
        values.count_to(999),
        "10",
        "How many runs of a project go on at once, on all nodes together; `countersign project concurrency` "
        "gives a project a number of its own. Further ones wait.",
    )
    queue_per_project: int = _setting(
        values.count_to(99_999),
        "100",
        "How many runs of a project may wait for a worker process; a further start is refused.",
    )
    web_workers: int | None = _setting(
        values.count_to(999),
        None,
        "Web worker processes; without it one per core on PostgreSQL, one on SQLite.",
    )
    log_level: str = _setting(
        values.choice("debug", "info", "warning", "error"), "info", "Least severity that is logged."
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
        return is_production(self.issuer)

    @property
    def doubts(self) -> tuple[str, ...]:
        """What is refused behind an https issuer and may be in a trial."""
        return () if self.production else tuple(schedule_faults(vars(self)))

    @property
    def on_loopback(self) -> bool:
        """Whether the issuer's host is this machine, so that what it talks to may be as well."""
        return is_loopback(urlsplit(self.issuer).hostname or "")

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        """Reads every setting; raises one ``SettingsError`` that names all faults."""
        faults = list(_unknown(environ))
        found: dict[str, Any] = {
            "debug": environ.get("FLASK_DEBUG", "0").lower() not in {"", "0", "false", "no"},
            "secret_files": {
                name: Path(environ[variable])
                for name, variable in _file_variables().items()
                if variable in environ
            },
        }
        for name, metadata in declared().items():
            try:
                found[name] = _read(name, metadata, environ)
            except ValueError as error:
                faults.append(f"{PREFIX}{name.upper()} {error}")
        faults += keystore_faults(found)
        faults += production_faults(found)
        if faults:
            raise SettingsError(faults)
        return cls(**found)


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

"""What a setting may hold: each function takes the text, and its ``ValueError`` says what the setting is."""

import binascii
import ipaddress
import pwd
import re
from base64 import b64decode
from collections.abc import Callable
from datetime import timedelta
from urllib.parse import urlsplit

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from app.clock import parse_duration
from app.protocol.issuer_identifier import is_loopback
from app.secret import Secret

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?"
_HOST_NAME = re.compile(rf"(?=.{{1,253}}$)(?:{_LABEL}\.)*(?!(?:[0-9]+|0x[0-9a-f]*)$){_LABEL}", re.IGNORECASE)
_KEY_ENCRYPTION_KEY_BYTES = 32


def network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        raise ValueError("is a list of networks such as 10.0.0.0/8, separated by commas") from None


def host_or_network(text: str) -> str:
    """A host name (RFC 1123 §2.1) or a network, as ``flows.outbound`` reads it."""
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        if not (text.isascii() and _HOST_NAME.fullmatch(text)):
            raise ValueError("is a list of host names and networks, separated by commas") from None
    return text


def database_url(text: str) -> Secret:
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


def account(text: str) -> str:
    try:
        return pwd.getpwnam(text).pw_name
    except (KeyError, ValueError):
        raise ValueError("is an account of this machine: create it") from None


def choice(*allowed: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"is one of: {', '.join(allowed)}")
        return text

    return check


def bounded(low: str, high: str) -> Callable[[str], timedelta]:
    def check(text: str) -> timedelta:
        value = parse_duration(text)
        if not parse_duration(low) <= value <= parse_duration(high):
            raise ValueError(f"is between {low} and {high}")
        return value

    return check


def count_to(most: int) -> Callable[[str], int]:
    def check(text: str) -> int:
        if not re.fullmatch(r"[1-9][0-9]{0,5}", text, re.ASCII) or int(text) > most:
            raise ValueError(f"is a whole number from 1 to {most}")
        return int(text)

    return check


def rsa_key_size(text: str) -> int:
    return int(choice("2048", "3072", "4096")(text))


def secret(minimum: int) -> Callable[[str], Secret]:
    def check(text: str) -> Secret:
        if len(text) < minimum:
            raise ValueError(f"has at least {minimum} characters")
        return Secret(text)

    return check


def key_encryption_key(text: str) -> Secret:
    try:
        raw = b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != _KEY_ENCRYPTION_KEY_BYTES:
        raise ValueError("is 32 random bytes in base64: openssl rand -base64 32")
    return Secret(text)


def vault_url(text: str) -> str:
    """Never repeats it, for it may hold a password; ``flows.target`` is as strict about the rest."""
    try:
        parts = urlsplit(text)
    except ValueError:
        parts = urlsplit("")
    safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
    if not (safe and parts.hostname) or "@" in text or parts.query or parts.fragment:
        raise ValueError("is a URL such as https://vault.example.com:8200; http on loopback alone")
    return text.rstrip("/")


def words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())

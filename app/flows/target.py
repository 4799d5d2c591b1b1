"""The URL of a server, in one strict grammar: where parsers disagree about a host, checks are bypassed."""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Self

from app.errors import InvalidInput

_PORTS = {"http": 80, "https": 443}
_URL = re.compile(
    r"(https?)://(\[[0-9a-f:.]+]|[^][:/?#@]+)(?::([0-9]{1,5}))?((?:/(?!\.{1,2}(?:/|$))[a-z0-9._~-]+)*)/?",
    re.IGNORECASE,
)
_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?"
_NAME = re.compile(rf"({_LABEL}\.)*{_LABEL}")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LONGEST_NAME = 253


@dataclass(frozen=True)
class Target:
    """Where a URL leads, in one form: lower case, IPv6 without brackets, no slash at the end of `path`."""

    scheme: str
    host: str
    port: int
    path: str

    @classmethod
    def parse(cls, url: str, like: str = "https://vault.example.com") -> Self:
        """Raises InvalidInput that completes "NAME …" and never repeats `url`, which may hold a password."""
        if "@" in url:
            raise InvalidInput("must not contain a user name or password")
        parts = _URL.fullmatch(url) if url.isascii() else None
        if not parts:
            raise InvalidInput(f"must look like {like}, without query, in ASCII (xn--… if need be)")
        scheme, host, port, path = parts[1].lower(), parts[2].lower(), parts[3], parts[4]
        number = _PORTS[scheme] if port is None else int(port)
        if number not in range(1, 65536):
            raise InvalidInput("has a port that is not a number from 1 to 65535")
        return cls(scheme, _host(host), number, path)

    @property
    def netloc(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        return f"{self.scheme}://{self.netloc}"

    @property
    def url(self) -> str:
        return self.origin + self.path


def _host(host: str) -> str:
    """A host name or a usual IP address; resolvers would also take 0x7f.1, 017700000001, 2130706433."""
    if host.startswith("["):
        try:
            return str(IPv6Address(host[1:-1]))
        except ValueError:
            raise InvalidInput("has brackets around what is no IPv6 address") from None
    try:
        return str(IPv4Address(host))
    except ValueError:
        if not is_host_name(host):
            raise InvalidInput(
                "must name a host without a dot at its end, or an IPv4 address as four decimal numbers"
            ) from None
        return host


def is_host_name(host: str) -> bool:
    """RFC 1123 §2.1; a last label that is a number makes an IPv4 address of it (WHATWG URL §3.5)."""
    return (
        len(host) <= _LONGEST_NAME
        and bool(_NAME.fullmatch(host))
        and not _NUMBER.fullmatch(host.rpartition(".")[2])
    )

"""Which addresses secrets may be fetched from, and a `requests.Session` that keeps to it."""

import functools
import queue
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from ipaddress import ip_address, ip_network
from typing import Any

import requests
from requests.structures import CaseInsensitiveDict
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from app.errors import InvalidInput
from app.flows.addresses import Address, Kind, Network, kind_of, plain
from app.flows.target import Target, is_host_name
from app.flows.transport import Limits, OutboundRefusal, PinnedTransport

Resolve = Callable[..., Sequence[tuple[Any, ...]]]
"""`socket.getaddrinfo`, or what answers like it."""

_HEADERS = {
    "User-Agent": "countersign",
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "Connection": "close",
}
_A_LISTED_NAME_OPENS: frozenset[Kind] = frozenset({"private", "shared", "loopback"})


class Outbound:
    """The rule for addresses (INTERFACE.md: `OUTBOUND_ALLOW`), and the only door to them.

    `allow`: host names and networks that are allowed although not public; a name opens private and loopback
    addresses, never link-local ones (cloud metadata): those only a network opens. `allow_loopback`: loopback
    too, and http there. `ca_file`: PEM of an authority trusted beside the system's and the public ones.
    """

    def __init__(
        self,
        allow: Sequence[str],
        *,
        allow_loopback: bool,
        resolve: Resolve = socket.getaddrinfo,
        limits: Limits | None = None,
        ca_file: str | None = None,
    ) -> None:
        self._networks, self._names = _allowed(allow)
        self._allow_loopback = allow_loopback
        self._resolve = resolve
        self._limits = limits or Limits()
        self._ca_file = ca_file

    def session(self, url: str) -> requests.Session:
        """A session for the origin of `url` and no other: its name is looked up now, once, and pinned.

        Raises InvalidInput for what is no such URL, OutboundRefusal for an address that is not allowed.
        """
        target, addresses = self.resolved(url)
        session = requests.Session()
        session.trust_env = False  # no proxies, no .netrc, no CA bundle from the environment
        session.headers = CaseInsensitiveDict({**_HEADERS, "Host": target.netloc})
        session.adapters.clear()
        tls = _tls(self._ca_file) if target.scheme == "https" else None
        session.mount(
            f"{target.origin}/",
            PinnedTransport(target.host, target.port, addresses, tls=tls, limits=self._limits),
        )
        return session

    def resolved(self, url: str) -> tuple[Target, tuple[str, ...]]:
        """Where `url` leads, as of now, for who connects by other means; raises as `session` does."""
        target = Target.parse(url)
        return target, self._addresses(target)

    def _addresses(self, target: Target) -> tuple[str, ...]:
        """All that the name stands for, in the resolver's order; one that is not allowed refuses them all."""
        addresses = dict.fromkeys(plain(found) for found in self._looked_up(target))
        if not addresses:
            raise OutboundRefusal(f"the name {target.host} has no address")
        for address in addresses:
            self._check(target, address)
        return tuple(str(address) for address in addresses)

    def _check(self, target: Target, address: Address) -> None:
        kind = kind_of(address)
        if target.scheme == "http" and not (kind == "loopback" and self._allow_loopback):
            raise OutboundRefusal(
                "it must be https; http is only for loopback, while the issuer itself is there"
            )
        allowed = (
            kind == "public"
            or (kind == "loopback" and self._allow_loopback)
            or (kind in _A_LISTED_NAME_OPENS and target.host in self._names)
            or any(address in network for network in self._networks if network.version == address.version)
        )
        if not allowed:
            raise OutboundRefusal(
                f"{target.host} has a {kind} address, not a public one; "
                "if that is meant, the operator lists it in COUNTERSIGN_OUTBOUND_ALLOW"
            )

    def _looked_up(self, target: Target) -> tuple[str, ...]:
        """A name server can hold `getaddrinfo` up for half a minute, so a thread waits for it."""
        try:
            return (str(ip_address(target.host)),)
        except ValueError:
            answers: queue.SimpleQueue[tuple[str, ...] | None] = queue.SimpleQueue()
        threading.Thread(target=self._look_up, args=(target, answers), daemon=True).start()
        try:
            found = answers.get(timeout=self._limits.connect)
        except queue.Empty:
            raise OutboundRefusal(f"the name {target.host} was not resolved in time") from None
        if found is None:
            raise OutboundRefusal(f"the name {target.host} cannot be resolved")
        return found

    def _look_up(self, target: Target, answers: "queue.SimpleQueue[tuple[str, ...] | None]") -> None:
        try:
            found = self._resolve(target.host, target.port, type=socket.SOCK_STREAM)
            answers.put(tuple(entry[4][0] for entry in found))
        except (OSError, UnicodeError):
            answers.put(None)


@functools.cache
def _tls(ca_file: str | None) -> ssl.SSLContext:
    """One for the process: reading 150 authorities takes longer than a request."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # the default one would heed SSLKEYLOGFILE
    context.load_default_certs()
    context.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)
    if ca_file:
        context.load_verify_locations(ca_file)
    return context


def _allowed(entries: Sequence[str]) -> tuple[tuple[Network, ...], frozenset[str]]:
    networks: list[Network] = []
    names: set[str] = set()
    for entry in entries:
        try:
            networks.append(ip_network(entry, strict=False))
        except ValueError:
            if not is_host_name(entry.lower()):
                raise InvalidInput(
                    f"{entry!r} is neither a host name nor a network such as 10.0.0.0/8"
                ) from None
            names.add(entry.lower())
    return tuple(networks), frozenset(names)

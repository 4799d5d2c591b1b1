"""Reading our own tokens: a compact JWS that this issuer signed, or nothing.

Parsed by hand, for introspection does it at every call. The header says
which of our keys it was and what kind of token it is, and may say nothing else (RFC 8725 §3.1, §3.10).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, Row, bindparam, select

from app.clock import rfc3339
from app.signing.algorithms import Verify, decoded, verifier
from app.signing.keyring import Keyring, KeySnapshot
from app.signing.models import PUBLISHED, SigningKey

_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)", re.ASCII)
_LONGEST = 16_384
_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_GONE = select(SigningKey).where(SigningKey.kid == bindparam("kid"), SigningKey.state.not_in(PUBLISHED))


@dataclass(frozen=True)
class SignedToken:
    """``type`` is the header's ``typ``."""

    type: str
    kid: str
    claims: Mapping[str, Any]


class Reader:
    """Keys are parsed once for each snapshot of the keyring."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self._seen: KeySnapshot | None = None
        self._keys: dict[tuple[str, str], Verify] = {}

    def read(self, token: str) -> SignedToken | None:
        """What a published key of ours has signed, whatever its times say; ``None`` for all else."""
        return _read(token, self._key)

    def _key(self, kid: str, alg: str) -> Verify | None:
        snapshot = self._keyring.current()
        if snapshot is not self._seen:
            self._keys = {(jwk["kid"], jwk["alg"]): verifier(jwk) for jwk in snapshot.public_jwks}
            self._seen = snapshot
        return self._keys.get((kid, alg))


def why_not_read(connection: Connection, token: str) -> str | None:
    """Of what ``Reader.read`` does not take: the key of ours that has signed it, and what became of that.

    ``None`` for what no key that this issuer has taken out of the JWKS has signed.
    """
    found: list[Row[Any]] = []

    def key(kid: str, alg: str) -> Verify | None:
        if _THUMBPRINT.fullmatch(kid):
            found.extend(row for row in connection.execute(_GONE, {"kid": kid}) if row.alg == alg)
        return verifier(found[0].public_jwk) if found else None

    if _read(token, key) is None:
        return None
    [row] = found
    return f"signed with {row.kid}, which was {row.state} at {rfc3339(row.revoked_at or row.removed_at)}"


def _read(token: str, key: Callable[[str, str], Verify | None]) -> SignedToken | None:
    match = _COMPACT.fullmatch(token) if len(token) <= _LONGEST else None
    if match is None:
        return None
    try:
        header, payload, signature = (decoded(part) for part in match.groups())
        kid, alg, kind = _named(orjson.loads(header))
        verify = key(kid, alg)
        if verify is None or not verify(signature, token[: match.end(2)].encode()):
            return None
        return SignedToken(kind, kid, orjson.loads(payload))
    except ValueError:
        return None


def _named(header: Any) -> tuple[str, str, Any]:
    """``kid``, ``alg`` and ``typ``; ``ValueError`` for any other header."""
    match header:
        case {"kid": str(kid), "alg": str(alg), "typ": kind, **more} if not more:
            return kid, alg, kind
    raise ValueError("not one of our headers")

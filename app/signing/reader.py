"""Reading our own tokens: a compact JWS that this issuer signed, or nothing.

Parsed by hand, for introspection does it at every call. The header says
which of our keys it was and what kind of token it is, and may say nothing else (RFC 8725 §3.1, §3.10).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from app.signing.algorithms import Verify, decoded, verifier
from app.signing.keyring import Keyring, KeySnapshot

_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)", re.ASCII)
_LONGEST = 16_384
_HEADER = {"alg", "kid", "typ"}


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
        match = _COMPACT.fullmatch(token) if len(token) <= _LONGEST else None
        if match is None:
            return None
        try:
            header, payload, signature = (decoded(part) for part in match.groups())
            name = orjson.loads(header)
            verify = self._key(name)
            if verify is None or not verify(signature, token[: match.end(2)].encode()):
                return None
            return SignedToken(name["typ"], name["kid"], orjson.loads(payload))
        except ValueError:
            return None

    def _key(self, header: Any) -> Verify | None:
        if not isinstance(header, dict) or header.keys() != _HEADER:
            return None
        snapshot = self._keyring.current()
        if snapshot is not self._seen:
            self._keys = {(jwk["kid"], jwk["alg"]): verifier(jwk) for jwk in snapshot.public_jwks}
            self._seen = snapshot
        kid, alg = header["kid"], header["alg"]
        return self._keys.get((kid, alg)) if isinstance(kid, str) and isinstance(alg, str) else None

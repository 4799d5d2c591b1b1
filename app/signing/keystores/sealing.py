"""Sealing of private keys under a key-encryption key."""

import hashlib
from base64 import b64decode
from dataclasses import dataclass, field

from app.sealing import NONCE_BYTES, Sealer
from app.secret import Secret


@dataclass(frozen=True)
class Sealed:
    """``kek_id`` names the key-encryption key and tells nothing of it."""

    kek_id: str
    nonce: bytes
    ciphertext: bytes


@dataclass(frozen=True)
class KeyEncryptionKey:
    """32 random bytes in base64. What is sealed can be opened by its ``kid`` and ``alg`` alone."""

    key: Secret
    id: str = field(init=False)
    _sealer: Sealer = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        raw = b64decode(self.key.reveal(), validate=True)
        digest = hashlib.sha256(b"countersign key-encryption key\0" + raw).hexdigest()
        object.__setattr__(self, "id", digest[:16])
        object.__setattr__(self, "_sealer", Sealer(raw))

    def seal(self, content: bytes, kid: str, alg: str) -> Sealed:
        sealed = self._sealer.seal(content, _bound_to(kid, alg))
        return Sealed(self.id, sealed[:NONCE_BYTES], sealed[NONCE_BYTES:])

    def open(self, sealed: Sealed, kid: str, alg: str) -> bytes:
        """``cryptography.exceptions.InvalidTag`` for what this key has not sealed for them."""
        return self._sealer.open(sealed.nonce + sealed.ciphertext, _bound_to(kid, alg))


def _bound_to(kid: str, alg: str) -> bytes:
    return f"countersign sealed key\0{kid}\0{alg}".encode()

"""Sealing: AES-256-GCM under a key-encryption key (NIST SP 800-38D)."""

import hashlib
import os
from base64 import b64decode
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.secret import Secret

_NONCE_BYTES = 12


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
    _cipher: AESGCM = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        raw = b64decode(self.key.reveal(), validate=True)
        digest = hashlib.sha256(b"countersign key-encryption key\0" + raw).hexdigest()
        object.__setattr__(self, "id", digest[:16])
        object.__setattr__(self, "_cipher", AESGCM(raw))

    def seal(self, content: bytes, kid: str, alg: str) -> Sealed:
        nonce = os.urandom(_NONCE_BYTES)
        return Sealed(self.id, nonce, self._cipher.encrypt(nonce, content, _bound_to(kid, alg)))

    def open(self, sealed: Sealed, kid: str, alg: str) -> bytes:
        """``cryptography.exceptions.InvalidTag`` for what this key has not sealed for them."""
        return self._cipher.decrypt(sealed.nonce, sealed.ciphertext, _bound_to(kid, alg))


def _bound_to(kid: str, alg: str) -> bytes:
    return f"countersign sealed key\0{kid}\0{alg}".encode()

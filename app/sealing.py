"""Sealing: AES-256-GCM with a random nonce (NIST SP 800-38D §8.2.2)."""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from app.secret import Secret

KEY_BYTES = 32
NONCE_BYTES = 12


class Sealer:
    """What it seals is the nonce, then the ciphertext with its tag; it opens with the same context alone."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, content: bytes, context: bytes) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, content, context)

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """``cryptography.exceptions.InvalidTag`` for what this key has not sealed for that context."""
        if len(sealed) < NONCE_BYTES:
            raise InvalidTag
        return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], context)


def derived_key(secret: Secret, purpose: str) -> bytes:
    """A key of its own for each purpose (RFC 5869): none tells anything of another."""
    hkdf = HKDF(SHA256(), length=KEY_BYTES, salt=None, info=f"countersign {purpose}".encode())
    return hkdf.derive(secret.reveal().encode())

"""Signing: a token is assembled by hand and signed by ``cryptography``, with one key and its ``kid``.

The key is parsed once; a signature is the whole cost of a token (RFC 7515 §5.1).
"""

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256

from app.secret import Secret

_PADDING = PKCS1v15()
_HASH = SHA256()


class Signer:
    """One private key that signs; ``alg`` and ``kid`` stand in every header it writes."""

    alg = "RS256"

    def __init__(self, kid: str, key: RSAPrivateKey) -> None:
        self.kid = kid
        self._key = key
        self._headers: dict[str, bytes] = {}

    def sign(self, token_type: str, claims: Mapping[str, Any]) -> Secret:
        """A compact JWS over the claims; ``token_type`` becomes ``typ``."""
        signing_input = self._header(token_type) + b"." + _base64url(orjson.dumps(claims))
        signature = self._key.sign(signing_input, _PADDING, _HASH)
        return Secret((signing_input + b"." + _base64url(signature)).decode())

    def _header(self, token_type: str) -> bytes:
        if token_type not in self._headers:
            header = {"alg": self.alg, "kid": self.kid, "typ": token_type}
            self._headers[token_type] = _base64url(orjson.dumps(header))
        return self._headers[token_type]


def _base64url(content: bytes) -> bytes:
    return urlsafe_b64encode(content).rstrip(b"=")

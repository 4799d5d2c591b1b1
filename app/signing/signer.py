"""Signing: a token is assembled by hand and signed with one key, its ``alg`` and its ``kid``.

The key is parsed once; a signature is the whole cost of a token (RFC 7515 §5.1).
"""

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Any

import orjson

from app.secret import Secret
from app.signing.algorithms import RawSigner, verifier
from app.signing.keystores import KeystoreError


class Signer:
    """One private key that signs; ``alg`` and ``kid`` stand in every header it writes.

    ``is_remote``: whoever signs is another process; it is told in the ledger before it is asked, and what it
    answers is verified.
    """

    def __init__(self, public_jwk: Mapping[str, str], key: RawSigner, *, is_remote: bool = False) -> None:
        self.kid = public_jwk["kid"]
        self.alg = public_jwk["alg"]
        self.is_remote = is_remote
        self._key = key
        self._verify = verifier(public_jwk) if is_remote else None
        self._headers: dict[str, bytes] = {}

    def sign(self, token_type: str, claims: Mapping[str, Any]) -> Secret:
        """A compact JWS over the claims; ``token_type`` becomes ``typ``."""
        signing_input = self._header(token_type) + b"." + _base64url(orjson.dumps(claims))
        signature = self._key.sign(signing_input)
        if self._verify is not None and not self._verify(signature, signing_input):
            raise KeystoreError(f"the keystore has signed with another key than {self.kid}")
        return Secret((signing_input + b"." + _base64url(signature)).decode())

    def _header(self, token_type: str) -> bytes:
        if token_type not in self._headers:
            header = {"alg": self.alg, "kid": self.kid, "typ": token_type}
            self._headers[token_type] = _base64url(orjson.dumps(header))
        return self._headers[token_type]


def _base64url(content: bytes) -> bytes:
    return urlsafe_b64encode(content).rstrip(b"=")

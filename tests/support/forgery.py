"""Tokens that our issuer never signed, made from one that it did."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

Json = dict[str, Any]


def encoded(part: bytes | Json) -> str:
    raw = part if isinstance(part, bytes) else json.dumps(part, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def read(token: str) -> tuple[Json, Json]:
    """Header and claims, unverified."""
    head, body, _ = token.split(".")
    return json.loads(decoded(head)), json.loads(decoded(body))


def changed(token: str, **claims: object) -> str:
    """Other claims under the old signature."""
    head, body, signature = token.split(".")
    return ".".join([head, encoded({**json.loads(decoded(body)), **claims}), signature])


def unsigned(token: str) -> str:
    """RFC 7519 §6: `alg` none, and nothing where the signature stood."""
    header, claims = read(token)
    return f"{encoded({**header, 'alg': 'none'})}.{encoded(claims)}."


def keyed_with(secret: bytes, token: str) -> str:
    """HS256, under the header's `kid`: what a verifier falls for that lets the token choose."""
    header, claims = read(token)
    text = f"{encoded({**header, 'alg': 'HS256'})}.{encoded(claims)}"
    return f"{text}.{encoded(hmac.digest(secret, text.encode(), hashlib.sha256))}"


def signed_by(key: rsa.RSAPrivateKey, token: str, **header: str) -> str:
    """The same claims, signed RS256 by a key of the forger's own."""
    old, claims = read(token)
    text = f"{encoded({**old, **header})}.{encoded(claims)}"
    return f"{text}.{encoded(key.sign(text.encode(), padding.PKCS1v15(), SHA256()))}"


def pem_of(jwk: Mapping[str, str]) -> bytes:
    """A published RSA key as the file that verifiers are often given."""
    n, e = (int.from_bytes(decoded(jwk[name])) for name in ("n", "e"))
    key = rsa.RSAPublicNumbers(e, n).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

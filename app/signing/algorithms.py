"""The algorithms that tokens are signed with: keys, their public JWK, and the bytes of a JWS signature.

RFC 7518 §3.3 to §3.5 and RFC 8037. ``cryptography`` alone; a key is parsed once, a signature is the cost.
"""

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Protocol

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS, AsymmetricPadding, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from app.errors import InvalidInput

_EXPONENT = 65537
RSA_SIZES = (2048, 3072, 4096)
RSA_BITS = 2048
"""The size that every verifier takes and the fastest of them (SECURITY.md test 9)."""

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | Ed25519PrivateKey
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | Ed25519PublicKey


class Algorithm(StrEnum):
    """As ``alg`` in a header and a JWK; ``RS256`` is always in use, the others where an audience asks."""

    RS256 = "RS256"
    PS256 = "PS256"
    ES256 = "ES256"
    ES384 = "ES384"
    EDDSA = "EdDSA"


ALWAYS = Algorithm.RS256


class RawSigner(Protocol):
    def sign(self, signing_input: bytes) -> bytes:
        """The signature as a JWS has it: of ``ES…`` the two numbers side by side (RFC 7518 §3.4)."""


_CURVES: Mapping[Algorithm, tuple[ec.EllipticCurve, HashAlgorithm, str, int]] = {
    Algorithm.ES256: (ec.SECP256R1(), SHA256(), "P-256", 32),
    Algorithm.ES384: (ec.SECP384R1(), SHA384(), "P-384", 48),
}
_PADDINGS: Mapping[Algorithm, AsymmetricPadding] = {
    Algorithm.RS256: PKCS1v15(),
    Algorithm.PS256: PSS(mgf=MGF1(SHA256()), salt_length=SHA256.digest_size),
}
_IDENTIFYING = ("crv", "e", "kty", "n", "x", "y")
"""The members that make the thumbprint, of whichever the key has (RFC 7638 §3.2, RFC 8037 §2)."""


def generate(alg: Algorithm, rsa_bits: int = RSA_BITS) -> PrivateKey:
    if alg in _CURVES:
        return ec.generate_private_key(_CURVES[alg][0])
    if alg is Algorithm.EDDSA:
        return Ed25519PrivateKey.generate()
    return rsa.generate_private_key(public_exponent=_EXPONENT, key_size=rsa_bits)


def public_jwk(key: PublicKey, alg: Algorithm) -> dict[str, Any]:
    """What every verifier takes and no more; ``kid`` is the RFC 7638 thumbprint.

    ``InvalidInput`` for a key that does not sign with this algorithm.
    """
    members = _members(key, alg)
    identifying = {name: members[name] for name in _IDENTIFYING if name in members}
    kid = _base64url(hashlib.sha256(orjson.dumps(identifying)).digest())
    kty = members.pop("kty")
    return {"kty": kty, "kid": kid, "use": "sig", "alg": alg.value} | members


def _members(key: PublicKey, alg: Algorithm) -> dict[str, str]:
    if isinstance(key, rsa.RSAPublicKey) and alg in _PADDINGS:
        numbers = key.public_numbers()
        if key.key_size not in RSA_SIZES or numbers.e != _EXPONENT:
            raise InvalidInput("an RSA key has 2048, 3072 or 4096 bits and the exponent 65537")
        return {"kty": "RSA", "n": _number(numbers.n, key.key_size // 8), "e": _number(numbers.e, 3)}
    if isinstance(key, ec.EllipticCurvePublicKey) and alg in _CURVES and _is_on(key.curve, alg):
        point, (_, _, name, size) = key.public_numbers(), _CURVES[alg]
        return {"kty": "EC", "crv": name, "x": _number(point.x, size), "y": _number(point.y, size)}
    if isinstance(key, Ed25519PublicKey) and alg is Algorithm.EDDSA:
        raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
        return {"kty": "OKP", "crv": "Ed25519", "x": _base64url(raw)}
    raise InvalidInput(f"this key does not sign with {alg}")


def _is_on(curve: ec.EllipticCurve, alg: Algorithm) -> bool:
    return curve.name == _CURVES[alg][0].name


def public_key(jwk: Mapping[str, str]) -> PublicKey:
    """Of a JWK that `public_jwk` has written."""
    alg = Algorithm(jwk["alg"])
    if alg in _CURVES:
        x, y = (int.from_bytes(decoded(jwk[name])) for name in ("x", "y"))
        return ec.EllipticCurvePublicNumbers(x, y, _CURVES[alg][0]).public_key()
    if alg is Algorithm.EDDSA:
        return Ed25519PublicKey.from_public_bytes(decoded(jwk["x"]))
    n, e = (int.from_bytes(decoded(jwk[name])) for name in ("n", "e"))
    return rsa.RSAPublicNumbers(e, n).public_key()


class LocalSigner:
    """A private key in this process."""

    def __init__(self, key: PrivateKey, alg: Algorithm) -> None:
        self.sign = _signing(key, alg)


def _signing(key: PrivateKey, alg: Algorithm) -> Callable[[bytes], bytes]:
    if isinstance(key, Ed25519PrivateKey) and alg is Algorithm.EDDSA:
        return key.sign
    if isinstance(key, ec.EllipticCurvePrivateKey) and alg in _CURVES and _is_on(key.curve, alg):
        _, digest, _, size = _CURVES[alg]
        signature_algorithm = ec.ECDSA(digest)

        def sign_ec(content: bytes) -> bytes:
            r, s = decode_dss_signature(key.sign(content, signature_algorithm))
            return r.to_bytes(size) + s.to_bytes(size)

        return sign_ec
    if isinstance(key, rsa.RSAPrivateKey) and alg in _PADDINGS:
        padding, sha256 = _PADDINGS[alg], SHA256()
        return lambda content: key.sign(content, padding, sha256)
    raise InvalidInput(f"this key does not sign with {alg}")


Verify = Callable[[bytes, bytes], bool]
"""Whether a signature is one over this content: ``verify(signature, content)``."""


def verifier(jwk: Mapping[str, str]) -> Verify:
    """Of the one algorithm that the JWK names (RFC 8725 §3.1); the key is parsed once."""
    check = _checking(public_key(jwk), Algorithm(jwk["alg"]))

    def verify(signature: bytes, content: bytes) -> bool:
        try:
            check(signature, content)
        except (InvalidSignature, ValueError):
            return False
        return True

    return verify


def _checking(key: PublicKey, alg: Algorithm) -> Callable[[bytes, bytes], None]:
    if isinstance(key, Ed25519PublicKey):
        return key.verify
    if isinstance(key, ec.EllipticCurvePublicKey):
        _, digest, _, size = _CURVES[alg]
        signature_algorithm = ec.ECDSA(digest)

        def check_ec(signature: bytes, content: bytes) -> None:
            if len(signature) != 2 * size:
                raise InvalidSignature
            pair = int.from_bytes(signature[:size]), int.from_bytes(signature[size:])
            key.verify(encode_dss_signature(*pair), content, signature_algorithm)

        return check_ec
    padding, sha256 = _PADDINGS[alg], SHA256()
    return lambda signature, content: key.verify(signature, content, padding, sha256)


def decoded(part: str) -> bytes:
    """RFC 7515 §2; ``ValueError`` for a second way to write the same bytes."""
    content = urlsafe_b64decode(part + "=" * (-len(part) % 4))
    if _base64url(content) != part:
        raise ValueError("not the one way to write it")
    return content


def _number(value: int, size: int) -> str:
    return _base64url(value.to_bytes(size))


def _base64url(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()

"""A private key that was made elsewhere, read with distrust. There is no way out again."""

from contextlib import suppress

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from app.errors import InvalidInput
from app.secret import Secret
from app.signing.algorithms import Algorithm, PrivateKey, public_jwk

_FIT = "an RSA key of 2048, 3072 or 4096 bits with the exponent 65537, P-256, P-384 or Ed25519"


class PassphraseNeeded(InvalidInput):
    """The key is encrypted."""


def read_private_key(pem: bytes, passphrase: Secret | None = None) -> PrivateKey:
    """From PEM (PKCS#8, PKCS#1 or SEC 1); ``InvalidInput`` in words that repeat nothing of it."""
    try:
        key = load_pem_private_key(pem, passphrase.reveal().encode() if passphrase else None)
    except TypeError:
        if passphrase is None:
            raise PassphraseNeeded("the key is encrypted: give its passphrase") from None
        raise InvalidInput("the key is not encrypted, but a passphrase was given: leave it out") from None
    except (ValueError, UnsupportedAlgorithm):
        wrong = "the passphrase is wrong, or " if passphrase else ""
        raise InvalidInput(f"{wrong}this is no private key in PEM that is understood: {_FIT}") from None
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | Ed25519PrivateKey):
        kind = "a DSA key" if isinstance(key, dsa.DSAPrivateKey) else "a key of this kind"
        raise InvalidInput(f"{kind} signs no token: {_FIT}")
    return key


def algorithm_of(key: PrivateKey, wanted: Algorithm | None = None) -> Algorithm:
    """What it signs; an RSA key ``RS256`` unless ``PS256`` is wanted. ``InvalidInput`` if it is not fit."""
    if wanted is None:
        return _native(key)
    public_jwk(key.public_key(), wanted)
    return wanted


def _native(key: PrivateKey) -> Algorithm:
    for algorithm in Algorithm:  # RS256 comes before PS256
        with suppress(InvalidInput):
            public_jwk(key.public_key(), algorithm)
            return algorithm
    kind = key.curve.name if isinstance(key, ec.EllipticCurvePrivateKey) else "such an RSA key"
    raise InvalidInput(f"no token is signed with {kind}: {_FIT}")

"""Whether what should sign can, before a token needs it: for ``countersign doctor``, and a rotation."""

from collections.abc import Iterator, Sequence

from app.signing.algorithms import Algorithm, verifier
from app.signing.keystores import Keystores
from app.signing.keystores.base import KeystoreError
from app.signing.models import SIGNING, SigningKey

_PROBE = b"countersign"
"""Has no dots, so that its signature is of no token."""


def check_signs(key: SigningKey, keystores: Keystores) -> None:
    """``KeystoreError`` if its private half cannot be had from where its row says it is."""
    signer = keystores[key.keystore].signing_key(key.kid, Algorithm(key.alg), key.reference)
    if not verifier(key.public_jwk)(signer.sign(_PROBE), _PROBE):
        raise KeystoreError(f"the key {key.kid} signs what its public half does not verify: rotate")


def faults(keys: Sequence[SigningKey], keystores: Keystores) -> Iterator[str]:
    """Of every key that signs or will sign, tried with a signature over nothing that is a token."""
    signing = [key for key in keys if key.state in SIGNING]
    for key in signing:
        try:
            check_signs(key, keystores)
        except KeystoreError as error:
            yield str(error)
    if elsewhere := sorted({key.keystore for key in signing} - {keystores.current_name.value}):
        current = keystores.current_name
        yield (
            f"keys are in {', '.join(elsewhere)}, and new ones are made in {current}: "
            f"countersign keys move --to {current}, or set COUNTERSIGN_KEYSTORE"
        )

"""Whether what should sign can, before a token needs it: for ``countersign doctor``, and a rotation."""

from collections.abc import Iterator, Sequence

from app.signing.algorithms import Algorithm, verifier
from app.signing.keystores import Keystores
from app.signing.keystores.base import KeystoreError
from app.signing.models import SIGNING, SigningKey

_PROBE = b"countersign"
"""Has no dots, so that its signature is of no token."""
_ANY_KID = "\0"


def check_signs(key: SigningKey, keystores: Keystores) -> None:
    """``KeystoreError`` if its private half cannot be had from where its row says it is."""
    signer = keystores[key.keystore].signing_key(key.kid, Algorithm(key.alg), key.reference)
    if not verifier(key.public_jwk)(signer.sign(_PROBE), _PROBE):
        raise KeystoreError(f"the key {key.kid} signs what its public half does not verify: rotate")


def opens(key: SigningKey, keystores: Keystores) -> bool:
    """Whether its private half can be had here. A remote keystore is not asked: it holds nothing up."""
    try:
        store = keystores[key.keystore]
        if not store.is_remote:
            store.signing_key(key.kid, Algorithm(key.alg), key.reference)
    except KeystoreError:
        return False
    return True


def _why_none_is_made(keystores: Keystores) -> Iterator[str]:
    try:
        keystores.current.check()
    except KeystoreError as error:
        yield str(error)


def faults(keys: Sequence[SigningKey], keystores: Keystores) -> Iterator[str]:
    """Of every key that signs or will sign, tried with a signature over nothing that is a token; and of the
    keystore that makes new ones. A reason that several keys share is told once.
    """
    signing = [key for key in keys if key.state in SIGNING]
    broken: dict[str, list[SigningKey]] = {}
    for key in signing:
        try:
            check_signs(key, keystores)
        except KeystoreError as error:
            broken.setdefault(str(error).replace(key.kid, _ANY_KID), []).append(key)
    for reason, those in broken.items():
        all_kids = ", ".join(key.kid for key in those)
        yield reason.replace(_ANY_KID, all_kids, 1).replace(_ANY_KID, those[0].kid)
    if keystores.current_name not in {key.keystore for those in broken.values() for key in those}:
        yield from _why_none_is_made(keystores)
    if elsewhere := sorted({key.keystore for key in signing} - {keystores.current_name.value}):
        current = keystores.current_name
        yield (
            f"keys are in {', '.join(elsewhere)}, and new ones are made in {current}: "
            f"countersign keys move --to {current}, or set COUNTERSIGN_KEYSTORE"
        )

"""Private keys that are in this process: what is new about one, and whether one is the key it should be."""

from typing import Any, cast

from app.errors import InvalidInput
from app.signing.algorithms import Algorithm, PrivateKey, public_jwk
from app.signing.keystores.base import KeystoreError, NewKey


def new_key(key: PrivateKey, alg: Algorithm) -> NewKey:
    jwk = public_jwk(key.public_key(), alg)
    return NewKey(jwk["kid"], alg, jwk)


def check_is(key: Any, kid: str, alg: Algorithm, where: str) -> PrivateKey:
    """The key, if it is ``kid``: else tokens would name a public half that does not fit."""
    try:
        found = new_key(key, alg).kid if hasattr(key, "public_key") else None
    except InvalidInput:
        found = None
    if found != kid:
        raise KeystoreError(f"{where} holds another key: restore it")
    return cast("PrivateKey", key)

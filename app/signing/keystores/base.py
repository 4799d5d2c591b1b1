"""What every keystore does, wherever it keeps the private halves."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

from app.errors import Refusal
from app.signing.algorithms import RSA_BITS, Algorithm, PrivateKey, RawSigner

IN_THE_MAKING = timedelta(minutes=10)
"""Younger than this, a key without a row may be on its way to one, on another node."""


class KeystoreError(Refusal):
    """A private key cannot be had, or does not sign; the message tells operators which and what to do."""


class KeystoreName(StrEnum):
    """As ``COUNTERSIGN_KEYSTORE`` and ``signing_keys.keystore`` say it."""

    FILES = "files"
    DATABASE = "database"
    TRANSIT = "transit"


@dataclass(frozen=True)
class NewKey:
    """``reference`` is what the keystore itself calls the key, where that is not its ``kid``."""

    kid: str
    alg: Algorithm
    public_jwk: dict[str, Any]
    reference: str | None = None


class Keystore(Protocol):
    """A private key and the row that tells of it cannot be committed together everywhere. So a key is made
    durable first, its row is committed, and then it is confirmed; ``unconfirmed`` is what a crash has left.

    Every failure is a ``KeystoreError``. ``confirm`` and ``destroy`` may be repeated.
    """

    @property
    def name(self) -> KeystoreName: ...

    @property
    def is_remote(self) -> bool:
        """A signature leaves the process: it can be slow, and it can fail."""

    def check(self) -> None:
        """``KeystoreError`` if no key could be made now, as far as it tells without making one."""

    def making_keys(self) -> AbstractContextManager[None]:
        """Keys are made and settled in here, where makers of one machine could meet."""

    def generate(self, alg: Algorithm, rsa_bits: int = RSA_BITS) -> NewKey: ...

    def adopt(self, key: PrivateKey, alg: Algorithm) -> NewKey:
        """Takes in a key that was made elsewhere. ``InvalidInput`` for one that is not fit for ``alg``."""

    def confirm(self, kid: str) -> None: ...

    def unconfirmed(self) -> list[str]:
        """What was made, and has no row in this keystore's name: by ``kid``, or by ``reference`` if
        that is all that is known. What another node may be making right now is not among them.
        """

    def destroy(self, kid: str, reference: str | None = None) -> None: ...

    def signing_key(self, kid: str, alg: Algorithm, reference: str | None = None) -> RawSigner:
        """Its public half has the thumbprint ``kid``: another key's file or row is refused."""


@runtime_checkable
class ReadableKeystore(Keystore, Protocol):
    """One that gives private halves to this process, so that they can be moved to another keystore."""

    def private_key(self, kid: str, alg: Algorithm) -> PrivateKey: ...

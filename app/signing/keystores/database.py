"""Private keys in the database, sealed: what nodes that share a database need not copy between them.

Whoever has the database alone, or a backup of it, has nothing to sign with.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from sqlalchemy import delete, insert, select, update

from app.clock import Clock
from app.db import Database
from app.ledger.actions import AuditAction
from app.ledger.record import Actor, record
from app.signing.algorithms import RSA_BITS, Algorithm, LocalSigner, PrivateKey, RawSigner, generate
from app.signing.keystores.base import IN_THE_MAKING, KeystoreError, KeystoreName, NewKey
from app.signing.keystores.local import check_is, new_key
from app.signing.keystores.models import SealedKey
from app.signing.keystores.sealing import KeyEncryptionKey, Sealed
from app.signing.models import SigningKey
from app.signing.transitions import hold


class DatabaseKeystore:
    """``old`` opens what was sealed before the key-encryption key was replaced; it seals nothing."""

    name = KeystoreName.DATABASE
    is_remote = False

    def __init__(
        self, database: Database, key: KeyEncryptionKey, clock: Clock, *, old: KeyEncryptionKey | None = None
    ) -> None:
        self._database = database
        self._clock = clock
        self._key = key
        self._keys = {each.id: each for each in (old, key) if each}

    def check(self) -> None:
        """Where a row is read, a row can be written."""

    @contextmanager
    def making_keys(self) -> Iterator[None]:
        yield

    def generate(self, alg: Algorithm, rsa_bits: int = RSA_BITS) -> NewKey:
        return self.adopt(generate(alg, rsa_bits), alg)

    def adopt(self, key: PrivateKey, alg: Algorithm) -> NewKey:
        made = new_key(key, alg)
        content = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        sealed = self._key.seal(content, made.kid, alg)
        values = vars(sealed) | {"kid": made.kid, "alg": alg.value, "created_at": self._clock()}
        with self._database.writing() as session:
            hold(session)  # two who move the same key here would both find nothing to delete
            session.execute(delete(SealedKey).where(SealedKey.kid == made.kid))
            session.execute(insert(SealedKey).values(values))
        return made

    def confirm(self, kid: str) -> None:
        """Nothing to do: the row in ``signing_keys`` says it."""

    def unconfirmed(self) -> list[str]:
        theirs = (SigningKey.kid == SealedKey.kid) & (SigningKey.keystore == self.name.value)
        query = select(SealedKey.kid).outerjoin(SigningKey, theirs).where(SigningKey.kid.is_(None))
        with self._database.reading() as session:
            return list(session.scalars(query.where(SealedKey.created_at < self._clock() - IN_THE_MAKING)))

    def destroy(self, kid: str, reference: str | None = None) -> None:  # noqa: ARG002 - the Keystore's
        with self._database.writing() as session:
            session.execute(delete(SealedKey).where(SealedKey.kid == kid))

    def signing_key(self, kid: str, alg: Algorithm, reference: str | None = None) -> RawSigner:  # noqa: ARG002 - the Keystore's
        return LocalSigner(self.private_key(kid, alg), alg)

    def private_key(self, kid: str, alg: Algorithm) -> PrivateKey:
        with self._database.reading() as session:
            row = session.get(SealedKey, kid)
        if row is None:
            raise KeystoreError(
                f"the private key {kid} is not in the database: restore a backup that has it, or rotate"
            )
        key = load_der_private_key(self._opened(row), None)
        return check_is(key, kid, alg, f"the row of the private key {kid} in the database")

    def rewrap(self, by: Actor) -> list[str]:
        """Seals anew, each in a transaction of its own, what is sealed under the old key; tells which keys.

        Whatever stops it, it can be run again: what is done stays done.
        """
        with self._database.reading() as session:
            waiting = session.scalars(select(SealedKey).where(SealedKey.kek_id != self._key.id)).all()
        return [row.kid for row in waiting if self._rewrapped(row, by)]

    def _rewrapped(self, row: SealedKey, by: Actor) -> bool:
        """``False`` if somebody else has done it, or destroyed the key, since the row was read."""
        sealed = self._key.seal(self._opened(row), row.kid, row.alg)
        same = (SealedKey.kid == row.kid) & (SealedKey.nonce == row.nonce)
        with self._database.writing() as session:
            statement = update(SealedKey).where(same).values(vars(sealed))
            if session.connection().execute(statement).rowcount == 0:
                return False
            detail = {"from": row.kek_id, "to": sealed.kek_id}
            event = by.did(AuditAction.SIGNING_KEY_REWRAP, self._clock(), kid=row.kid, detail=detail)
            record(session, event)
        return True

    def _opened(self, row: SealedKey) -> bytes:
        key = self._keys.get(row.kek_id)
        if key is None:
            raise KeystoreError(
                f"the private key {row.kid} is sealed under the key-encryption key {row.kek_id}, which is "
                "not COUNTERSIGN_KEY_ENCRYPTION_KEY: set that to the key it was sealed under, or, while it "
                "is being replaced, COUNTERSIGN_KEY_ENCRYPTION_KEY_OLD"
            )
        try:
            return key.open(Sealed(row.kek_id, row.nonce, row.ciphertext), row.kid, row.alg)
        except InvalidTag:
            raise KeystoreError(
                f"the sealed private key {row.kid} has been altered in the database: restore a backup, "
                "or rotate, and find out who writes there"
            ) from None

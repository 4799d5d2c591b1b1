"""The key set and its states: *next*, *active*, *retired*, *removed*, or *revoked*.

A key is published before it signs. This process sees a snapshot: what the mint signs with and what the
JWKS shows come from memory and need no database.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc.jwk import RSAKey
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.clock import Clock
from app.db import Database
from app.ledger.actions import AuditAction
from app.ledger.record import Actor, record
from app.signing.keystore import FileKeystore, KeystoreError
from app.signing.models import PUBLISHED, KeyState, SigningKey
from app.signing.signer import Signer

RSA_BITS = 2048
"""The size that every verifier takes and the fastest of them (SECURITY.md test 9)."""


@dataclass(frozen=True)
class KeySnapshot:
    """The signing key of this moment, and the public keys that verifiers may meet."""

    active: Signer
    public_jwks: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class _KeyPair:
    kid: str
    private_key: rsa.RSAPrivateKey
    public_jwk: dict[str, Any]


class Keyring:
    def __init__(self, database: Database, keystore: FileKeystore, clock: Clock) -> None:
        self._database = database
        self._keystore = keystore
        self._clock = clock
        self._snapshot: KeySnapshot | None = None

    def current(self) -> KeySnapshot:
        """From memory; read from the database and the keystore the first time."""
        if self._snapshot is None:
            self._snapshot = self._read()
        return self._snapshot

    def ensure_keys(self, by: Actor) -> None:
        """Makes the keys of a first start: one active, one next. Two processes at once make one pair."""
        if self._has_keys() and not self._keystore.unconfirmed():
            return
        with self._keystore.making_keys():
            self._settle_unconfirmed()
            if not self._has_keys():
                self._make_first(by)

    def _settle_unconfirmed(self) -> None:
        """What an interrupted start has left: kept if its row was committed, thrown away if not."""
        unconfirmed = self._keystore.unconfirmed()
        known = {row.kid for row in self.history()} if unconfirmed else set()
        for kid in unconfirmed:
            if kid in known:
                self._keystore.confirm(kid)
            else:
                self._keystore.destroy(kid)

    def _make_first(self, by: Actor) -> None:
        """Whoever loses to another machine throws its own away; the next start settles a commit in doubt."""
        pairs = {KeyState.ACTIVE: _generate(), KeyState.NEXT: _generate()}
        made = False
        try:
            for pair in pairs.values():
                self._keystore.save(pair.kid, pair.private_key)
            with suppress(IntegrityError), self._database.writing() as session:
                made = _insert_first(session, pairs, by, self._clock())
        finally:
            if not made:
                for pair in pairs.values():
                    self._keystore.destroy(pair.kid)
        for pair in pairs.values() if made else ():
            self._keystore.confirm(pair.kid)

    def history(self) -> Sequence[SigningKey]:
        """Every key there ever was, the newest publication first."""
        with self._database.reading() as session:
            return session.scalars(
                select(SigningKey).order_by(SigningKey.published_at.desc(), SigningKey.state)
            ).all()

    def _has_keys(self) -> bool:
        with self._database.reading() as session:
            return session.scalar(select(SigningKey.kid).limit(1)) is not None

    def _read(self) -> KeySnapshot:
        with self._database.reading() as session:
            published = select(SigningKey).where(SigningKey.state.in_(PUBLISHED))
            rows = session.scalars(published.order_by(SigningKey.published_at, SigningKey.kid)).all()
        active = next((row for row in rows if row.state == KeyState.ACTIVE), None)
        if active is None:
            raise KeystoreError("there is no active signing key: run countersign init")
        private_key = self._keystore.load(active.kid)
        if RSAKey.import_key(private_key.public_key()).thumbprint() != active.kid:
            raise KeystoreError(f"the file of the private key {active.kid} holds another key: restore it")
        signer = Signer(active.kid, private_key)
        return KeySnapshot(signer, tuple(row.public_jwk for row in rows))


def _insert_first(session: Session, pairs: dict[KeyState, _KeyPair], by: Actor, now: datetime) -> bool:
    if session.scalar(select(SigningKey.kid).limit(1)) is not None:
        return False
    for state, pair in pairs.items():
        session.execute(
            insert(SigningKey).values(
                kid=pair.kid,
                alg=Signer.alg,
                state=state,
                public_jwk=pair.public_jwk,
                published_at=now,
                activated_at=now if state is KeyState.ACTIVE else None,
            )
        )
        record(session, by.did(AuditAction.SIGNING_KEY_CREATE, now, kid=pair.kid, detail={"state": state}))
    return True


def _generate() -> _KeyPair:
    """A fresh pair; ``kid`` is the RFC 7638 thumbprint, the JWK has what every verifier takes and no more."""
    private_key = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    imported = RSAKey.import_key(private_key.public_key())
    kid = imported.thumbprint()
    jwk = imported.as_dict(private=False)
    public = {"kty": "RSA", "kid": kid, "use": "sig", "alg": Signer.alg, "n": jwk["n"], "e": jwk["e"]}
    return _KeyPair(kid, private_key, public)

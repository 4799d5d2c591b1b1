"""Private halves beside their rows: durable before the row is committed, destroyed only after.

What a crash leaves between the two is settled by ``heal``, at the next start or by the next worker.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import select

from app.clock import Clock
from app.db import Database
from app.ledger.record import Actor
from app.signing import transitions
from app.signing.algorithms import Algorithm
from app.signing.keyring import FOLLOWS_WITHIN_SECONDS
from app.signing.keystores import Keystore, KeystoreError, Keystores, NewKey
from app.signing.models import KeyState, SigningKey
from app.signing.transitions import By

_log = logging.getLogger(__name__)
_REMOTE_LAG = timedelta(seconds=6 * FOLLOWS_WITHIN_SECONDS)
"""For so long a node that has yet to follow may ask a remote keystore for a retired key's signature."""
_DEAD = (KeyState.RETIRED, KeyState.REMOVED, KeyState.REVOKED)


@dataclass
class Made:
    """Keys for a transaction. Once their rows are in it, only its outcome says whether they live."""

    keys: Sequence[NewKey]
    keystore: str
    are_in_rows: bool = False


class Maker:
    def __init__(self, database: Database, keystores: Keystores, clock: Clock, rsa_bits: int) -> None:
        self._database = database
        self._keystores = keystores
        self._clock = clock
        self._rsa_bits = rsa_bits

    @property
    def store(self) -> Keystore:
        """Where new keys go."""
        return self._keystores.current

    @contextmanager
    def alone(self) -> Iterator[None]:
        """One maker of this machine at a time, and nothing left of those before."""
        with self.store.making_keys():
            self._settle(self.store)
            yield

    @contextmanager
    def made(self, algorithm: Algorithm, count: int) -> Iterator[Made]:
        """Within ``alone``."""
        store = self.store
        keys = (store.generate(algorithm, self._rsa_bits) for _ in range(count))
        with self.kept(keys) as made:
            yield made

    @contextmanager
    def kept(self, making: Iterable[NewKey]) -> Iterator[Made]:
        """Confirmed after the transaction; thrown away if their rows are in none that may have committed."""
        keys: list[NewKey] = []
        made = Made(keys, self.store.name)
        try:
            keys.extend(making)
            yield made
        finally:
            if not made.are_in_rows:
                for key in keys:
                    self.store.destroy(key.kid, key.reference)
        for key in keys if made.are_in_rows else ():
            self.store.confirm(key.kid)

    def check_can_sign(self, key: SigningKey) -> None:
        """``KeystoreError`` if its private half cannot be had here."""
        self._keystores[key.keystore].signing_key(key.kid, Algorithm(key.alg), key.reference)

    def heal(self, actor: Actor) -> None:
        """Settles what an interrupted making has left, and destroys what nothing needs."""
        for store in self._stores():
            try:
                self._settle_alone(store)
            except (KeystoreError, OSError) as error:
                _log.warning("the %s keystore is not settled: %s", store.name, error)
        self.destroy_leftovers(actor)

    def destroy_leftovers(self, actor: Actor) -> None:
        """The private halves of dead keys. One that cannot be destroyed now is tried again later."""
        query = select(SigningKey).where(SigningKey.state.in_(_DEAD), SigningKey.destroyed_at.is_(None))
        with self._database.reading() as session:
            leftovers = session.scalars(query).all()
        for key in leftovers:
            try:
                self._destroy(key, actor)
            except (KeystoreError, OSError) as error:
                _log.warning("the private half of %s is still there: %s", key.kid, error)

    def _destroy(self, key: SigningKey, actor: Actor) -> None:
        store, now = self._keystores[key.keystore], self._clock()
        if store.is_remote and key.state == KeyState.RETIRED and (key.retired_at or now) + _REMOTE_LAG > now:
            return
        store.destroy(key.kid, key.reference)
        with self._database.writing() as session:
            transitions.hold(session)
            row = session.get_one(SigningKey, key.kid)
            if row.destroyed_at is None:
                transitions.destroyed(session, row, By(actor=actor, now=now))

    def _settle_alone(self, store: Keystore) -> None:
        if store.unconfirmed():
            with store.making_keys():
                self._settle(store)

    def _settle(self, store: Keystore) -> None:
        """Kept if its row was committed, thrown away if not."""
        unconfirmed = store.unconfirmed()
        known = self._known(store) if unconfirmed else set()
        for kid in unconfirmed:
            if kid in known:
                store.confirm(kid)
            else:
                store.destroy(kid, kid)

    def _known(self, store: Keystore) -> set[str]:
        with self._database.reading() as session:
            return set(session.scalars(select(SigningKey.kid).where(SigningKey.keystore == store.name)))

    def _stores(self) -> list[Keystore]:
        """That are in use; of one that is not configured any more, whoever needs it tells."""
        with self._database.reading() as session:
            names = set(session.scalars(select(SigningKey.keystore).distinct()))
        found: dict[str, Keystore] = {self.store.name: self.store}
        for name in names - found.keys():
            with suppress(KeystoreError):
                found[name] = self._keystores[name]
        return list(found.values())

"""Private halves beside their rows: durable before the row is committed, destroyed only after.

What a crash leaves between the two is settled by ``heal``, at the next start or by the next worker.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from app.clock import Clock
from app.db import Database
from app.ledger.record import Actor
from app.signing import transitions
from app.signing.algorithms import Algorithm, PrivateKey
from app.signing.keystores import Keystore, KeystoreError, KeystoreName, Keystores, NewKey
from app.signing.keystores.checking import check_signs
from app.signing.models import SIGNING, KeyState, SigningKey
from app.signing.transitions import By

_log = logging.getLogger(__name__)
_REMOTE_LAG = timedelta(minutes=3)
"""For so long a node that has yet to follow may ask a remote keystore for a retired key's signature: longer
than the clocks of two nodes may differ, a minute each, with the seconds in which a node follows.
"""


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
        """Within ``alone``. Thrown away if their rows are in no transaction that may have committed."""
        store, keys = self.store, list[NewKey]()
        made = Made(keys, store.name)
        try:
            for _ in range(count):
                keys.append(store.generate(algorithm, self._rsa_bits))
            yield made
        finally:
            for key in keys if not made.are_in_rows else ():
                with or_later(f"the unused key {key.kid} is still there"):
                    store.destroy(key.kid, key.reference)
        self._confirm(made)

    @contextmanager
    def adopted(self, key: PrivateKey, algorithm: Algorithm) -> Iterator[Made]:
        """Within ``alone``. Somebody else may be adopting the same key, so it is thrown away by ``heal``
        alone, which asks for its row.
        """
        made = Made([self.store.adopt(key, algorithm)], self.store.name)
        try:
            yield made
        finally:
            if not made.are_in_rows:
                with or_later("an unused key is still there"):
                    self._settle(self.store)
        self._confirm(made)

    def check_can_sign(self, key: SigningKey) -> None:
        """``KeystoreError`` if its private half cannot be had here. A remote keystore is asked, and may take
        its time: no transaction is open meanwhile.
        """
        check_signs(key, self._keystores)

    def heal(self, actor: Actor) -> None:
        """Settles what an interrupted making has left, and destroys what nothing needs."""
        for store in self._stores():
            with or_later(f"the {store.name} keystore is not settled"):
                self._settle_alone(store)
        self.destroy_leftovers(actor)

    def destroy_leftovers(self, actor: Actor) -> None:
        """The private halves of dead keys. One that cannot be destroyed now is tried again later."""
        query = select(SigningKey).where(SigningKey.state.not_in(SIGNING), SigningKey.destroyed_at.is_(None))
        with self._database.reading() as session:
            leftovers = session.scalars(query).all()
        for key in leftovers:
            with or_later(f"the private half of {key.kid} is still there"):
                self._destroy(key, actor)

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

    def _confirm(self, made: Made) -> None:
        for key in made.keys:
            with or_later(f"{key.kid} is in use and not confirmed"):
                self._keystores[made.keystore].confirm(key.kid)

    def _settle(self, store: Keystore) -> None:
        """Kept if its row was committed and needs it, thrown away if not."""
        unconfirmed = store.unconfirmed()
        known = self._known(store) if unconfirmed else set()
        for kid in unconfirmed:
            if kid in known:
                store.confirm(kid)
            else:
                store.destroy(kid, kid)

    def _known(self, store: Keystore) -> set[str]:
        living = SigningKey.state.in_(SIGNING) & (SigningKey.keystore == store.name)
        with self._database.reading() as session:
            return set(session.scalars(select(SigningKey.kid).where(living)))

    def _stores(self) -> Iterator[Keystore]:
        """All that the settings open, for a stopped move leaves copies where no row says; of one that they
        do not open any more, whoever needs it tells.
        """
        for name in KeystoreName:
            with suppress(KeystoreError):
                yield self._keystores[name]


@contextmanager
def or_later(what: str) -> Iterator[None]:
    """For what comes after a commit, or beside it: it is told in the log, and the worker tries again."""
    try:
        yield
    except (KeystoreError, OSError, SQLAlchemyError) as error:
        _log.warning("%s: %s", what, str(error).partition("\n")[0])

"""The life of signing keys: made, taken into use, rotated, revoked.

Each act makes the keys that it needs, changes all rows in one transaction, and destroys private halves after.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.clock import Clock
from app.db import Database
from app.errors import Conflict
from app.ledger.record import Actor
from app.signing import transitions
from app.signing.algorithms import ALWAYS, Algorithm, PrivateKey, public_jwk
from app.signing.checks import (
    AnotherWasFaster,
    Permit,
    anybody,
    check_unknown,
    needs_override,
    pair_in_use,
    revocable,
)
from app.signing.keyring import Keyring
from app.signing.keystores import KeystoreError, NewKey
from app.signing.making import Made, Maker, or_later
from app.signing.models import KeyState, SigningKey
from app.signing.transitions import By, Pair

_log = logging.getLogger(__name__)
_RESERVE = 1
"""Places in the JWKS that a new algorithm leaves free: a rotation needs one."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """``outlives``: how long a retired key is published after its last token has expired."""

    publish_lead: timedelta
    rotation_period: timedelta
    outlives: timedelta = timedelta(hours=24)


class Lifecycle:
    def __init__(
        self, database: Database, maker: Maker, keyring: Keyring, clock: Clock, rules: Rules
    ) -> None:
        self._database = database
        self._maker = maker
        self._keyring = keyring
        self._clock = clock
        self.rules = rules

    def ensure_keys(self, actor: Actor) -> None:
        """Makes the keys of a first start, or settles what an interrupted act has left.

        The first are exempt from the publish lead: whoever has fetched the one has fetched the other.
        """
        if self._has_keys():
            self.settle(actor)
            return
        with self._maker.alone(), suppress(AnotherWasFaster):
            if not self._has_keys():
                self._make_first(actor)

    def settle(self, actor: Actor) -> None:
        """What was interrupted, and what a keystore could not do when it was asked."""
        self._maker.heal(actor)
        with or_later("a next key is yet to be made"):
            self._complete(actor)

    def rotate(
        self,
        algorithm: Algorithm,
        actor: Actor,
        *,
        expected: str | None = None,
        override: str | None = None,
        permit: Permit = anybody,
    ) -> str:
        """*next* becomes *active*; its ``kid``. ``expected`` is the active ``kid`` that the caller has seen.

        ``AnotherWasFaster`` if it is not active any more; ``TooEarly`` if *next* has not been public for the
        publish lead and no ``override`` says why that may be; ``Conflict`` if the JWKS is full.
        """
        if override is not None:
            transitions.check_reason(override)
        self._complete(actor)
        with self._database.reading() as session:
            pair = pair_in_use(session, algorithm)
            expected = expected or pair.active.kid
            self._needs_override(session, pair, expected, override)
        self._maker.check_can_sign(pair.next)
        with self._making(algorithm) as made, self._database.writing() as session:
            transitions.hold(session)
            permit(session)
            pair, by = pair_in_use(session, algorithm), self._by(actor)
            early = self._needs_override(session, pair, expected, override)
            transitions.rotate(session, pair, by, override=override if early else None)
            self._add_next(session, made, by)
        self._settle_down(actor)
        return pair.next.kid

    def revoke(
        self, kid: str, reason: str, actor: Actor, *, expected: str | None = None, permit: Permit = anybody
    ) -> SigningKey:
        """Out of the JWKS at once. In place of an active key *next* signs, whatever its age.

        ``expected`` is the state in which the caller has seen it, ``AnotherWasFaster`` if it has changed. A
        keystore that can make no new *next* now does not hold it up: ``settle`` makes that later.
        """
        transitions.check_reason(reason)
        with or_later("a next key is yet to be made"):
            self._complete(actor)
        with self._database.reading() as session:
            key = revocable(session, kid, expected)
            replaced = key.state != KeyState.RETIRED
        algorithm = Algorithm(key.alg)
        making = self._making_if_possible(algorithm, 1 if replaced else 0)
        with making as made, self._database.writing() as session:
            transitions.hold(session)
            permit(session)
            key, by = revocable(session, kid, expected), self._by(actor)
            if replaced != (key.state != KeyState.RETIRED):
                raise AnotherWasFaster(f"{kid} was changed by somebody else just now: look again")
            pair = pair_in_use(session, algorithm) if key.state == KeyState.ACTIVE else None
            transitions.revoke(session, key, by, reason)
            if pair is not None:
                transitions.promote(session, pair, by, self.rules.publish_lead)
            if made.keys:
                self._add_next(session, made, by)
        self._settle_down(actor)
        return key

    @contextmanager
    def offering(self, algorithm: Algorithm, actor: Actor) -> Iterator[Callable[[Session], None]]:
        """For a transaction that takes an algorithm into use: what it calls to add the keys, if need be.

        Until they have been public for the lead, ``RS256`` signs. ``Conflict`` if the JWKS is full.
        """
        with self._database.reading() as session:
            in_use = transitions.is_in_use(session, algorithm)
            if not transitions.is_in_use(session, ALWAYS):
                raise Conflict("there are no signing keys yet: countersign init")
            if not in_use:
                transitions.check_room(session, 2, spare=_RESERVE)
        with self._making(algorithm, 0 if in_use else 2) as made:
            yield lambda session: self._take_into_use(session, algorithm, made, self._by(actor))
        if not in_use:
            self._settle_down(actor)

    def import_key(self, key: PrivateKey, algorithm: Algorithm, actor: Actor) -> NewKey:
        """Published as *next* in place of the one that is there; it signs after a rotation."""
        kid = public_jwk(key.public_key(), algorithm)["kid"]
        self._complete(actor)
        with self._maker.alone():
            with self._database.reading() as session:
                pair_in_use(session, algorithm)
                check_unknown(session, kid)
            with self._maker.adopted(key, algorithm) as made, self._database.writing() as session:
                transitions.hold(session)
                check_unknown(session, kid)
                pair, by = pair_in_use(session, algorithm), self._by(actor)
                transitions.remove(session, pair.next, by, "another key was imported in its place")
                self._add_next(session, made, by, origin="imported")
        self._settle_down(actor)
        return made.keys[0]

    def _complete(self, actor: Actor) -> None:
        """Makes each *next* that a revocation had to go without."""
        with self._database.reading() as session:
            lacking = transitions.without_next(session)
        for algorithm in lacking:
            with self._making(algorithm) as made, self._database.writing() as session:
                transitions.hold(session)
                if algorithm in transitions.without_next(session):
                    self._add_next(session, made, self._by(actor))

    def _has_keys(self) -> bool:
        with self._database.reading() as session:
            return session.scalar(select(SigningKey.kid).limit(1)) is not None

    def _make_first(self, actor: Actor) -> None:
        with self._maker.made(ALWAYS, 2) as made, self._database.writing() as session:
            transitions.hold(session)
            if session.scalar(select(SigningKey.kid).limit(1)) is not None:
                raise AnotherWasFaster("another machine has made the first keys")
            by = self._by(actor)
            for key, state in zip(made.keys, (KeyState.ACTIVE, KeyState.NEXT), strict=True):
                since = by.now if state is KeyState.ACTIVE else None
                transitions.add(session, key, made.keystore, state, by, activated_at=since, exempt=True)
            made.are_in_rows = True

    def _needs_override(self, session: Session, pair: Pair, expected: str, override: str | None) -> bool:
        lead, now = self.rules.publish_lead, self._clock()
        return needs_override(session, pair, expected, override, lead=lead, now=now)

    def _take_into_use(self, session: Session, algorithm: Algorithm, made: Made, by: By) -> None:
        transitions.hold(session)
        if transitions.is_in_use(session, algorithm):
            return
        if not made.keys:
            raise AnotherWasFaster(f"{algorithm} has gone out of use just now: try again")
        transitions.check_room(session, 2, spare=_RESERVE)
        since = by.now + self.rules.publish_lead
        active, following = made.keys
        transitions.add(session, active, made.keystore, KeyState.ACTIVE, by, activated_at=since)
        transitions.add(session, following, made.keystore, KeyState.NEXT, by)
        made.are_in_rows = True

    def _add_next(self, session: Session, made: Made, by: By, *, origin: str = "generated") -> None:
        transitions.add(session, made.keys[0], made.keystore, KeyState.NEXT, by, origin=origin)
        made.are_in_rows = True

    @contextmanager
    def _making(self, algorithm: Algorithm, count: int = 1) -> Iterator[Made]:
        if count == 0:
            yield Made([], self._maker.store.name)
            return
        with self._maker.alone(), self._maker.made(algorithm, count) as made:
            yield made

    @contextmanager
    def _making_if_possible(self, algorithm: Algorithm, count: int) -> Iterator[Made]:
        with ExitStack() as stack:
            try:
                made = stack.enter_context(self._making(algorithm, count))
            except KeystoreError as error:
                _log.error("%s has no next key until the keystore can make one: %s", algorithm, error)
                made = Made([], self._maker.store.name)
            yield made

    def _settle_down(self, actor: Actor) -> None:
        """The commit stands, whatever happens here."""
        with or_later("this process has yet to follow the change of keys"):
            self._keyring.refresh()
        with or_later("private halves of dead keys are still there"):
            self._maker.destroy_leftovers(actor)

    def _by(self, actor: Actor) -> By:
        return By(actor=actor, now=self._clock())

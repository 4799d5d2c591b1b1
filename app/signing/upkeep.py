"""What is due: what was interrupted is settled, dead keys leave the JWKS, old active ones rotate.

The work of any node's worker, any number of times; where two do it at once, one does.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.clock import Clock
from app.db import Database
from app.errors import Refusal
from app.ledger.record import Actor
from app.signing import transitions
from app.signing.algorithms import Algorithm
from app.signing.checks import AnotherWasFaster, TooEarly
from app.signing.keyring import Keyring
from app.signing.lifecycle import Lifecycle
from app.signing.models import KeyState, SigningKey
from app.signing.rotations import in_turn
from app.signing.transitions import By
from app.signing.unanswered import Unanswered

_log = logging.getLogger(__name__)
_WORKER = Actor(name="worker")
LastExpiry = Callable[[Session, str], datetime | None]
"""When the last token that a key has signed expires; ``None``: it has signed none."""


@dataclass(frozen=True)
class Upkeep:
    database: Database
    keyring: Keyring
    lifecycle: Lifecycle
    clock: Clock
    last_expiry: LastExpiry
    unanswered: Unanswered
    _told: dict[str, str] = field(default_factory=dict)
    """Why an active key is not rotated, as the log has it; it is asked again every ten seconds."""

    def keep(self) -> None:
        self.lifecycle.settle(_WORKER)
        self.unanswered.settle(_WORKER)
        self._remove_dead()
        old = self._past_their_age()
        for algorithm in in_turn(old):
            self._rotate(algorithm, old[algorithm])

    def _rotate(self, algorithm: Algorithm, active: str) -> None:
        try:
            self.lifecycle.rotate(algorithm, _WORKER, expected=active)
        except (AnotherWasFaster, TooEarly):
            return  # another node did it; or it is tried again until *next* may sign
        except Refusal as refusal:
            if self._told.get(active) != str(refusal):
                _log.error("%s is not rotated: %s", active, refusal)
            self._told[active] = str(refusal)

    def _remove_dead(self) -> None:
        retired = select(SigningKey).where(SigningKey.state == KeyState.RETIRED)
        with self.database.reading() as session:
            dead = [key.kid for key in session.scalars(retired) if self._is_dead(session, key)]
        for kid in dead:
            with self.database.writing() as session:
                transitions.hold(session)
                key = session.get_one(SigningKey, kid, with_for_update=True)
                if key.state == KeyState.RETIRED and self._is_dead(session, key):
                    by = By(actor=_WORKER, now=self.clock())
                    transitions.remove(session, key, by, "its last token has expired")
        if dead:
            self.keyring.refresh()

    def _is_dead(self, session: Session, key: SigningKey) -> bool:
        """Cheap first: most of the time a retired key is too young for its tokens to matter."""
        limit = self.clock() - self.lifecycle.rules.outlives
        if key.retired_at is None or key.retired_at > limit:
            return False
        last = self.last_expiry(session, key.kid)
        return last is None or last <= limit

    def _past_their_age(self) -> dict[Algorithm, str]:
        limit = self.clock() - self.lifecycle.rules.rotation_period
        old = (SigningKey.state == KeyState.ACTIVE) & (SigningKey.activated_at <= limit)
        with self.database.reading() as session:
            return {Algorithm(key.alg): key.kid for key in session.scalars(select(SigningKey).where(old))}

"""Tokens that a run got over HTTP, on their way to the process that masks its output.

The token's row is written in the transaction that mints it, before it is released; the rows are read after a
piece of output has been and before it is masked. So whatever a step can have printed is known to the masker,
on whichever node it was minted.
"""

import json
from base64 import urlsafe_b64decode
from datetime import timedelta

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from app.clock import Clock
from app.db import Database
from app.flows.models import TokenToMask
from app.masking import Masker
from app.sealing import Sealer, derived_key
from app.secret import Secret


def leave(session: Session, run_id: int, run_token: Secret, token: Secret) -> None:
    """In the transaction that mints it; only whoever has the run's own token can read it."""
    sealed = _sealer(run_token).seal(token.reveal().encode(), _context(run_id))
    session.execute(insert(TokenToMask).values(run_id=run_id, sealed=sealed))


_FORGOTTEN_AFTER = timedelta(minutes=10)
"""After its ``exp``: more than clocks of verifiers may differ by."""
_FORGOTTEN_AT_ONCE = 10


class UnseenTokens:
    """Of one run, for the process that executes it. The masker forgets those that are long expired, which are
    no secrets any more: it needs megabytes for each.
    """

    def __init__(
        self, database: Database, clock: Clock, run_id: int, run_token: Secret, masker: Masker
    ) -> None:
        self._database = database
        self._clock = clock
        self._run_id = run_id
        self._sealer = _sealer(run_token)
        self._masker = masker
        self._known: set[int] = set()
        self._ends: dict[str, float] = {}

    def learn(self) -> None:
        """Enters those that are new; to be called when output was read, before it goes to the masker.

        A number is given out before its row is committed: a lower one may come later.
        """
        query = select(TokenToMask.id, TokenToMask.sealed).where(
            TokenToMask.run_id == self._run_id, TokenToMask.id.not_in(self._known)
        )
        with self._database.reading_connection() as connection:
            rows = connection.execute(query.order_by(TokenToMask.id)).all()
        for number, sealed in rows:
            token = self._sealer.open(sealed, _context(self._run_id)).decode()
            name = f"token {number} of run {self._run_id}"
            self._masker.add_token(Secret(token), name)
            self._ends[name] = _exp(token)
            self._known.add(number)
        self._forget()

    def _forget(self) -> None:
        now = self._clock().timestamp()
        over = {name for name, exp in self._ends.items() if exp + _FORGOTTEN_AFTER.total_seconds() < now}
        if len(over) >= _FORGOTTEN_AT_ONCE:
            self._masker.forget(over)
            self._ends = {name: exp for name, exp in self._ends.items() if name not in over}


def _exp(token: str) -> float:
    """Of one that we have made."""
    return float(json.loads(urlsafe_b64decode(token.split(".")[1] + "=="))["exp"])


def _sealer(run_token: Secret) -> Sealer:
    return Sealer(derived_key(run_token, "tokens to mask"))


def _context(run_id: int) -> bytes:
    return f"token of run {run_id}".encode()

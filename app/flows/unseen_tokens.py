"""Tokens that a run got over HTTP, on their way to the process that masks its output.

The token's row is written in the transaction that mints it, before it is released; the rows are read after a
piece of output has been and before it is masked. So whatever a step can have printed is known to the masker,
on whichever node it was minted.
"""

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from app.db import Database
from app.flows.models import TokenToMask
from app.masking import Masker
from app.sealing import Sealer, derived_key
from app.secret import Secret


def leave(session: Session, run_id: int, run_token: Secret, token: Secret) -> None:
    """In the transaction that mints it; only whoever has the run's own token can read it."""
    sealed = _sealer(run_token).seal(token.reveal().encode(), _context(run_id))
    session.execute(insert(TokenToMask).values(run_id=run_id, sealed=sealed))


class UnseenTokens:
    """Of one run, for the process that executes it."""

    def __init__(self, database: Database, run_id: int, run_token: Secret, masker: Masker) -> None:
        self._database = database
        self._run_id = run_id
        self._sealer = _sealer(run_token)
        self._masker = masker
        self._last = 0

    def learn(self) -> None:
        """Enters those that are new; to be called when output was read, before it goes to the masker."""
        query = select(TokenToMask.id, TokenToMask.sealed).where(
            TokenToMask.run_id == self._run_id, TokenToMask.id > self._last
        )
        with self._database.reading_connection() as connection:
            rows = connection.execute(query.order_by(TokenToMask.id)).all()
        for number, sealed in rows:
            token = self._sealer.open(sealed, _context(self._run_id)).decode()
            self._masker.add_token(Secret(token), f"token {number} of run {self._run_id}")
            self._last = number


def _sealer(run_token: Secret) -> Sealer:
    return Sealer(derived_key(run_token, "tokens to mask"))


def _context(run_id: int) -> bytes:
    return f"token of run {run_id}".encode()

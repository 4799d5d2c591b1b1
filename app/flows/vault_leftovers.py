"""Vault tokens that ended runs have left behind: ended as soon as their Vault answers."""

import logging
import threading
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.errors import Refusal
from app.flows import runs
from app.flows.models import Run, VaultLogin
from app.flows.vault import VaultAway
from app.flows.vault_logins import VaultLogins, dies_at
from app.ledger.actions import AuditAction, Outcome
from app.ledger.record import Actor, record

_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=10), timedelta(minutes=10)
_AT_ONCE = 500
_WORKER = Actor(name="worker")
_log = logging.getLogger(__name__)


def left_behind(session: Session) -> Sequence[VaultLogin]:
    """The logins of runs that have ended, the oldest first."""
    query = select(VaultLogin).join(Run, Run.id == VaultLogin.run_id).where(Run.state.in_(runs.ENDED))
    return session.scalars(query.order_by(VaultLogin.id).limit(_AT_ONCE)).all()


class VaultLeftovers:
    """One for each worker process; workers of several nodes may meet at a token, which ends it all the same.

    What cannot be ended is tried again after a pause that doubles, a Vault that is away as a whole.
    """

    def __init__(self, logins: VaultLogins) -> None:
        self._logins = logins
        self._pauses: dict[str | int, tuple[timedelta, datetime]] = {}
        self._under_way = threading.Lock()

    def end_soon(self) -> None:
        """In a thread of its own, unless one is at it: a Vault that does not answer holds nobody up."""
        if self._under_way.acquire(blocking=False):
            threading.Thread(target=self._end_quietly, name="vault-leftovers", daemon=True).start()

    def end(self) -> int:
        """How many tokens are certainly dead by it."""
        with self._logins.database.reading() as session:
            left = left_behind(session)
            session.expunge_all()
        self._forget_pauses(left)
        return sum(self._ended(kept) for kept in left)

    def _end_quietly(self) -> None:
        try:
            if ended := self.end():
                _log.warning("%d Vault tokens that runs had left behind are ended", ended)
        except SQLAlchemyError as error:
            _log.warning("Vault tokens of ended runs wait for the database: %s", type(error).__name__)
        finally:
            self._under_way.release()

    def _ended(self, kept: VaultLogin) -> bool:
        now, end = self._logins.clock(), dies_at(kept)
        if end is not None and end <= now:
            self._forget(kept, Outcome.FAILED, "it was never revoked; its own life is over")
            return True
        if any(key in self._pauses and now < self._pauses[key][1] for key in _keys(kept)):
            return False
        try:
            self._logins.reopen(kept).revoke()
        except Refusal as refusal:
            self._pause(kept, refusal, now)
            return False
        self._forget(kept, Outcome.SUCCESS, None)
        return True

    def _pause(self, kept: VaultLogin, why: Refusal, now: datetime) -> None:
        key = kept.server["url"] if isinstance(why, VaultAway) else kept.id
        last, _ = self._pauses.get(key, (_FIRST_PAUSE / 2, now))
        pause = min(2 * last, _LONGEST_PAUSE)
        self._pauses[key] = pause, now + pause
        _log.warning("run %d has left a Vault token alive, tried again in %s: %s", kept.run_id, pause, why)

    def _forget_pauses(self, left: Sequence[VaultLogin]) -> None:
        alive = {key for kept in left for key in _keys(kept)}
        self._pauses = {key: pause for key, pause in self._pauses.items() if key in alive}

    def _forget(self, kept: VaultLogin, outcome: Outcome, reason: str | None) -> None:
        detail = {"server": kept.server["url"], "reason": reason}
        with self._logins.database.writing() as session:
            row = session.get(VaultLogin, kept.id, with_for_update=True)
            if row is None:  # another node has ended it
                return
            session.delete(row)
            run = runs.find_run(session, kept.run_id)
            now = self._logins.clock()
            action = AuditAction.VAULT_TOKEN_REVOKE
            record(session, runs.transition(run, action, _WORKER, now, outcome=outcome, detail=detail))


def _keys(kept: VaultLogin) -> Iterator[str | int]:
    yield kept.server["url"]
    yield kept.id

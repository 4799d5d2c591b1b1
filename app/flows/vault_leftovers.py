"""Vault tokens that ended runs have left behind: ended as soon as their Vault answers.

A project chooses its Vaults, so that whatever they do is at its own cost: each project has its turn in every
round, and so many tokens and seconds of it.
"""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Select, select, true
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
_AT_ONCE = 100
_SECONDS_AT_ONCE = 10.0
_LONGEST_KEPT = timedelta(days=32)
"""Vault's own longest life of a token, unless it is set otherwise (768h, ``max_lease_ttl``)."""
_TOLD_AT_ONCE = 500
_WORKER = Actor(name="worker")
_log = logging.getLogger(__name__)


def left_behind(session: Session) -> Sequence[VaultLogin]:
    """The logins of runs that have ended, the oldest first; not more than somebody would read."""
    return session.scalars(_left(true()).limit(_TOLD_AT_ONCE)).all()


def _left(which: ColumnElement[bool]) -> Select[VaultLogin]:
    query = select(VaultLogin).join(Run, Run.id == VaultLogin.run_id)
    return query.where(Run.state.in_(runs.ENDED), which).order_by(VaultLogin.id)


class VaultLeftovers:
    """One for each worker process; workers of several nodes may meet at a token, which ends it all the same.

    What cannot be ended is tried again after a pause that doubles, a Vault that is away as a whole; and given
    up in the end.
    """

    def __init__(self, logins: VaultLogins) -> None:
        self._logins = logins
        self._last: dict[int, int] = {}
        """Of each project, the login that its last turn came to."""
        self._pauses: dict[str | int, tuple[timedelta, datetime]] = {}
        self._under_way = threading.Lock()

    def end_soon(self) -> None:
        """In a thread of its own, unless one is at it: a Vault that does not answer holds nobody up."""
        if self._under_way.acquire(blocking=False):
            try:
                threading.Thread(target=self._end_quietly, name="vault-leftovers", daemon=True).start()
            except RuntimeError:  # no thread can be had now
                self._under_way.release()

    def end(self) -> int:
        """One round; how many tokens are certainly dead by it."""
        with self._logins.database.reading() as session:
            projects = set(session.scalars(select(Run.project_id).distinct().join(VaultLogin)))
        self._last = {project: last for project, last in self._last.items() if project in projects}
        self._forget_pauses()
        return sum(self._turn_of(project) for project in sorted(projects))

    def _turn_of(self, project_id: int) -> int:
        """At least one is asked for."""
        ended, until = 0, time.monotonic() + _SECONDS_AT_ONCE
        for kept in self._next_of(project_id):
            self._last[project_id] = kept.id
            ended += self._ended(kept)
            if time.monotonic() >= until:
                break
        return ended

    def _next_of(self, project_id: int) -> Sequence[VaultLogin]:
        """Where its last turn ended, and from the beginning once more after the last of them."""
        its_own = Run.project_id == project_id
        with self._logins.database.reading() as session:
            after = VaultLogin.id > self._last.get(project_id, 0)
            left = session.scalars(_left(its_own & after).limit(_AT_ONCE)).all()
            if room := _AT_ONCE - len(left):
                left = [*left, *session.scalars(_left(its_own & ~after).limit(room))]
            session.expunge_all()
        return left

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
            self._forget(kept, Outcome.FAILED, "it is not known to be revoked; its own life is over")
            return True
        if kept.created_at + _LONGEST_KEPT <= now:
            given_up = f"it is not known to be revoked; given up after {_LONGEST_KEPT.days} days"
            self._forget(kept, Outcome.FAILED, given_up)
            return False
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

    def _forget_pauses(self) -> None:
        """Those that have been over for long: what they were for is gone, or begins anew."""
        over = self._logins.clock() - _LONGEST_PAUSE
        self._pauses = {key: pause for key, pause in self._pauses.items() if pause[1] > over}

    def _forget(self, kept: VaultLogin, outcome: Outcome, reason: str | None) -> None:
        detail = {"server": kept.server["url"], "reason": reason}
        self._pauses.pop(kept.id, None)
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

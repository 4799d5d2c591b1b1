"""One call of an operation: who calls, in which transaction, under which conditions."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import orjson
from sqlalchemy import Connection, select
from sqlalchemy.orm import Session

from app.errors import Denied, InvalidInput, NotFound
from app.flows.models import Run
from app.identity import facts, policy
from app.identity.models import Delegation, PersonalAccessToken, Principal, User
from app.identity.session_models import BrowserSession
from app.ledger.record import Actor
from app.operations.caller import Caller
from app.protocol.scopes import covers
from app.representation import Shape
from app.secret import Secret
from app.wiring import Components

_LONGEST = timedelta(days=36_500)
"""The command line's limit of a life."""


class Refused(Denied):
    """``project``: the path of the one that it is about."""

    def __init__(self, reason: str, project: str | None = None) -> None:
        super().__init__(reason)
        self.project = project


class Hidden(Refused):
    """A denial to somebody who may not know that the thing exists: answered as if it did not."""


class PreconditionFailed(Exception):  # noqa: N818 - an answer
    """RFC 9110 §15.5.13."""


@dataclass(frozen=True)
class Created:
    """201; ``path`` is where it is found below ``/api/v1``, where what is ``shown_once`` never is."""

    shape: Shape
    path: str
    shown_once: Shape = field(default_factory=dict)


@dataclass(frozen=True)
class Download:
    """Bytes as they are, under a file's name."""

    content: bytes
    name: str


def _unconditional(_etag: str | None) -> bool:
    return True


@dataclass(frozen=True, kw_only=True)
class Asking:
    """Who asks, as an edge has found out, and what came beside the operation's own arguments.

    ``prove`` finds the caller once more, in a transaction, or raises. ``permits``: whether the preconditions
    (RFC 9110 §13.1) hold of the present representation's entity tag, ``None`` when there is none.
    ``credential`` is the one that a run came with; ``address`` is the network address that is asked from.
    """

    caller: Caller
    prove: Callable[[Connection], Caller]
    request_id: str
    permits: Callable[[str | None], bool] = _unconditional
    idempotency_key: str | None = None
    credential: Secret | None = None
    address: str = ""


@dataclass
class Call:
    """``session`` is the operation's transaction: it commits when the handler returns. An operation that
    opens its own calls ``admit_again`` in it.
    """

    components: Components
    asking: Asking
    caller: Caller
    by: Actor
    now: datetime
    admit_again: Callable[[Session], Caller]
    _session: Session | None = None
    is_checked: bool = field(default=False, init=False)

    @property
    def session(self) -> Session:
        assert self._session is not None, "this operation opens nothing"  # noqa: S101 - our own mistake
        return self._session

    def within(self, session: Session) -> "Call":
        """For an operation that opens its transactions itself."""
        self.is_checked = True  # by the one that this makes
        return replace(self, _session=session)

    def held(self, session: Session) -> "Call":
        """Likewise in a transaction that changes something."""
        return replace(self.within(session), caller=held(self.components, session, self.asking))

    def is_self(self, user_id: int) -> bool:
        """Whether the caller is this human in person; an agent for them is not."""
        return self.caller.in_person and self.caller.user_id == user_id

    def require(self, permission: str, place: facts.Place, known_by: str = "project.read") -> None:
        """The intersection allows it here, or an administrator asks in person, or an auditor to read. Whoever
        may not read the place, nor what ``known_by`` is the permission for, is told that there is nothing.
        """
        if self.caller.has_everywhere(permission):
            if not place.exists:
                raise NotFound(place.path)
            return
        refusal = self.decide(permission, place).refusal
        if refusal is not None:
            known = self.may_read(place) or self.decide(known_by, place).allowed
            is_project = place.exists and place.project_id is not None
            raise (Refused if known else Hidden)(refusal.reason, place.path if is_project else None)

    def may_read(self, place: facts.Place) -> bool:
        """Whether it may be told that the place is there."""
        return self.caller.sees_all or self.decide("project.read", place).allowed

    def require_scope(self, permission: str) -> None:
        if not covers(self.caller.scopes, (permission,)):
            raise Denied(f"The token's scopes do not cover {permission}.")

    def decide(self, permission: str, place: facts.Place) -> policy.Decision:
        """From this transaction, never from a cache."""
        return policy.decide(self.known(place), self.caller.question(permission), self.now)

    def known(self, place: facts.Place | None = None) -> facts.Facts:
        """Of the caller, as this transaction sees it."""
        return facts.load(
            self.session,
            user_id=self.caller.user_id,
            service_account_id=self.caller.service_account_id,
            place=place,
            now=self.now,
        )

    def check(self, current: Shape | None) -> None:
        """The preconditions against the present representation, which must have been read in this
        transaction; ``None`` when there is none.
        """
        self.is_checked = True
        etag = None if current is None else etag_of(orjson.dumps(current))
        if not self.asking.permits(etag):
            raise PreconditionFailed

    def lock(self, row: object) -> None:
        """Reads it anew, for us alone until the end: what ``check`` sees is what is changed, on two nodes."""
        self.session.refresh(row, with_for_update={"of": type(row)})

    def expiry(self, expires_at: datetime | None, default: timedelta | None = None) -> datetime | None:
        """As far ahead as the command line allows, and no further."""
        if expires_at is None:
            return None if default is None else self.now + default
        if not timedelta(0) < expires_at - self.now <= _LONGEST:
            years = _LONGEST.days // 365
            raise InvalidInput(f"expires_at: choose a time that is still to come, within {years} years")
        return expires_at


@contextmanager
def naming(key: str) -> Iterator[None]:
    """What a member of the body names must be there: not finding it is that member's fault."""
    try:
        yield
    except NotFound:
        raise InvalidInput(f"{key}: names nothing that there is") from None


def held(components: Components, session: Session, asking: Asking) -> Caller:
    """Proved once more, and what they live from stays until this transaction ends: whoever kills it waits.

    PostgreSQL's transaction is no snapshot; SQLite's is alone. In the order in which ``flows.kill`` goes.
    """
    caller = asking.caller
    lives_from = (
        (Run, caller.run_id),
        (Principal, caller.user_id),
        (Principal, caller.service_account_id),
        (User, caller.user_id),
        (Delegation, caller.delegation_id),
        (PersonalAccessToken, caller.personal_access_token_id),
        (BrowserSession, caller.session_id),
    )
    for table, number in lives_from if not components.database.is_sqlite else ():
        if number is not None:
            session.execute(select(table.id).where(table.id == number).with_for_update(read=True))
    return asking.prove(session.connection())


def etag_of(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:32]

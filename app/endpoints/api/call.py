"""One call of an operation: who calls, in which transaction, under which conditions."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import orjson
from flask import request
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.endpoints.caller import Caller, authenticate
from app.errors import Denied, InvalidInput, NotFound
from app.flows.models import Run
from app.identity import facts, policy
from app.identity.models import Delegation, PersonalAccessToken, Principal, User
from app.ledger.record import Actor
from app.protocol.scopes import covers
from app.representation import Shape
from app.wiring import Components

_LONGEST = timedelta(days=36_500)
"""The command line's limit of a life."""


BEARER = frozenset({"bearer"})


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


@dataclass
class Call:
    """``session`` is the operation's transaction: it commits when the handler returns. An operation that
    opens its own calls ``admit_again`` in it.
    """

    components: Components
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
        return replace(self.within(session), caller=held(self.components, session, self.caller))

    def is_self(self, user_id: int) -> bool:
        """Whether the caller is this human in person; an agent for them is not."""
        return self.caller.in_person and self.caller.user_id == user_id

    def require(self, permission: str, place: facts.Place) -> None:
        """The intersection allows it here, or an administrator asks in person. Whoever may not read the
        place is told that there is nothing.
        """
        if self.caller.is_admin:
            if not place.exists:
                raise NotFound(place.path)
            return
        refusal = self.decide(permission, place).refusal
        if refusal is not None:
            known = self.decide("project.read", place).allowed
            is_project = place.exists and place.project_id is not None
            raise (Refused if known else Hidden)(refusal.reason, place.path if is_project else None)

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
        """``If-Match`` and ``If-None-Match`` against the present representation (RFC 9110 §13.1), which must
        have been read in this transaction; ``None`` when there is none.
        """
        self.is_checked = True
        etag = None if current is None else etag_of(orjson.dumps(current))
        matches, differs = request.if_match, request.if_none_match
        if "If-Match" in request.headers and (etag is None or not matches.contains(etag)):
            raise PreconditionFailed
        if "If-None-Match" in request.headers and etag is not None and differs.contains_weak(etag):
            raise PreconditionFailed

    def lock(self, row: object) -> None:
        """Reads it anew, for us alone until the end: what ``check`` sees is what is changed, on two nodes."""
        self.session.refresh(row, with_for_update={"of": type(row)})

    def expiry(self, expires_at: datetime | None, default: timedelta | None = None) -> datetime | None:
        """As far ahead as the command line allows, and no further."""
        if expires_at is None:
            return None if default is None else self.now + default
        if not timedelta(0) < expires_at - self.now <= _LONGEST:
            raise InvalidInput(f"expires_at: choose a time in the next {_LONGEST.days} days")
        return expires_at


@contextmanager
def naming(key: str) -> Iterator[None]:
    """What a member of the body names must be there: not finding it is that member's fault."""
    try:
        yield
    except NotFound:
        raise InvalidInput(f"{key}: names nothing that there is") from None


def held(components: Components, session: Session, caller: Caller) -> Caller:
    """Proved once more, and what they live from stays until this transaction ends: whoever kills it waits.

    PostgreSQL's transaction is no snapshot; SQLite's is alone. In the order in which ``flows.kill`` goes.
    """
    lives_from = (
        (Run, caller.run_id),
        (Principal, caller.user_id),
        (Principal, caller.service_account_id),
        (User, caller.user_id),
        (Delegation, caller.delegation_id),
        (PersonalAccessToken, caller.personal_access_token_id),
    )
    for table, number in lives_from if not components.database.is_sqlite else ():
        if number is not None:
            session.execute(select(table.id).where(table.id == number).with_for_update(read=True))
    return authenticate(components, session.connection(), BEARER)


def etag_of(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:32]

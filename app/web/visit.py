"""Who is signed in, and what they may ask for: the operations of the API, as themselves."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from http import HTTPStatus
from typing import Any

import orjson
from flask import g
from pydantic import BaseModel, ValidationError
from sqlalchemy import Connection

from app.errors import Conflict, Denied, InvalidInput, NotFound, Overtaken, Refusal
from app.flows.faults import ConfigurationError
from app.identity import sessions
from app.identity.csrf import csrf_token
from app.identity.sessions import Holder
from app.ledger.actions import Outcome as Told
from app.operations.audit_events import list_audit_events
from app.operations.call import Asking, Created, PreconditionFailed, etag_of
from app.operations.caller import Caller, Proof
from app.operations.operation import Operation
from app.operations.performing import admit, perform
from app.operations.problem import Problem, unprocessable
from app.operations.reading import fault_of, faults, misconfigured, read_texts
from app.operations.resources import operations
from app.representation import Shape
from app.secret import Secret
from app.web.step_up import NEEDS_RECENT_SIGN_IN, RECENT, SignInAgain
from app.wiring import Components

Values = Mapping[str, Any]
NOTHING: Values = {}
_STALE = "It was changed meanwhile: look at it as it is now, and do it again."
REFUSALS = (Denied, Conflict, Overtaken, PreconditionFailed, InvalidInput, NotFound, Refusal, Problem)
ABSENT = ""
"""The entity tag of what is not there yet."""


class Misnamed(NotFound):
    """Nothing can be called so: a page that there is not, and the fault of the field where it was typed."""

    def __init__(self, remedies: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self.remedies = remedies


class SignedOut(Exception):  # noqa: N818 - an answer
    """The session has ended, perhaps a moment ago."""


@dataclass(frozen=True)
class Outcome:
    """What came of a form: ``answer`` when it was done, else ``refusal``, with ``faults`` by field.

    ``errors``: the same in full, as the API has them.
    """

    answer: Any = None
    refusal: str | None = None
    faults: Mapping[str, str] = field(default_factory=dict)
    status: int = 200
    errors: Sequence[Mapping[str, Any]] = ()

    @property
    def is_stale(self) -> bool:
        """Refused because it was changed since the form was made."""
        return self.status == HTTPStatus.PRECONDITION_FAILED


@dataclass
class Visit:
    """One request of a human who is signed in."""

    components: Components
    holder: Holder
    secret: Secret
    request_id: str

    @property
    def login(self) -> str:
        return self.holder.login

    @property
    def role(self) -> str:
        """What the console calls them; who may what is the operations' to say."""
        return _role(self.holder)

    @property
    def is_recent(self) -> bool:
        return self.now - self.holder.authenticated_at <= RECENT

    @cached_property
    def now(self) -> datetime:
        return self.components.clock()

    @cached_property
    def csrf_token(self) -> str:
        return csrf_token(self.secret)

    def etag(self, shape: Shape | None) -> str:
        """Of an operation's answer, for the form that changes it."""
        return ABSENT if shape is None else etag_of(orjson.dumps(shape))

    def ask(
        self,
        handler: Callable[..., Any],
        *,
        body: Values | None = None,
        query: Values = NOTHING,
        once: str | None = None,
        etag: str | None = None,
        **path: Any,
    ) -> Any:
        """The operation's answer: a shape, with what is shown once in it; a ``Download``; or ``None``. Raises
        what it refuses with (``REFUSALS``), and ``SignInAgain`` before anything dangerous.

        ``body`` is of JSON's types; texts of ``query`` are read as a URL's, and empty ones are absent;
        ``once`` is an idempotency key. ``etag`` is that of what the form was made from, or ``ABSENT``, and it
        must be so still; ``None``: as it may be.
        """
        operation = operations()[handler]
        if operation.id in NEEDS_RECENT_SIGN_IN and not self.is_recent:
            raise SignInAgain
        asking = Asking(
            caller=_caller(self.holder),
            prove=self._prove,
            request_id=self.request_id,
            permits=lambda present: etag is None or etag == (present or ABSENT),
            idempotency_key=once,
            address=g.address,
        )
        admit(self.components, asking, operation)
        answered = perform(self.components, asking, operation, _arguments(operation, path, query, body))
        return answered.shape | answered.shown_once if isinstance(answered, Created) else answered

    def attempt(
        self,
        handler: Callable[..., Any],
        *,
        body: Values | None = None,
        query: Values = NOTHING,
        once: str | None = None,
        etag: str | None = None,
        **path: Any,
    ) -> Outcome:
        """``ask`` for a form that is shown again, with the reason, when it is refused."""
        try:
            return Outcome(self.ask(handler, body=body, query=query, once=once, etag=etag, **path))
        except Misnamed as refusal:
            return refused(unprocessable(refusal.remedies))
        except REFUSALS as refusal:
            g.was_refused = not isinstance(refusal, NotFound)
            return refused(refusal)

    def has_told(self) -> bool:
        """Whether the ledger has, for them to see, what was refused in this request."""
        query = {"request_id": self.request_id, "limit": "5"}
        found = self.ask(list_audit_events, query=query)["items"]
        return any(each["outcome"] != Told.SUCCESS for each in found)

    def _prove(self, connection: Connection) -> Caller:
        parts = self.components
        holder = sessions.authenticate(connection, self.secret, parts.clock(), parts.session_limits)
        if holder is None or holder.user_id != self.holder.user_id:
            raise SignedOut
        return _caller(holder)


def this_visit() -> Visit:
    """Of the request that is being answered; pages that need none never ask."""
    visit: Visit = g.visit
    return visit


def refused(refusal: Exception) -> Outcome:
    """In words for the human who asked."""
    if isinstance(refusal, ConfigurationError):
        refusal = misconfigured(refusal)
    if isinstance(refusal, Problem):
        faults = {str(each["key"]): str(each["fix"]) for each in refusal.errors}
        return Outcome(None, str(refusal), faults, refusal.status, errors=refusal.errors)
    if isinstance(refusal, InvalidInput):
        return Outcome(None, str(refusal), dict([fault_of(str(refusal))]), 422)
    if isinstance(refusal, NotFound):
        return Outcome(None, "There is nothing here that you may see.", status=404)
    if isinstance(refusal, PreconditionFailed):
        return Outcome(None, _STALE, status=HTTPStatus.PRECONDITION_FAILED)
    return Outcome(None, str(refusal), status=403 if isinstance(refusal, Denied) else 409)


def _caller(holder: Holder) -> Caller:
    return Caller(
        Proof.SESSION,
        user_id=holder.user_id,
        is_admin=holder.is_admin,
        is_auditor=holder.is_auditor,
        session_id=holder.session_id,
    )


def _role(holder: Holder) -> str:
    if holder.is_admin:
        return "administrator"
    return "auditor" if holder.is_auditor else "member"


def _arguments(operation: Operation, path: Values, query: Values, body: Values | None) -> dict[str, Any]:
    try:
        arguments = dict(_read(operation.path, path))
    except ValidationError as error:
        raise Misnamed(faults(error, operation.path)) from None
    if operation.query is not None:
        given = {name: value for name, value in query.items() if value not in {"", None}}
        arguments["query"] = _checked(operation.query, given, read_texts)
    if operation.body is not None:
        arguments["body"] = _checked(operation.body, body or {}, _read)
    elif operation.takes is not None:
        arguments["content"] = (body or {})["content"]
    return arguments


def _checked(model: type[BaseModel], given: Values, read: Callable[..., BaseModel]) -> BaseModel:
    try:
        return read(model, given)
    except ValidationError as error:
        raise unprocessable(faults(error, model)) from None


def _read(model: type[BaseModel], given: Values) -> BaseModel:
    """As a body is read: what JSON has no type for is its text."""
    return model.model_validate_json(orjson.dumps(given), strict=True)

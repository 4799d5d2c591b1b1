"""OpenID AuthZEN Authorization API 1.0: may this identity do this here, and why not.

A denial is an answer: 200 with ``decision: false``. Reasons are for those whom they concern.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

import orjson
from flask import Blueprint, Response, request
from sqlalchemy import Connection

from app.endpoints.caller import Caller, Proof, authenticate
from app.endpoints.problems import Problem
from app.identity import facts
from app.identity.facts_cache import Key
from app.identity.policy import Conjunct, ConjunctName, Question, decide
from app.protocol import authzen
from app.protocol.principals import PrincipalKind, parse_principal
from app.representation import Shape, conjunct
from app.tokens.presented import may_ask_about
from app.wiring import Components

ACCESS_TOKEN = "access_token"  # noqa: S105 - a subject's type
_PLACES = {"project": facts.project_at, "group": facts.group_at}
_NOBODY = 0  # no principal has this number
_LONGEST_REQUEST_ID = 128
Asked = TypeVar("Asked")


@dataclass(frozen=True, slots=True)
class _Subject:
    """Who would act, and what limits it: nothing, or the token that it shows."""

    user_id: int | None
    service_account_id: int | None
    scopes: tuple[str, ...] | None = None
    delegation_id: int | None = None


class _Unknown(Exception):  # noqa: N818 - a denial whose reason is known before anything is decided
    def __init__(self, name: ConjunctName, reason: str) -> None:
        super().__init__(reason)
        self.conjunct = Conjunct(name, allowed=False, reason=reason)


def blueprint(components: Components) -> Blueprint:
    access = Blueprint("authzen", __name__)
    issuer = components.settings.issuer

    @access.after_request
    def echo_request_id(response: Response) -> Response:
        """§10.1.7: the caller's own identifier comes back."""
        given = request.headers.get("X-Request-Id", "")
        if given and len(given) <= _LONGEST_REQUEST_ID and given.isascii() and given.isprintable():
            response.headers["X-Request-Id"] = given
        return response

    @access.get(authzen.CONFIGURATION + urlsplit(issuer).path)
    @access.get(authzen.CONFIGURATION)
    def configuration() -> Response:
        return _json(authzen.pdp_metadata(issuer))

    @access.post(authzen.EVALUATION)
    def evaluation() -> Response:
        caller = authenticate(components)
        asked = _read(authzen.read_evaluation)
        with components.database.reading_connection() as connection:
            return _json(_Decisions(components, connection, caller).answer(asked))

    @access.post(authzen.EVALUATIONS)
    def evaluations() -> Response:
        caller = authenticate(components)
        asked = _read(authzen.read_evaluations)
        with components.database.reading_connection() as connection:
            decisions = _Decisions(components, connection, caller)
            if isinstance(asked, authzen.Evaluation):
                return _json(decisions.answer(asked))
            return _json({"evaluations": decisions.answers(asked)})

    return access


@dataclass(frozen=True, slots=True)
class _Decisions:
    """The decisions of one request, all from one snapshot or from facts that are a second old at most."""

    components: Components
    connection: Connection
    caller: Caller

    def answers(self, batch: authzen.Batch) -> list[Shape]:
        found: list[Shape] = []
        for each in batch.evaluations:
            found.append(_fault(each) if isinstance(each, authzen.MalformedRequest) else self.answer(each))
            if batch.semantic.ends_at(decision=found[-1]["decision"]):
                break
        return found

    def answer(self, asked: authzen.Evaluation) -> Shape:
        """``context.reasons``, conjunct by conjunct, only for a caller who may know them."""
        try:
            subject = self._subject(asked.subject)
            conjuncts = self._decide(subject, asked)
            is_open = self._may_know(subject)
        except _Unknown as unknown:
            conjuncts, is_open = (unknown.conjunct,), True
        answer: Shape = {"decision": all(each.allowed for each in conjuncts)}
        if is_open:
            answer["context"] = {"reasons": [conjunct(each) for each in conjuncts]}
        return answer

    def _decide(self, subject: _Subject, asked: authzen.Evaluation) -> tuple[Conjunct, ...]:
        kind, resource = asked.resource.type, asked.resource.id
        if kind not in _PLACES:
            raise _Unknown(ConjunctName.HUMAN, f"resource.type: use one of {', '.join(_PLACES)}")
        key = Key(subject.user_id, subject.service_account_id, kind, resource)
        known = self.components.facts_cache.get(key, lambda: self._facts(key))
        question = Question(asked.action, subject.scopes, subject.delegation_id)
        return decide(known, question, self.components.clock()).conjuncts

    def _facts(self, key: Key) -> facts.Facts:
        return facts.load(
            self.connection,
            user_id=key.user_id,
            service_account_id=key.service_account_id,
            place=_PLACES[key.resource_type](self.connection, key.resource_id),
        )

    def _subject(self, given: authzen.Entity) -> _Subject:
        if given.type == ACCESS_TOKEN:
            return self._token(given.id)
        principal = parse_principal(f"{given.type}:{given.id}")
        if principal is None:
            raise _Unknown(ConjunctName.HUMAN, "subject: no human, service account or token is named so")
        kind, number = principal
        if kind is PrincipalKind.USER:
            return _Subject(number, None)
        return _Subject(_on_behalf_of(given), number)

    def _token(self, text: str) -> _Subject:
        """A token counts for those alone whom it is for, or who it is from: others could pass it on."""
        components, caller = self.components, self.caller
        token = components.read_access_token(self.connection, text)
        if token is None:
            raise _Unknown(ConjunctName.ACTIVE, "the token is none of ours, has expired, or was cut off")
        is_own = caller.jti == token.jti
        is_theirs = caller.proof is Proof.CLIENT_SECRET and may_ask_about(
            self.connection, caller.service_account_id or _NOBODY, token.audience
        )
        if not (is_own or is_theirs or caller.is_admin):
            raise _Unknown(ConjunctName.ACTIVE, "the token is not for an audience of this caller's")
        return _Subject(token.user_id, token.service_account_id, token.scopes, token.delegation_id)

    def _may_know(self, subject: _Subject) -> bool:
        """Administrators, the human concerned, resource servers, and the agent by a token of this pair."""
        caller = self.caller
        if caller.is_admin or caller.proof is Proof.CLIENT_SECRET:
            return True
        if caller.proof is Proof.PERSONAL_ACCESS_TOKEN:
            return caller.user_id == subject.user_id
        asked = (subject.user_id, subject.service_account_id)
        return (caller.user_id, caller.service_account_id) == asked


def _on_behalf_of(subject: authzen.Entity) -> int | None:
    """The human's number; whatever does not name a human names nobody, and never means "alone"."""
    if "on_behalf_of" not in subject.properties:
        return None
    named = subject.properties["on_behalf_of"]
    principal = parse_principal(named) if isinstance(named, str) else None
    return principal[1] if principal is not None and principal[0] is PrincipalKind.USER else _NOBODY


def _read(reader: Callable[[object], Asked]) -> Asked:
    """The body, which must be JSON and say so (§10.1); every fault of the whole request is a 400."""
    if request.mimetype != "application/json":
        raise Problem(400, "Bad Request", "Content-Type must be application/json.")
    try:
        return reader(orjson.loads(request.get_data()))
    except orjson.JSONDecodeError:
        raise Problem(400, "Bad Request", "The body is not JSON.") from None
    except authzen.MalformedRequest as fault:
        raise Problem(400, "Bad Request", str(fault)) from None


def _fault(fault: authzen.MalformedRequest) -> Shape:
    """An error of one evaluation among others (§7.2.1)."""
    return {"decision": False, "context": {"error": {"status": 400, "message": str(fault)}}}


def _json(body: object) -> Response:
    return Response(orjson.dumps(body), content_type="application/json")

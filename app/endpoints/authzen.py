"""OpenID AuthZEN Authorization API 1.0: may this identity do this here, and why not.

A denial is an answer: 200 with ``decision: false``, and has a row in the ledger. Who may not ask about a
subject gets one that says nothing of it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar
from urllib.parse import urlsplit

import orjson
from flask import Blueprint, Response, request
from sqlalchemy import Connection

from app.endpoints.caller import authenticate, only_project, place_of, record_refusals
from app.identity import facts
from app.identity.facts_cache import Key
from app.identity.permissions import PERMISSIONS
from app.identity.policy import Conjunct, ConjunctName, Decision, Question, decide, decide_for_the_blind
from app.ledger.actions import AuditAction
from app.operations.caller import Caller, Proof
from app.operations.problem import Problem
from app.protocol import authzen
from app.protocol.principals import PrincipalKind, parse_principal, parties
from app.representation import Shape, conjunct
from app.tokens.introspectors import is_introspector
from app.tokens.presented import NotAlive
from app.tokens.strangers import Refusal
from app.wiring import Components

ACCESS_TOKEN = "access_token"  # noqa: S105 - a subject's type
_PLACES = {"project": facts.project_at, "group": facts.group_at}
_NOBODY = 0  # no principal has this number
_LONGEST_REQUEST_ID = 128
Asked = TypeVar("Asked")


_FOREIGN_OR_DEAD = "the token is not alive, or not this caller's to ask about"
_MAY_NOT_ASK: Shape = {"error": {"status": 403, "message": "subject: it is not this caller's to ask about"}}
"""The same for all whom the caller may not ask about, be there such a one or not."""


@dataclass(frozen=True, slots=True)
class _Subject:
    """Who would act, and what limits it: nothing, or the token that it shows."""

    user_id: int | None
    service_account_id: int | None
    scopes: tuple[str, ...] | None = None
    delegation_id: int | None = None
    project_id: int | None = None
    is_of_run: bool = False

    def question(self, permission: str) -> Question:
        return Question(
            permission, self.scopes, self.delegation_id, self.project_id, is_of_run=self.is_of_run
        )

    @property
    def parties(self) -> dict[str, str | None]:
        """The ledger's columns."""
        return parties(self.user_id, self.service_account_id)


class _Denied(Exception):  # noqa: N818 - an answer
    """Before anything is decided. ``cause`` and ``parties`` are the ledger's, ``context`` the caller's."""

    def __init__(self, cause: str, context: Shape, parties: Mapping[str, Any] | None = None) -> None:
        super().__init__(cause)
        self.cause = cause
        self.context = context
        self.parties = parties or {}


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
        return answered(authenticate(components), _read(authzen.read_evaluation))

    @access.post(authzen.EVALUATIONS)
    def evaluations() -> Response:
        return answered(authenticate(components), _read(authzen.read_evaluations))

    def answered(caller: Caller, asked: authzen.Evaluation | authzen.Batch) -> Response:
        with components.database.reading_connection() as connection:
            decisions = _Decisions(components, connection, caller)
            if isinstance(asked, authzen.Evaluation):
                answer = decisions.answer(asked)
            else:
                answer = {"evaluations": decisions.answers(asked)}
        record_refusals(components, *decisions.refusals)
        return _json(answer)

    return access


@dataclass
class _Decisions:
    """The decisions of one request, all from one snapshot or from facts that are a second old at most."""

    components: Components
    connection: Connection
    caller: Caller
    refusals: list[Refusal] = field(default_factory=list)

    def answers(self, batch: authzen.Batch) -> list[Shape]:
        found: list[Shape] = []
        for each in batch.evaluations:
            found.append(_fault(each) if isinstance(each, authzen.MalformedRequest) else self.answer(each))
            if batch.semantic.ends_at(decision=found[-1]["decision"]):
                break
        return found

    def answer(self, asked: authzen.Evaluation) -> Shape:
        """``context.reasons``, conjunct by conjunct: whoever may ask may know them."""
        try:
            subject = self._subject(asked.subject)
            decision = self._decide(subject, asked)
        except _Denied as denial:
            self._refuse(denial.cause, denial.parties)
            return {"decision": False, "context": denial.context}
        return {"decision": decision.allowed, "context": _reasons(*decision.conjuncts)}

    def _decide(self, subject: _Subject, asked: authzen.Evaluation) -> Decision:
        resource, now = asked.resource, self.components.clock()
        if resource.type not in _PLACES:
            reason = f"resource.type: use one of {', '.join(_PLACES)}"
            raise _Denied(reason, _refusing(ConjunctName.HUMAN, reason), subject.parties)
        known = self._facts(subject.user_id, subject.service_account_id, resource)
        question = subject.question(asked.action)
        decision = decide(known, question, now)
        if (refusal := decision.refusal) is None:
            return decision
        project = known.place.path if known.place and known.place.exists and known.place.project_id else None
        permission = asked.action if asked.action in PERMISSIONS else None
        cause = f"{refusal.name}: {refusal.reason}"
        self._refuse(cause, subject.parties, project=project, permission=permission)
        return decision if self._may_see(resource) else decide_for_the_blind(known, question, now)

    def _facts(
        self, user_id: int | None, service_account_id: int | None, resource: authzen.Entity
    ) -> facts.Facts:
        key = Key(user_id, service_account_id, resource.type, resource.id)
        return self.components.facts_cache.get(
            key,
            lambda: facts.load(
                self.connection,
                user_id=user_id,
                service_account_id=service_account_id,
                place=_PLACES[resource.type](self.connection, resource.id),
                now=self.components.clock(),
            ),
        )

    def _subject(self, given: authzen.Entity) -> _Subject:
        if given.type == ACCESS_TOKEN:
            return self._token(given.id)
        principal = parse_principal(f"{given.type}:{given.id}")
        if principal is None:
            reason = "subject: no human, service account or token is named so"
            raise _Denied(reason, _refusing(ConjunctName.HUMAN, reason))
        kind, number = principal
        human, only = _on_behalf_of(given), self.caller.project_id
        is_user = kind is PrincipalKind.USER
        subject = _Subject(number, None, project_id=only) if is_user else _Subject(human, number)
        if not self._may_ask_about(subject):
            raise _Denied("the caller may not ask about it", _MAY_NOT_ASK, subject.parties)
        if is_user and human is not None:
            reason = "a human acts for nobody: there are no chains"
            raise _Denied(reason, _refusing(ConjunctName.HUMAN, reason), subject.parties)
        return subject

    def _token(self, text: str) -> _Subject:
        """A token counts for those alone whom it is for, or who it is from: others could pass it on."""
        caller, asker = self.caller, None
        if caller.proof is Proof.CLIENT_SECRET:
            asker = caller.service_account_id
        context = _refusing(ConjunctName.ACTIVE, _FOREIGN_OR_DEAD)
        try:
            token = self.components.read_access_token(self.connection, text, asker)
        except NotAlive as dead:
            raise _Denied(dead.cause, context, dead.parties) from None
        if not (caller.jti == token.jti or token.is_asked_by_its_api or caller.sees_all):
            raise _Denied("the token is not for an audience of the caller's", context, token.parties)
        return _Subject(
            token.user_id,
            token.service_account_id,
            token.scopes,
            token.delegation_id,
            only_project(token, place_of(self.connection, token)),
            is_of_run=token.run_id is not None,
        )

    def _may_ask_about(self, subject: _Subject) -> bool:
        """Who sees all and resource servers about anybody, a human about all that acts in their name, and
        everybody about the identity that they are.
        """
        caller = self.caller
        if caller.proof is Proof.PERSONAL_ACCESS_TOKEN:
            return caller.sees_all or caller.user_id == subject.user_id
        itself = (caller.user_id, caller.service_account_id)
        return itself == (subject.user_id, subject.service_account_id) or self._is_resource_server

    @cached_property
    def _is_resource_server(self) -> bool:
        """It introspects some API: such a one is trusted with what it would learn as its tokens come in."""
        caller = self.caller
        return (
            caller.proof is Proof.CLIENT_SECRET
            and caller.service_account_id is not None
            and is_introspector(self.connection, caller.service_account_id)
        )

    def _may_see(self, resource: authzen.Entity) -> bool:
        """Whether the caller may know what is there: others are told the same as if nothing were."""
        caller = self.caller
        if caller.sees_all or self._is_resource_server:
            return True
        known = self._facts(caller.user_id, caller.service_account_id, resource)
        return decide(known, caller.question("project.read"), self.components.clock()).allowed

    def _refuse(
        self,
        cause: str,
        parties: Mapping[str, Any],
        *,
        project: str | None = None,
        permission: str | None = None,
    ) -> None:
        """Under the names of the subject; where nobody is known, the caller's."""
        is_known = parties.get("user") or parties.get("service_account")
        columns = dict(parties) if is_known else {**parties, **self.caller.parties}
        self.refusals.append(
            Refusal(
                by=self.caller.actor(None),
                action=AuditAction.ACCESS_EVALUATE,
                cause=cause,
                project=project,
                permission=permission,
                **columns,
            )
        )


def _reasons(*conjuncts: Conjunct) -> Shape:
    return {"reasons": [conjunct(each) for each in conjuncts]}


def _refusing(name: ConjunctName, reason: str) -> Shape:
    return _reasons(Conjunct(name, allowed=False, reason=reason))


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

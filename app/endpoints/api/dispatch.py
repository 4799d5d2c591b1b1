"""From a request to its operation and back: who may, in which transaction, and how a refusal is answered."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

import orjson
from flask import Response, g, request
from pydantic import ValidationError
from sqlalchemy.orm import Session
from werkzeug.routing import Map, Rule

from app.endpoints.api import reading
from app.endpoints.api.blueprint import PREFIX
from app.endpoints.api.call import (
    BEARER,
    Call,
    Created,
    Download,
    Hidden,
    PreconditionFailed,
    Refused,
    etag_of,
    held,
)
from app.endpoints.api.documents import DOCUMENTS
from app.endpoints.api.operations import By, Operation
from app.endpoints.api.resources import RESOURCES
from app.endpoints.caller import Caller, Proof, authenticate
from app.endpoints.problems import Problem
from app.errors import Conflict, Denied, InvalidInput, NotFound, Overtaken
from app.flows.faults import ConfigurationError
from app.flows.sources import SourceUnavailable
from app.ledger.actions import AuditAction, Outcome
from app.ledger.record import record
from app.wiring import Components

_NOT_FOUND = "There is nothing here that you may see."


class Dispatch:
    def __init__(self, components: Components) -> None:
        self._components = components
        self._issuer = components.settings.issuer

    def answer(self, path: str) -> Response:
        """``path`` is what follows ``/api/v1``."""
        operation, values = _routes().bind("").match(path, request.method)
        try:
            if isinstance(operation, str):
                return self._publish(operation)
            return self._respond(operation, self._run(operation, values))
        except PreconditionFailed:
            detail = "It is not as If-Match or If-None-Match says: read it again."
            raise Problem(412, "Precondition Failed", detail) from None
        except ConfigurationError as error:
            raise reading.misconfigured(error) from None
        except InvalidInput as refusal:
            raise reading.unprocessable([_fault(str(refusal))]) from None
        except NotFound:
            raise Problem(404, "Not Found", _NOT_FOUND) from None
        except SourceUnavailable as refusal:
            raise Problem(502, "Bad Gateway", str(refusal)) from None
        except (Conflict, Overtaken) as refusal:
            raise Problem(409, "Conflict", str(refusal)) from None

    def _run(self, operation: Operation, values: Mapping[str, Any]) -> Any:
        """The caller proves to be one before the request is read, and once more in the transaction, where
        nothing can have changed when it commits.
        """
        caller = authenticate(self._components, schemes=BEARER, is_for_runs=operation.by is By.RUN)
        try:
            _admit(caller, operation)
            arguments = _arguments(operation, values)
            with self._transaction(operation) as session:
                if operation.opens == "writing" and session is not None:
                    caller = self._admit_again(operation, caller, session)
                call = Call(
                    self._components,
                    caller,
                    caller.actor(g.request_id),
                    self._components.clock(),
                    partial(self._admit_again, operation, caller),
                    session,
                )
                answered = operation.handler(call, **arguments)
                assert call.is_checked or not operation.conditional, operation.id  # noqa: S101 - our own mistake
                return answered
        except Denied as denial:
            self._record(caller, operation, denial)
            if isinstance(denial, Hidden):
                raise NotFound from None
            raise Problem(403, "Forbidden", str(denial)) from None

    def _admit_again(self, operation: Operation, caller: Caller, session: Session) -> Caller:
        found = held(self._components, session, caller)
        _admit(found, operation)
        return found

    @contextmanager
    def _transaction(self, operation: Operation) -> Iterator[Session | None]:
        database = self._components.database
        if operation.opens == "nothing":
            yield None
        else:
            with database.reading() if operation.opens == "reading" else database.writing() as session:
                yield session

    def _record(self, caller: Caller, operation: Operation, denial: Denied) -> None:
        event = caller.actor(g.request_id).did(
            AuditAction.OPERATION_CALL,
            self._components.clock(),
            outcome=Outcome.DENIED,
            project=denial.project if isinstance(denial, Refused) else None,
            run=caller.run_id,
            detail={"operation": operation.id, "cause": str(denial)},
            **caller.parties,
        )
        with self._components.database.writing_connection() as connection:
            record(connection, event)

    def _respond(self, operation: Operation, answered: Any) -> Response:
        if answered is None:
            return Response(status=204)
        if isinstance(answered, Download):
            return _unless_known(_download(answered, operation.gives))
        created = isinstance(answered, Created)
        shape = answered.shape if isinstance(answered, Created) else answered
        response = Response(orjson.dumps(shape), 201 if created else 200, content_type="application/json")
        response.set_etag(etag_of(response.data))
        if isinstance(answered, Created):
            response.data = orjson.dumps(shape | answered.shown_once)
            response.headers["Location"] = f"{self._issuer}{PREFIX}{answered.path}"
        return _unless_known(response) if operation.method == "GET" else response

    def _publish(self, path: str) -> Response:
        document = DOCUMENTS[path](self._issuer)
        response = Response(document, content_type="application/json")
        response.set_etag(etag_of(document))
        response.headers["Cache-Control"] = "public, max-age=3600"
        response.headers["Access-Control-Allow-Origin"] = "*"  # editors run in browsers too
        return _unless_known(response)


def _download(of: Download, media_type: str | None) -> Response:
    response = Response(of.content, mimetype=media_type)
    response.set_etag(etag_of(of.content))
    response.headers.set("Content-Disposition", "attachment", filename=of.name)
    return response


def _unless_known(response: Response) -> Response:
    """304 to whoever has it already, 412 to whoever wants another (RFC 9110 §13.1)."""
    if "If-Match" in request.headers and not request.if_match.contains(response.get_etag()[0] or ""):
        raise PreconditionFailed
    response.make_conditional(request)
    return response


@cache
def _operations() -> list[Operation]:
    return [operation for resource in RESOURCES for operation in resource.operations]


@cache
def _routes() -> Map:
    rules = [Rule(each.rule, methods=[each.method], endpoint=each) for each in _operations()]
    rules += [Rule(path, methods=["GET"], endpoint=path) for path in DOCUMENTS]
    return Map(rules, redirect_defaults=False, merge_slashes=False)


def _fault(text: str) -> tuple[str, str]:
    """``key: fix``, the key as JSON has it; a sentence without one is about the whole request."""
    key, colon, fix = text.partition(": ")
    if not colon or " " in key:
        return "request", text
    first, dot, rest = key.partition(".")
    return first.replace("-", "_") + dot + rest, fix


def _admit(caller: Caller, operation: Operation) -> None:
    admitted = {
        By.ANYBODY: True,
        By.PERSON: caller.in_person,
        By.ADMINISTRATOR: caller.is_admin,
        By.RUN: caller.proof is Proof.RUN_TOKEN,
    }
    if not admitted[operation.by]:
        raise Denied(f"This is for {operation.by.value}.")


def _arguments(operation: Operation, values: Mapping[str, Any]) -> dict[str, Any]:
    try:
        path = reading.read_texts(operation.path, values)
    except ValidationError:
        raise NotFound from None
    arguments = dict(path)
    if operation.query is not None:
        arguments["query"] = reading.read_query(operation.query)
    elif request.args:
        raise reading.unprocessable([("query", "leave it out: this operation has none")])
    if operation.body is not None:
        arguments["body"] = reading.read_body(operation.body)
    elif operation.takes is not None:
        arguments["content"] = reading.read_content(operation.takes)
    elif request.get_data():
        raise reading.unprocessable([("body", "leave it out: this operation has none")])
    return arguments

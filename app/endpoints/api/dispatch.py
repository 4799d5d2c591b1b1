"""From a request to its operation and back: who asks, with what, and how a refusal is answered."""

from collections.abc import Mapping
from functools import cache, partial
from typing import Any

import orjson
from flask import Response, g, request
from pydantic import ValidationError
from werkzeug.routing import Map, Rule

from app.endpoints.api import reading
from app.endpoints.api.blueprint import PREFIX
from app.endpoints.api.documents import DOCUMENTS
from app.endpoints.caller import authenticate
from app.errors import Conflict, Denied, InvalidInput, NotFound, Overtaken
from app.flows.faults import ConfigurationError
from app.flows.sources import SourceUnavailable
from app.operations.call import Asking, Created, Download, PreconditionFailed, etag_of
from app.operations.operation import By, Operation
from app.operations.performing import admit, perform
from app.operations.problem import Problem, unprocessable
from app.operations.reading import fault_of, misconfigured, read_texts
from app.operations.resources import operations
from app.secret import Secret
from app.wiring import Components

_BEARER = frozenset({"bearer"})
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
            raise misconfigured(error) from None
        except InvalidInput as refusal:
            raise unprocessable([fault_of(str(refusal))]) from None
        except NotFound:
            raise Problem(404, "Not Found", _NOT_FOUND) from None
        except SourceUnavailable as refusal:
            raise Problem(502, "Bad Gateway", str(refusal)) from None
        except (Conflict, Overtaken) as refusal:
            raise Problem(409, "Conflict", str(refusal)) from None

    def _run(self, operation: Operation, values: Mapping[str, Any]) -> Any:
        """The caller proves to be one before the request is read."""
        is_for_runs = operation.by is By.RUN
        prove = partial(authenticate, self._components, schemes=_BEARER, is_for_runs=is_for_runs)
        asking = Asking(
            caller=prove(),
            prove=prove,
            request_id=g.request_id,
            permits=_permits,
            idempotency_key=request.headers.get("Idempotency-Key"),
            credential=Secret(request.authorization.token or "") if request.authorization else None,
            address=g.address,
        )
        try:
            admit(self._components, asking, operation)
            return perform(self._components, asking, operation, _arguments(operation, values))
        except Denied as denial:
            raise Problem(403, "Forbidden", str(denial)) from None

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
def _routes() -> Map:
    rules = [Rule(each.rule, methods=[each.method], endpoint=each) for each in operations().values()]
    rules += [Rule(path, methods=["GET"], endpoint=path) for path in DOCUMENTS]
    return Map(rules, redirect_defaults=False, merge_slashes=False)


def _permits(etag: str | None) -> bool:
    """``If-Match`` and ``If-None-Match`` (RFC 9110 §13.1)."""
    if "If-Match" in request.headers and (etag is None or not request.if_match.contains(etag)):
        return False
    if "If-None-Match" not in request.headers or etag is None:
        return True
    return not request.if_none_match.contains_weak(etag)


def _arguments(operation: Operation, values: Mapping[str, Any]) -> dict[str, Any]:
    try:
        path = read_texts(operation.path, values)
    except ValidationError:
        raise NotFound from None
    arguments = dict(path)
    if operation.query is not None:
        arguments["query"] = reading.read_query(operation.query)
    elif request.args:
        raise unprocessable([("query", "leave it out: this operation has none")])
    if operation.body is not None:
        arguments["body"] = reading.read_body(operation.body)
    elif operation.takes is not None:
        arguments["content"] = reading.read_content(operation.takes)
    elif request.get_data():
        raise unprocessable([("body", "leave it out: this operation has none")])
    return arguments

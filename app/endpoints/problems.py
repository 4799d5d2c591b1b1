"""Refusals and faults become HTTP here, once: OAuth bodies for OAuth, RFC 9457 for the rest.

What is unknown becomes an opaque 500 with the request id that finds its line in the log.
"""

import logging

import orjson
from flask import Flask, Response, g, request
from sqlalchemy.exc import DataError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException

from app.operations.problem import KEYLESS, RETRY_AFTER, Problem
from app.protocol.oauth_errors import OAuthError
from app.signing.keystores import KeystoreError

_log = logging.getLogger(__name__)


def register(app: Flask) -> None:
    @app.errorhandler(Problem)
    def problem(problem: Problem) -> Response:
        more: dict[str, object] = {"errors": problem.errors} if problem.errors else {}
        code = OAuthError.INVALID_REQUEST.code
        answer = _answer(problem.status, code, problem.title, str(problem), **more)
        answer.headers.extend(problem.headers)
        return answer

    @app.errorhandler(HTTPException)
    def known(error: HTTPException) -> Response:
        answer = _answer(error.code or 500, OAuthError.INVALID_REQUEST.code, error.name)
        if allowed := getattr(error, "valid_methods", None):
            answer.headers["Allow"] = ", ".join(sorted(allowed))
        return answer

    @app.errorhandler(DataError)
    def unstorable(error: DataError) -> Response:
        """No value of ours: what no column holds came with the request."""
        _log.error("%s database: %s", g.request_id, type(error).__name__)
        return _answer(400, OAuthError.INVALID_REQUEST.code, "Bad Request")

    @app.errorhandler(DBAPIError)
    @app.errorhandler(PoolTimeout)
    def unavailable(error: Exception) -> Response:
        _log.error("%s database: %s", g.request_id, type(error).__name__)
        return _later("The database does not answer.")

    @app.errorhandler(KeystoreError)
    def keyless(error: KeystoreError) -> Response:
        _log.error("%s %s", g.request_id, error)
        return _later(KEYLESS)

    @app.errorhandler(Exception)
    def unknown(error: Exception) -> Response:
        _log.error("%s %s %s", g.request_id, request.method, request.path, exc_info=error)
        return _answer(500, "server_error", "Internal error.")


def _later(title: str) -> Response:
    answer = _answer(503, "temporarily_unavailable", title)
    answer.headers["Retry-After"] = RETRY_AFTER
    return answer


def _answer(status: int, code: str, title: str, detail: str | None = None, **more: object) -> Response:
    if request.path.startswith("/oauth/"):
        body: dict[str, object] = {"error": code, "error_description": title, "request_id": g.request_id}
        content_type = "application/json"
    else:
        body = {"type": "about:blank", "title": title, "status": status, "request_id": g.request_id}
        body |= ({"detail": detail} if detail else {}) | more
        content_type = "application/problem+json"
    return Response(orjson.dumps(body), status=status, content_type=content_type)

"""Where the API hangs in Flask: one rule, behind which everything is loaded when it is first asked for.

A web worker that issues tokens and nothing else never pays for pydantic and for models of bodies.
"""

from functools import cache
from typing import TYPE_CHECKING

from flask import Blueprint, Response

from app.wiring import Components

if TYPE_CHECKING:
    from app.endpoints.api.dispatch import Dispatch

PREFIX = "/api/v1"
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "QUERY")


def blueprint(components: Components) -> Blueprint:
    api = Blueprint("api", __name__)

    @cache
    def dispatch() -> "Dispatch":
        from app.endpoints.api.dispatch import Dispatch

        return Dispatch(components)

    def answer(path: str) -> Response:
        return dispatch().answer(f"/{path}")

    options = {"methods": _METHODS, "provide_automatic_options": False}
    api.add_url_rule(f"{PREFIX}/<path:path>", "operation", answer, **options)  # type: ignore[arg-type]
    return api

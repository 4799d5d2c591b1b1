"""``@requires``: a Flask view for those alone who may."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from flask import Response, g, request
from flask.typing import ResponseReturnValue

from countersign_sdk.refusals import ANY_TOKEN, Refusal, check
from countersign_sdk.resource_server import ResourceServer

Arguments = ParamSpec("Arguments")
View = Callable[Arguments, ResponseReturnValue]


def requires(
    server: ResourceServer, action: str | None = None, *, resource: str | None = None
) -> Callable[[View[Arguments]], View[Arguments]]:
    """``resource`` is a format string over the view's arguments, such as ``"{project}"``. Neither action nor
    resource: any token that verifies will do, and the issuer is not asked.

    Inside the view ``g.identity`` is who calls, both names of it.
    """
    if (action is None) is not (resource is None):
        raise TypeError("an action is asked about a resource: give both, or neither")
    asked = ANY_TOKEN if action is None or resource is None else (action, resource)

    def decorate(view: View[Arguments]) -> View[Arguments]:
        @wraps(view)
        def guarded(*args: Arguments.args, **kwargs: Arguments.kwargs) -> ResponseReturnValue:
            question = asked if asked is ANY_TOKEN else (asked[0], asked[1].format(**kwargs))
            found = check(server, request.headers.get("Authorization", ""), question)
            if isinstance(found, Refusal):
                return Response(found.body, found.status, found.headers)
            g.identity = found
            return view(*args, **kwargs)

        return guarded

    return decorate

"""What an operation is: a function, and what its decorator and its types say of it."""

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal, TypeVar, get_type_hints

from pydantic import BaseModel, create_model

Handler = TypeVar("Handler", bound=Callable[..., Any])
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Opens = Literal["reading", "writing", "nothing"]
_STATUSES: Mapping[Method, tuple[int, ...]] = {
    "GET": (200,),
    "POST": (201,),
    "PUT": (200, 201),
    "PATCH": (200,),
    "DELETE": (204,),
}
_PLACEHOLDER = re.compile(r"\{(\+?)(\w+)\}")


class By(Enum):
    """Who may call at all; the handler decides the rest. The value is the words of the refusal."""

    ANYBODY = "anybody who is known: a human, an agent for its human, an account in its own name"
    PERSON = "a human in person"
    RUN = "a run itself, by its run token"
    OVERSEER = "an administrator or an auditor in person"
    ADMINISTRATOR = "an administrator in person"


@dataclass(frozen=True, kw_only=True)
class Operation:
    """``template`` as in OpenAPI; ``{+path}`` stands for a value with slashes in it (RFC 6570 §3.2.3)."""

    method: Method
    template: str
    handler: Callable[..., Any]
    tag: str
    summary: str
    by: By
    answer: type[BaseModel] | None
    statuses: tuple[int, ...]
    problems: tuple[int, ...]
    opens: Opens
    conditional: bool
    path: type[BaseModel]
    query: type[BaseModel] | None
    body: type[BaseModel] | None
    takes: str | None
    gives: str | None
    keyed: bool

    @property
    def id(self) -> str:
        return self.handler.__name__

    @property
    def openapi_path(self) -> str:
        return _PLACEHOLDER.sub(r"{\2}", self.template)

    @property
    def rule(self) -> str:
        """For Werkzeug's map."""
        return _PLACEHOLDER.sub(lambda found: f"<{'path:' if found[1] else ''}{found[2]}>", self.template)


@dataclass(frozen=True)
class Resource:
    """The operations of one subject: ``users = Resource("Users")``, then ``@users.operation("GET", …)``."""

    tag: str
    operations: list[Operation] = field(default_factory=list)

    def operation(
        self,
        method: Method,
        template: str,
        *,
        by: By,
        answer: type[BaseModel] | None = None,
        statuses: tuple[int, ...] | None = None,
        problems: tuple[int, ...] = (),
        opens: Opens | None = None,
        conditional: bool | None = None,
        takes: str | None = None,
        gives: str | None = None,
        keyed: bool = False,
    ) -> Callable[[Handler], Handler]:
        """The function's parameters are ``call``, those of the template, and, by their annotations' models,
        ``query`` and ``body``; the first line of its docstring is the summary. It returns a shape,
        ``Created``, or ``None``.

        ``problems``: statuses of refusals beyond those that follow from the rest.
        A ``conditional`` one (every PUT, PATCH and DELETE unless told otherwise) must call ``call.check``.
        ``opens``: the transaction that ``call.session`` is; reading for GET, writing otherwise.
        ``keyed``: it reads ``Idempotency-Key``.
        ``takes``: the media type of a body that is no JSON; the handler has its bytes as ``content``.
        ``gives``: that of an answer that is none, a ``Download``.
        """

        def register(handler: Handler) -> Handler:
            hints = get_type_hints(handler, include_extras=True)
            names = [found[2] for found in _PLACEHOLDER.finditer(template)]
            operation = Operation(
                method=method,
                template=template,
                handler=handler,
                tag=self.tag,
                summary=(inspect.getdoc(handler) or "").partition("\n")[0].rstrip("."),
                by=by,
                answer=answer,
                statuses=statuses or _STATUSES[method],
                problems=problems,
                opens=opens or ("reading" if method == "GET" else "writing"),
                conditional=method in {"PUT", "PATCH", "DELETE"} if conditional is None else conditional,
                path=create_model("Path", **{name: (hints[name], ...) for name in names}),  # type: ignore[call-overload]
                query=hints.get("query"),
                body=hints.get("body"),
                takes=takes,
                gives=gives,
                keyed=keyed,
            )
            self.operations.append(operation)
            return handler

        return register

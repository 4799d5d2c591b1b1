"""Models that every resource is made of: what comes in is exact, what goes out may grow."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, core_schema

from app.identity.permissions import SCOPES

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", re.ASCII)
_NAME = r"^[a-z0-9][a-z0-9._-]{0,62}$"


@dataclass(frozen=True)
class Form:
    """Stands after a ``Field`` with a pattern: the remedy, which says in words what the pattern takes."""

    remedy: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.custom_error_schema(handler(source), "form", custom_error_message=self.remedy)


class Input(BaseModel):
    """A body or a query: no other members, no other types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Output(BaseModel):
    """Describes an answer, whose shape comes from ``app.representation``."""


Item = TypeVar("Item")


class Page(Output, Generic[Item]):
    """``next_cursor`` is ``null`` on the last page."""

    items: list[Item]
    next_cursor: str | None

    @classmethod
    def model_parametrized_name(cls, params: Any) -> str:
        return f"{params[0].__name__}Page"


class Paging(Input):
    """The query of every list."""

    limit: Annotated[int, Field(ge=1, le=200, description="Items on a page.", examples=[50])] = 50
    cursor: Annotated[
        str | None,
        Field(min_length=1, max_length=500, description="`next_cursor` of the page before.", examples=[None]),
    ] = None


class Search(Paging):
    """The query of a list that may be long, of what has a name."""

    search: Annotated[
        str | None,
        Field(
            pattern=r"^[^\x00-\x1f\x7f]{1,100}$",
            description="Only what has this in its name.",
            examples=[None],
        ),
        Form("write up to 100 letters of a name"),
    ] = None


class Active(Input):
    active: Annotated[bool, Field(description="`false` disables.", examples=[False])]


class Fault(Output):
    """``line`` and ``column`` where the text of a configuration was refused."""

    key: str
    fix: str
    line: int | None = None
    column: int | None = None


class ProblemBody(Output):
    """RFC 9457; `errors` where input was refused."""

    type: str
    title: str
    status: int
    request_id: str
    detail: str | None = None
    errors: list[Fault] | None = None


def _moment(given: Any) -> Any:
    """RFC 3339 exactly: what a lenient reader takes for a time as well is none."""
    if not isinstance(given, str) or not _RFC3339.fullmatch(given):
        raise ValueError("write a time such as 2026-12-24T12:00:00Z")
    try:
        return datetime.fromisoformat(given).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("write a time that there is, such as 2026-12-24T12:00:00Z") from None


Time = Annotated[
    AwareDatetime,
    BeforeValidator(_moment),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-12-24T12:00:00Z"]}),
]
Number = Annotated[int, Field(ge=1, le=2**63 - 1, examples=[1])]
_LETTERS = "lower-case letters, digits, dots, dashes and underscores"
NAME_FORM = f"use up to 63 {_LETTERS}, a letter or digit first"
GROUP_FORM = f"write a group, such as acme, in {_LETTERS}"
PATH_FORM = f"write groups and a name, such as acme/webapp, in {_LETTERS}"
Login = Annotated[
    str, Field(pattern=_NAME, description="Login of a user.", examples=["alice"]), Form(NAME_FORM)
]
AccountName = Annotated[
    str, Field(pattern=_NAME, description="Name of a service account.", examples=["duo"]), Form(NAME_FORM)
]
ProjectPath = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9][a-z0-9._/-]{0,254}$",
        description="Path of a project.",
        examples=["acme/webapp"],
    ),
    Form(PATH_FORM),
]


def _scope(given: str) -> str:
    if given not in SCOPES:
        raise ValueError(f"use one of {', '.join(sorted(SCOPES))}")
    return given


Scope = Annotated[str, AfterValidator(_scope), Field(json_schema_extra={"enum": sorted(SCOPES)})]

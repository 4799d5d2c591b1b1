"""Registered audiences; the URI is the slug, percent-encoded."""

from functools import partial
from typing import Annotated
from urllib.parse import quote

from pydantic import Field

from app import representation as shapes
from app.endpoints.api.call import Call, Created, naming
from app.endpoints.api.operations import By, Resource
from app.endpoints.api.paging import cursor_at, position
from app.endpoints.api.places import ProjectPath
from app.endpoints.api.schemas import AccountName, Input, Output, Page, Paging
from app.errors import NotFound
from app.identity.accounts import find_service_account
from app.identity.projects import find_project
from app.representation import Shape
from app.signing.algorithms import ALWAYS, Algorithm
from app.tokens import audiences as domain
from app.tokens import registrations
from app.tokens.audiences import AudienceKind, Rendering

audiences = Resource("Audiences")

Uri = Annotated[
    str,
    Field(
        pattern=r"^[\x21-\x7e]{1,255}$",
        description="The audience, percent-encoded: `https%3A%2F%2Fapi.acme.example`.",
        examples=["https://api.acme.example"],
    ),
]


class AudienceAnswer(Output):
    id: int
    uri: str
    kind: str
    alg: str
    excludes: Annotated[list[str], Field(description="Verifiers that do not take its `alg`.")]
    rendering: str
    projects: list[str]
    introspect: list[str]


class AudienceBody(Input):
    kind: Annotated[AudienceKind, Field(examples=["api"])]
    alg: Annotated[
        Algorithm, Field(description="Signs for it once its key has been public for the publish lead.")
    ] = ALWAYS
    rendering: Rendering = Rendering.COMPOSITE
    projects: Annotated[list[ProjectPath], Field(max_length=1000, default_factory=list, examples=[[]])]
    introspect: Annotated[list[AccountName], Field(max_length=1000, default_factory=list, examples=[[]])]


@audiences.operation("GET", "/audiences", by=By.ADMINISTRATOR, answer=Page[AudienceAnswer])
def list_audiences(call: Call, query: Paging) -> Shape:
    """List registered audiences."""
    after = "" if query.cursor is None else position(query.cursor, str)
    found = registrations.listed(call.session, after, query.limit + 1)
    items = found[: query.limit]
    cursor = cursor_at(items[-1].audience.canonical) if len(found) > len(items) else None
    return {"items": [shapes.registration(each) for each in items], "next_cursor": cursor}


@audiences.operation("GET", "/audiences/{+uri}", by=By.ADMINISTRATOR, answer=AudienceAnswer)
def get_audience(call: Call, uri: Uri) -> Shape:
    """Get a registered audience."""
    return shapes.registration(registrations.registration(call.session, uri))


@audiences.operation(
    "PUT", "/audiences/{+uri}", by=By.ADMINISTRATOR, answer=AudienceAnswer, opens="nothing", problems=(409,)
)
def put_audience(call: Call, uri: Uri, body: AudienceBody) -> Shape | Created:
    """Register an audience, or change what is registered of it; its kind stays."""
    parts = call.components
    offering = parts.lifecycle.offering(body.alg, call.by)
    with offering as take_into_use, parts.database.writing() as session:
        call.admit_again(session)
        answered = _put(call.within(session), uri, body)
        take_into_use(session)
    return answered


def _put(call: Call, uri: str, body: AudienceBody) -> Shape | Created:
    current = _locked(call, uri)
    with naming("projects"):
        projects = [find_project(call.session, path) for path in sorted(set(body.projects))]
    with naming("introspect"):
        accounts = [find_service_account(call.session, name) for name in sorted(set(body.introspect))]
    write = (
        partial(domain.register, uri=uri)
        if current is None
        else partial(registrations.change, audience=current.audience)
    )
    write(
        call.session,
        call.components.settings.issuer,
        kind=body.kind,
        algorithm=body.alg,
        projects=projects,
        rendering=body.rendering,
        introspectors=accounts,
        by=call.by,
        now=call.now,
    )
    shape = get_audience(call, uri)
    return shape if current is not None else Created(shape, f"/audiences/{quote(uri, safe='')}")


@audiences.operation("DELETE", "/audiences/{+uri}", by=By.ADMINISTRATOR)
def delete_audience(call: Call, uri: Uri) -> None:
    """Remove a registered audience."""
    _locked(call, uri)
    domain.remove(call.session, uri, by=call.by, now=call.now)


def _locked(call: Call, uri: str) -> registrations.Registration | None:
    """As it is until this transaction ends, and as If-Match wants it."""
    try:
        domain.find(call.session, uri, for_update=True)
        found = registrations.registration(call.session, uri)
    except NotFound:
        found = None
    call.check(shapes.registration(found) if found else None)
    return found

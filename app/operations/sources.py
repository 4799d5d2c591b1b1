"""The Git repository that a project's ``agent-config.yml`` is read from."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from pydantic import Field
from sqlalchemy.orm import Session

from app import representation as shapes
from app.errors import NotFound
from app.flows import sources as domain
from app.flows.git import GitRests
from app.identity.models import Project
from app.operations.call import Call, Created
from app.operations.configurations import ConfigurationAnswer
from app.operations.operation import By, Resource
from app.operations.places import ProjectPath, hold, place_of, readable_project
from app.operations.problem import Problem
from app.operations.schemas import Form, Input, Output
from app.representation import Shape

sources = Resource("Sources")

Branch = Annotated[
    str,
    Field(pattern=rf"^{domain.BRANCH}$", max_length=domain.LONGEST_BRANCH, examples=["main"]),
    Form(f"write a branch such as main, of up to {domain.LONGEST_BRANCH} characters"),
]


class SourceAnswer(Output):
    project: str
    git: str
    branch: str
    protected: list[str]
    set_by: str
    set_at: str


class SourceBody(Input):
    git: Annotated[
        str,
        Field(
            max_length=2000,
            description="URL of a repository that everybody may read.",
            examples=["https://git.example.com/acme/webapp.git"],
        ),
    ]
    branch: Branch = "main"
    protected: Annotated[
        list[Branch] | None,
        Field(
            max_length=domain.MOST_PROTECTED,
            description="Branches whose `ref_protected` is true; without it the branch itself.",
            examples=[["main"]],
        ),
    ] = None


@sources.operation("GET", "/projects/{+path}/source", by=By.ANYBODY, answer=SourceAnswer)
def get_source(call: Call, path: ProjectPath) -> Shape:
    """Get the Git source of a project."""
    return shapes.source(domain.find_source(call.session, readable_project(call, path)), path)


@sources.operation(
    "PUT",
    "/projects/{+path}/source",
    by=By.ANYBODY,
    answer=SourceAnswer,
    opens="nothing",
    problems=(409, 502),
)
def put_source(call: Call, path: ProjectPath, body: SourceBody) -> Shape | Created:
    """Read a configuration from Git, check it, and have the project's from there from now on.

    Needs `configuration.write`. The repository has three seconds to answer, and after a read none follows for
    nine times as long as it took: 503 says when.
    """
    wanted = domain.Wanted.checked(body.git, body.branch, body.protected)
    with call.components.database.reading() as session:
        project = readable_project(call.within(session), path, "configuration.write")
        before = _checked(call, session, project)
    if before is not None and _is(before, wanted):
        return before

    def permit(session: Session, project: Project) -> None:
        now = call.held(session)
        hold(now, project)
        now.require("configuration.write", place_of(project))
        _checked(now, session, project)

    with _reading():
        row = call.components.source_reader.set(path, wanted, call.by, permit)
    shape = shapes.source(row, path)
    return shape if before is not None else Created(shape, f"/projects/{path}/source")


@sources.operation("DELETE", "/projects/{+path}/source", by=By.ANYBODY)
def delete_source(call: Call, path: ProjectPath) -> None:
    """Take a project's Git source away; nothing starts until a configuration is set.

    Needs `configuration.write`.
    """
    project = readable_project(call, path, "configuration.write")
    hold(call, project)
    if _checked(call, call.session, project) is None:
        raise NotFound
    domain.remove_source(call.session, project, by=call.by, now=call.now)


@sources.operation(
    "POST",
    "/projects/{+path}/source/refresh",
    by=By.ANYBODY,
    answer=ConfigurationAnswer,
    statuses=(200,),
    opens="nothing",
    problems=(404, 409, 502),
)
def refresh_source(call: Call, path: ProjectPath) -> Shape:
    """Read and check the configuration where the branch is now, as a start would.

    Needs `configuration.write`. The repository has three seconds to answer, and after a read none follows for
    nine times as long as it took: 503 says when.
    """
    with call.components.database.reading() as session:
        project = readable_project(call.within(session), path, "configuration.write")
        domain.find_source(session, project)
    with _reading():
        version = call.components.source_reader.refresh(project.id, call.by)
    return shapes.configuration_text(version, path)


@contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except GitRests as rests:
        wait = [("Retry-After", str(rests.seconds))]
        raise Problem(503, "Service Unavailable", str(rests), wait) from None


def _checked(call: Call, session: Session, project: Project) -> Shape | None:
    row = domain.source_of(session, project)
    current = None if row is None else shapes.source(row, project.path)
    call.check(current)
    return current


def _is(current: Shape, wanted: domain.Wanted) -> bool:
    asked = (wanted.url, wanted.branch, list(wanted.protected))
    return asked == (current["git"], current["branch"], current["protected"])

"""Projects, and their variables."""

from typing import Annotated, Any, Literal

from pydantic import Field
from sqlalchemy import select

from app import representation as shapes
from app.errors import NotFound
from app.flows.names import NAME_PATTERN, require_name
from app.flows.queue import MOST_AT_ONCE, set_concurrency
from app.flows.subjects import flows_of
from app.identity import facts, visible
from app.identity import projects as domain
from app.identity.models import Project, ProjectVariable
from app.identity.paths import ancestors, lock
from app.operations.call import Call, Created
from app.operations.listing import seen
from app.operations.operation import By, Resource
from app.operations.paging import page
from app.operations.places import ProjectPath, hold, readable_project, require_in_parent
from app.operations.schemas import Form, Input, Output, Page, Paging
from app.protocol.subjects import COMPONENTS
from app.representation import Shape

projects = Resource("Projects")

VariableName = Annotated[
    str,
    Field(pattern=NAME_PATTERN, description="Name of a variable.", examples=["AWS_AUDIENCE"]),
    Form("use up to 128 letters, digits and underscores, no digit first"),
]


class ProjectAnswer(Output):
    id: int
    path: str
    group: str
    subject: list[str]
    workload: str
    concurrent_runs: int | None
    created_at: str


Component = Annotated[str, Field(json_schema_extra={"enum": list(COMPONENTS)})]


class ProjectBody(Input):
    """What is left out stays as it is."""

    path: ProjectPath | None = None
    subject: Annotated[
        list[Component] | None,
        Field(
            min_length=1,
            max_length=len(COMPONENTS),
            description="Components of the `sub` of its runs, `project_path` or `project_id` first.",
            examples=[["project_id", "flow"]],
        ),
    ] = None
    workload: Annotated[
        Literal["service_account", "user"] | None,
        Field(description="`user`: humans may run flows alone.", examples=["user"]),
    ] = None
    concurrent_runs: Annotated[
        int | None,
        Field(
            ge=1, le=MOST_AT_ONCE, description="Runs that go on at once; `null`: the default.", examples=[2]
        ),
    ] = None


class VariableAnswer(Output):
    name: str
    value: str


class VariableBody(Input):
    value: Annotated[str, Field(max_length=8192, pattern=r"^[^\x00]*$", examples=["sts.amazonaws.com"])]


@projects.operation("GET", "/projects", by=By.ANYBODY, answer=Page[ProjectAnswer])
def list_projects(call: Call, query: Paging) -> Shape:
    """List the projects that the caller may read."""
    return seen(call, visible.projects, query, shapes.project)


@projects.operation("GET", "/projects/{+path}", by=By.ANYBODY, answer=ProjectAnswer)
def get_project(call: Call, path: ProjectPath) -> Shape:
    """Get a project."""
    return shapes.project(readable_project(call, path))


@projects.operation("PUT", "/projects/{+path}", by=By.ANYBODY, answer=ProjectAnswer)
def put_project(call: Call, path: ProjectPath) -> Shape | Created:
    """Create a project, and the groups that it lies in where they are missing; one that is there stays.

    Needs `project.create` in the nearest group that there is.
    """
    if facts.project_at(call.session, path).exists:
        current = shapes.project(readable_project(call, path))
        call.check(current)
        return current
    require_in_parent(call, path)
    call.check(None)
    made = domain.create_project(call.session, path, by=call.by, now=call.now)
    return Created(shapes.project(made), f"/projects/{path}")


@projects.operation("PATCH", "/projects/{+path}", by=By.ANYBODY, answer=ProjectAnswer)
def change_project(call: Call, path: ProjectPath, body: ProjectBody) -> Shape:
    """Change a project: its path or group, the subject of its runs, who runs its flows, how many at once.

    Needs `configuration.write`; for a path `project.admin`, and `project.create` where it moves to.
    Another project gets the old path only if its subject begins with `project_id`.
    """
    project = _held(call, path, "configuration.write" if body.path is None else "project.admin")
    by_now: dict[str, Any] = {"by": call.by, "now": call.now}
    flows = flows_of(call.session, project)
    if body.subject is not None and body.subject != project.subject.split(","):
        domain.set_subject(call.session, project, body.subject, flows=flows, **by_now)
    if body.workload is not None and body.workload != project.workload:
        domain.set_workload(call.session, project, body.workload, **by_now)
    if "concurrent_runs" in body.model_fields_set and body.concurrent_runs != project.concurrent_runs:
        set_concurrency(call.session, project, body.concurrent_runs, **by_now)
    if body.path is not None:
        if ancestors(body.path) != ancestors(path):
            require_in_parent(call, body.path)
        domain.rename_project(call.session, project, body.path, flows=flows, **by_now)
    return shapes.project(project)


@projects.operation("DELETE", "/projects/{+path}", by=By.ANYBODY)
def delete_project(call: Call, path: ProjectPath) -> None:
    """Delete a project for good. Needs `project.admin`.

    Another project gets its path only if its subject begins with `project_id`.
    """
    domain.delete_project(call.session, _held(call, path, "project.admin"), by=call.by, now=call.now)


@projects.operation("GET", "/projects/{+path}/variables", by=By.ANYBODY, answer=Page[VariableAnswer])
def list_variables(call: Call, path: ProjectPath, query: Paging) -> Shape:
    """List the variables of a project."""
    project = readable_project(call, path)
    rows = select(ProjectVariable).where(ProjectVariable.project_id == project.id)
    return page(call.session, rows, ProjectVariable.name, query, _variable)


@projects.operation("GET", "/projects/{+path}/variables/{name}", by=By.ANYBODY, answer=VariableAnswer)
def get_variable(call: Call, path: ProjectPath, name: VariableName) -> Shape:
    """Get a variable of a project."""
    project = readable_project(call, path)
    if (variable := call.session.get(ProjectVariable, (project.id, name))) is None:
        raise NotFound
    return _variable(variable)


@projects.operation("PUT", "/projects/{+path}/variables/{name}", by=By.ANYBODY, answer=VariableAnswer)
def put_variable(call: Call, path: ProjectPath, name: VariableName, body: VariableBody) -> Shape | Created:
    """Set a variable of a project. Needs `configuration.write`."""
    project = readable_project(call, path, "configuration.write")
    hold(call, project)
    current = call.session.get(ProjectVariable, (project.id, name))
    call.check(_variable(current) if current else None)
    shape = shapes.variable(name, body.value)
    if current is not None and current.value == body.value:
        return shape
    require_name(name)
    domain.set_variables(call.session, project, {name: body.value}, by=call.by, now=call.now)
    return shape if current is not None else Created(shape, f"/projects/{path}/variables/{name}")


@projects.operation("DELETE", "/projects/{+path}/variables/{name}", by=By.ANYBODY)
def delete_variable(call: Call, path: ProjectPath, name: VariableName) -> None:
    """Remove a variable of a project. Needs `configuration.write`."""
    project = readable_project(call, path, "configuration.write")
    hold(call, project)
    current = call.session.get(ProjectVariable, (project.id, name))
    call.check(_variable(current) if current else None)
    domain.remove_variable(call.session, project, name, by=call.by, now=call.now)


def _variable(row: ProjectVariable) -> Shape:
    return shapes.variable(row.name, row.value)


def _held(call: Call, path: str, permission: str) -> Project:
    """The project for whoever may change or delete it, held until it is done: paths first, as everywhere."""
    lock(call.session)
    project = readable_project(call, path, permission)
    hold(call, project)
    call.check(shapes.project(project))
    return project

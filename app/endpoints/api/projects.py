"""Projects, and their variables."""

from typing import Annotated

from pydantic import Field
from sqlalchemy import select

from app import representation as shapes
from app.endpoints.api.call import Call, Created
from app.endpoints.api.listing import seen
from app.endpoints.api.operations import By, Resource
from app.endpoints.api.paging import page
from app.endpoints.api.places import ProjectPath, hold, readable_project, require_in_parent
from app.endpoints.api.schemas import Input, Output, Page, Paging
from app.errors import NotFound
from app.flows.names import NAME_PATTERN, require_name
from app.identity import facts, visible
from app.identity import projects as domain
from app.identity.models import Project, ProjectVariable
from app.identity.paths import ancestors, lock
from app.representation import Shape

projects = Resource("Projects")

VariableName = Annotated[
    str, Field(pattern=NAME_PATTERN, description="Name of a variable.", examples=["AWS_AUDIENCE"])
]


class ProjectAnswer(Output):
    id: int
    path: str
    group: str
    created_at: str


class RenameBody(Input):
    path: ProjectPath


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
def rename_project(call: Call, path: ProjectPath, body: RenameBody) -> Shape:
    """Rename a project, or move it to another group; no other project ever gets the old path.

    Needs `project.admin`, and `project.create` where it moves to.
    """
    project = _administered(call, path)
    if ancestors(body.path) != ancestors(path):
        require_in_parent(call, body.path)
    domain.rename_project(call.session, project, body.path, by=call.by, now=call.now)
    return shapes.project(project)


@projects.operation("DELETE", "/projects/{+path}", by=By.ANYBODY)
def delete_project(call: Call, path: ProjectPath) -> None:
    """Delete a project for good; its path is never given again. Needs `project.admin`."""
    domain.delete_project(call.session, _administered(call, path), by=call.by, now=call.now)


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


def _administered(call: Call, path: str) -> Project:
    """The project for whoever may rename or delete it, held until it is done: paths first, as everywhere."""
    lock(call.session)
    project = readable_project(call, path, "project.admin")
    hold(call, project)
    call.check(shapes.project(project))
    return project

"""A project's ``agent-config.yml``."""

from functools import partial

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import representation as shapes
from app.errors import NotFound
from app.flows import configurations as domain
from app.flows.models import ConfigurationVersion
from app.identity.models import Project
from app.operations.call import Call, Created
from app.operations.operation import By, Resource
from app.operations.paging import page
from app.operations.places import ProjectPath, hold, place_of, readable_project
from app.operations.schemas import Number, Output, Page, Paging
from app.representation import Shape

configurations = Resource("Configurations")


class VersionAnswer(Output):
    """`ref` and `commit` are those of the Git source that it was read from."""

    id: int
    project: str
    sha256: str
    ref: str | None
    commit: str | None
    created_by: str
    created_at: str


class ConfigurationAnswer(VersionAnswer):
    content: str


@configurations.operation("GET", "/projects/{+path}/config", by=By.ANYBODY, answer=ConfigurationAnswer)
def get_configuration(call: Call, path: ProjectPath) -> Shape:
    """Get a project's configuration as it was set."""
    if (current := _current(call.session, readable_project(call, path))) is None:
        raise NotFound
    return current


@configurations.operation(
    "PUT",
    "/projects/{+path}/config",
    by=By.ANYBODY,
    answer=ConfigurationAnswer,
    opens="nothing",
    takes="application/yaml",
    problems=(409,),
)
def put_configuration(call: Call, path: ProjectPath, content: bytes) -> Shape | Created:
    """Check a configuration and make it the project's newest version; the newest, sent again, stays.

    Needs `configuration.write`.
    """
    with call.components.database.reading() as session:
        before = _checked(call, session, readable_project(call.within(session), path, "configuration.write"))
    is_stored = before is not None and before["commit"] is None
    if before is not None and is_stored and before["content"].encode() == content:
        return before

    def permit(session: Session, project: Project) -> None:
        now = call.held(session)
        hold(now, project)
        now.require("configuration.write", place_of(project))
        _checked(now, session, project)

    parts = call.components
    version = domain.store(parts.database, parts.clock, path, content, call.by, permit)
    shape = shapes.configuration_text(version, path)
    return shape if before is not None else Created(shape, f"/projects/{path}/config")


@configurations.operation(
    "GET", "/projects/{+path}/config/versions", by=By.ANYBODY, answer=Page[VersionAnswer]
)
def list_configuration_versions(call: Call, path: ProjectPath, query: Paging) -> Shape:
    """List the versions of a project's configuration, the newest first, without their text."""
    project = readable_project(call, path)
    rows = select(ConfigurationVersion).where(ConfigurationVersion.project_id == project.id)
    shape = partial(shapes.configuration, path=project.path)
    return page(call.session, rows, ConfigurationVersion.id, query, shape, newest_first=True)


@configurations.operation(
    "GET", "/projects/{+path}/config/versions/{id}", by=By.ANYBODY, answer=ConfigurationAnswer
)
def get_configuration_version(call: Call, path: ProjectPath, id: Number) -> Shape:
    """Get one version of a project's configuration."""
    project = readable_project(call, path)
    return shapes.configuration_text(domain.version_of(call.session, project, id), project.path)


def _checked(call: Call, session: Session, project: Project) -> Shape | None:
    current = _current(session, project)
    call.check(current)
    return current


def _current(session: Session, project: Project) -> Shape | None:
    try:
        return shapes.configuration_text(domain.newest(session, project), project.path)
    except NotFound:
        return None

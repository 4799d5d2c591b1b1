"""Projects and their variables."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import InvalidInput, NotFound
from app.identity import paths
from app.identity.groups import ensure_group
from app.identity.members import hold
from app.identity.models import Project, ProjectVariable
from app.ledger.actions import AuditAction
from app.ledger.record import Actor, record


def create_project(session: Session, path: str, *, by: Actor, now: datetime) -> Project:
    """Makes the groups that it lies in where they are missing."""
    paths.check_project_path(path)
    paths.lock(session)
    paths.require_free(session, path)
    group = ensure_group(session, paths.ancestors(path)[-1], by=by, now=now)
    project = Project(path=path, group=group, created_at=now)
    session.add(project)
    session.flush()
    record(session, by.did(AuditAction.PROJECT_CREATE, now, project=path, detail={"id": project.id}))
    return project


def rename_project(session: Session, project: Project, path: str, *, by: Actor, now: datetime) -> None:
    """To another name or into another group, whose members it then has. The old path stays its own."""
    paths.check_project_path(path)
    paths.lock(session)
    hold(session, project)
    old = project.path
    if path == old:
        raise InvalidInput("path: is the project's path already")
    paths.require_free(session, path, project_id=project.id)
    paths.burn(session, old, project.id, now)
    project.group = ensure_group(session, paths.ancestors(path)[-1], by=by, now=now)
    project.path = path
    session.flush()
    detail = {"id": project.id, "from": old}
    record(session, by.did(AuditAction.PROJECT_RENAME, now, project=path, detail=detail))


def delete_project(session: Session, project: Project, *, by: Actor, now: datetime) -> None:
    """For good: nobody is allowed anything in it, nothing runs in it, and its path is never given again."""
    paths.lock(session)
    hold(session, project)
    paths.burn(session, project.path, project.id, now)
    project.deleted_at = now
    detail = {"id": project.id}
    record(session, by.did(AuditAction.PROJECT_DELETE, now, project=project.path, detail=detail))


def find_project(session: Session, path: str) -> Project:
    query = select(Project).where(Project.path == path, Project.deleted_at.is_(None))
    if (project := session.scalar(query)) is None:
        raise NotFound(f"there is no project {path!a}")
    return project


def listed(session: Session) -> list[Project]:
    query = select(Project).where(Project.deleted_at.is_(None)).order_by(Project.path)
    return list(session.scalars(query))


def set_variables(
    session: Session, project: Project, variables: dict[str, str], *, by: Actor, now: datetime
) -> None:
    for name, value in variables.items():
        session.merge(ProjectVariable(project_id=project.id, name=name, value=value))
    names = sorted(variables)
    record(
        session, by.did(AuditAction.PROJECT_VARIABLE_SET, now, project=project.path, detail={"names": names})
    )


def remove_variable(session: Session, project: Project, name: str, *, by: Actor, now: datetime) -> None:
    variable = session.get(ProjectVariable, (project.id, name))
    if variable is None:
        raise NotFound(f"{project.path} has no variable of this name")
    session.delete(variable)
    detail = {"names": [name]}
    record(session, by.did(AuditAction.PROJECT_VARIABLE_REMOVE, now, project=project.path, detail=detail))


def variables_of(session: Session, project_id: int) -> dict[str, str]:
    query = select(ProjectVariable.name, ProjectVariable.value).where(
        ProjectVariable.project_id == project_id
    )
    return {name: value for name, value in session.execute(query)}  # noqa: C416 - rows are not pairs to mypy

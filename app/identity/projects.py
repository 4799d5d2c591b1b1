"""Projects, what their runs say of themselves, and their variables."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import InvalidInput, NotFound
from app.identity import paths
from app.identity.groups import ensure_group
from app.identity.members import hold
from app.identity.models import Project, ProjectVariable
from app.ledger.actions import AuditAction
from app.ledger.record import Actor, record
from app.protocol import subjects


class Workload(StrEnum):
    """Who runs a flow: a service account for a human, or that or a human alone."""

    SERVICE_ACCOUNT = "service_account"
    USER = "user"


def create_project(
    session: Session,
    path: str,
    *,
    subject: Iterable[str] = subjects.DEFAULT,
    by: Actor,
    now: datetime,
) -> Project:
    """Makes the groups that it lies in where they are missing."""
    components = subjects.checked(subject)
    paths.check_project_path(path)
    paths.lock(session)
    _require_path(session, path, components)
    group = ensure_group(session, paths.ancestors(path)[-1], by=by, now=now)
    project = Project(path=path, group=group, created_at=now, subject=subjects.written(components))
    session.add(project)
    session.flush()
    subjects.require_room(components, _known(project))
    detail = {"id": project.id, "subject": project.subject}
    record(session, by.did(AuditAction.PROJECT_CREATE, now, project=path, detail=detail))
    return project


def rename_project(
    session: Session, project: Project, path: str, *, flows: Iterable[str] = (), by: Actor, now: datetime
) -> None:
    """To another name or into another group, whose members it then has. The old path stays its own, but for
    projects whose subject leads with their number. ``flows``: names whose subjects have to fit.
    """
    paths.check_project_path(path)
    paths.lock(session)
    hold(session, project)
    session.refresh(project)
    old, components = project.path, subjects.parse(project.subject)
    if path == old:
        raise InvalidInput("path: is the project's path already")
    _require_path(session, path, components, project.id)
    subjects.require_room(components, _known(project) | {"project_path": path}, flows)
    paths.burn(session, old, project.id, now)
    project.group = ensure_group(session, paths.ancestors(path)[-1], by=by, now=now)
    project.path = path
    session.flush()
    detail = {"id": project.id, "from": old}
    record(session, by.did(AuditAction.PROJECT_RENAME, now, project=path, detail=detail))


def set_subject(
    session: Session,
    project: Project,
    components: Iterable[str],
    *,
    flows: Iterable[str] = (),
    by: Actor,
    now: datetime,
) -> None:
    """What makes the ``sub`` of its runs from now on; ``flows``: names whose subjects have to fit."""
    checked = subjects.checked(components)
    paths.lock(session)
    hold(session, project)
    session.refresh(project)
    if not subjects.leads_with_id(checked):
        paths.require_own(session, project.path, project_id=project.id)
    subjects.require_room(checked, _known(project), flows)
    detail = {"from": project.subject, "subject": subjects.written(checked)}
    project.subject = subjects.written(checked)
    record(session, by.did(AuditAction.PROJECT_SUBJECT_SET, now, project=project.path, detail=detail))


def set_workload(session: Session, project: Project, workload: str, *, by: Actor, now: datetime) -> None:
    """Runs of humans alone that are under way end when it is not allowed any more."""
    if workload not in {*Workload}:
        raise InvalidInput(f"workload: is {' or '.join(Workload)}")
    hold(session, project)
    session.refresh(project)
    detail = {"from": project.workload, "workload": workload}
    project.workload = workload
    record(session, by.did(AuditAction.PROJECT_WORKLOAD_SET, now, project=project.path, detail=detail))


def delete_project(session: Session, project: Project, *, by: Actor, now: datetime) -> None:
    """For good: nobody is allowed anything in it, and nothing runs in it."""
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


def _require_path(
    session: Session, path: str, components: Iterable[str], project_id: int | None = None
) -> None:
    """Raises ``Conflict`` unless a project of this subject may have it; a deleted one there gives way."""
    paths.require_free(session, path)
    if not subjects.leads_with_id(components):
        paths.require_own(session, path, project_id=project_id)
    gone = session.scalar(select(Project).where(Project.path == path))
    if gone is not None:
        gone.path = f"{path}/-{gone.id}"  # nobody's path, for no part of one begins so
        session.flush()


def _known(project: Project) -> dict[str, str]:
    return {"project_path": project.path, "project_id": str(project.id)}

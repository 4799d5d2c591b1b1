"""Projects, their variables and their members."""

import re
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import Conflict, InvalidInput, NotFound
from app.identity.accounts import find_service_account, find_user
from app.identity.models import Group, Member, Project, ProjectVariable
from app.identity.permissions import Role, role_named
from app.ledger.actions import AuditAction
from app.ledger.record import Actor, record
from app.protocol.principals import PrincipalKind, service_account_principal, user_principal

_SEGMENT = r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?"
_PATH = re.compile(rf"({_SEGMENT}(?:/{_SEGMENT})*)/{_SEGMENT}", re.ASCII)
_LONGEST_PATH = 100  # so that a flow's subject stays within what every verifier takes


def create_project(session: Session, path: str, *, by: Actor, now: datetime) -> Project:
    match = _PATH.fullmatch(path)
    if match is None or len(path) > _LONGEST_PATH:
        raise InvalidInput(
            "path: write GROUP/PROJECT in lower-case letters, digits, dots, dashes and underscores, "
            f"{_LONGEST_PATH} characters at most"
        )
    if session.scalar(select(Project.id).where(Project.path == path)) is not None:
        raise Conflict(f"path: {path} is taken")
    group = session.scalar(select(Group).where(Group.path == match[1])) or Group(
        path=match[1], created_at=now
    )
    project = Project(path=path, group=group, created_at=now)
    session.add(project)
    session.flush()
    record(session, by.did(AuditAction.PROJECT_CREATE, now, project=path, detail={"id": project.id}))
    return project


def find_project(session: Session, path: str) -> Project:
    if (project := session.scalar(select(Project).where(Project.path == path))) is None:
        raise NotFound(f"there is no project {path!a}")
    return project


def set_variables(
    session: Session, project: Project, variables: dict[str, str], *, by: Actor, now: datetime
) -> None:
    for name, value in variables.items():
        session.merge(ProjectVariable(project_id=project.id, name=name, value=value))
    names = sorted(variables)
    record(
        session, by.did(AuditAction.PROJECT_VARIABLE_SET, now, project=project.path, detail={"names": names})
    )


def variables_of(session: Session, project_id: int) -> dict[str, str]:
    query = select(ProjectVariable.name, ProjectVariable.value).where(
        ProjectVariable.project_id == project_id
    )
    return {name: value for name, value in session.execute(query)}  # noqa: C416 - rows are not pairs to mypy


def find_principal(session: Session, named: str) -> tuple[PrincipalKind, int]:
    """``user:alice`` or ``service_account:duo``, by name or by number."""
    kind, _, name = named.partition(":")
    if kind == PrincipalKind.USER:
        return PrincipalKind.USER, find_user(session, named if name.isdecimal() else name).id
    if kind == PrincipalKind.SERVICE_ACCOUNT:
        return PrincipalKind.SERVICE_ACCOUNT, find_service_account(
            session, named if name.isdecimal() else name
        ).id
    raise InvalidInput("principal: write user:LOGIN or service_account:NAME")


def add_member(
    session: Session, project: Project, named: str, role: str, *, by: Actor, now: datetime
) -> Member:
    """Adding again sets the role."""
    if (known := role_named(role)) is None:
        raise InvalidInput(f"role: use one of {', '.join(each.label for each in Role)}")
    kind, number = find_principal(session, named)
    member = session.merge(Member(project_id=project.id, principal_id=number, role=known.label))
    _record(session, AuditAction.MEMBER_ADD, project, kind, number, by, now, {"role": known.label})
    return member


def remove_member(session: Session, project: Project, named: str, *, by: Actor, now: datetime) -> None:
    kind, number = find_principal(session, named)
    member = session.get(Member, (project.id, number))
    if member is None:
        raise NotFound(f"{named} is not a member of {project.path}")
    session.delete(member)
    _record(session, AuditAction.MEMBER_REMOVE, project, kind, number, by, now, {"role": member.role})


def _record(
    session: Session,
    action: AuditAction,
    project: Project,
    kind: PrincipalKind,
    number: int,
    by: Actor,
    now: datetime,
    detail: dict[str, str],
) -> None:
    party = (
        {"user": user_principal(number)}
        if kind is PrincipalKind.USER
        else {"service_account": service_account_principal(number)}
    )
    record(session, by.did(action, now, project=project.path, detail=detail, **party))

"""Projects and groups in paths: ``/projects/acme/webapp/members`` is of the project ``acme/webapp``."""

from typing import Annotated

from pydantic import Field
from sqlalchemy.orm import Session

from app.errors import NotFound
from app.identity import facts
from app.identity.models import Group, Project
from app.identity.paths import LONGEST, SEGMENT, ancestors
from app.operations.call import Call, Hidden, Refused
from app.operations.schemas import GROUP_FORM, PATH_FORM, Form

ProjectPath = Annotated[
    str,
    Field(
        pattern=rf"^{SEGMENT}(?:/{SEGMENT})+$",
        max_length=LONGEST,
        description="A project, with the groups it lies in.",
        examples=["acme/webapp"],
    ),
    Form(PATH_FORM),
]
GroupPath = Annotated[
    str,
    Field(
        pattern=rf"^{SEGMENT}(?:/{SEGMENT})*$",
        max_length=LONGEST,
        description="A group, with the groups it lies in.",
        examples=["acme"],
    ),
    Form(GROUP_FORM),
]


def place_of(row: Project | Group) -> facts.Place:
    return facts.Place(row.path, row.id if isinstance(row, Project) else None)


def readable_project(call: Call, path: str, permission: str = "project.read") -> Project:
    """The project, where the caller has the permission."""
    place = facts.project_at(call.session, path)
    call.require(permission, place)
    return call.session.get_one(Project, place.project_id)


def hold(call: Call, place: Project | Group) -> None:
    """As it is now, and nobody else changes it or what belongs to it until this transaction ends."""
    call.lock(place)
    if isinstance(place, Project) and place.deleted_at is not None:
        raise NotFound


def require_in_parent(call: Call, path: str) -> None:
    """``project.create`` in the nearest group that there is; only administrators begin one at the top."""
    if (group := _nearest_group(call.session, path)) is not None:
        call.require("project.create", group)
    elif not call.caller.is_admin:
        raise (Refused if call.caller.sees_all else Hidden)("Only an administrator makes a group at the top.")


def _nearest_group(session: Session, path: str) -> facts.Place | None:
    above = (facts.group_at(session, each) for each in reversed(ancestors(path)))
    return next((group for group in above if group.exists), None)

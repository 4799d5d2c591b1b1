"""Members of projects and groups; who manages them is an owner, above whom there is no role to give."""

from typing import Annotated

from pydantic import Field

from app import representation as shapes
from app.errors import Conflict
from app.identity import members as domain
from app.identity.models import Group, GroupMember, Member, Project
from app.identity.permissions import Role
from app.operations.call import Call, Created
from app.operations.groups import readable_group
from app.operations.operation import By, Resource
from app.operations.paging import cursor_at, position
from app.operations.places import GroupPath, ProjectPath, hold, readable_project
from app.operations.schemas import Form, Input, Output, Page, Paging
from app.protocol.principals import PrincipalKind
from app.representation import Shape

members = Resource("Members")

PrincipalName = Annotated[
    str,
    Field(
        pattern=r"^(user|service_account):[a-z0-9][a-z0-9._-]{0,62}$",
        description="A user or service account, by name or by number.",
        examples=["user:alice"],
    ),
    Form("write user: or service_account:, and then the login, name or number"),
]
RoleName = Annotated[str, Field(json_schema_extra={"enum": [role.label for role in Role]})]


class MembershipAnswer(Output):
    principal: str
    name: str
    role: str
    effective: bool
    from_: Annotated[str, Field(alias="from")]


class MemberAnswer(Output):
    """`project` or `group` says where the role is given."""

    project: str | None = None
    group: str | None = None
    principal: str
    role: str


class MemberBody(Input):
    role: RoleName


@members.operation("GET", "/projects/{+path}/members", by=By.ANYBODY, answer=Page[MembershipAnswer])
def list_project_members(call: Call, path: ProjectPath, query: Paging) -> Shape:
    """List roles in a project, its own and inherited ones; `limit` is of members, who may have several."""
    return _page(call, readable_project(call, path), query)


@members.operation("GET", "/groups/{+path}/members", by=By.ANYBODY, answer=Page[MembershipAnswer])
def list_group_members(call: Call, path: GroupPath, query: Paging) -> Shape:
    """List roles in a group, its own and inherited ones; `limit` is of members, who may have several."""
    return _page(call, readable_group(call, path), query)


@members.operation("GET", "/projects/{+path}/members/{principal}", by=By.ANYBODY, answer=MemberAnswer)
def get_project_member(call: Call, path: ProjectPath, principal: PrincipalName) -> Shape:
    """Get the role that a member was given in a project itself."""
    return _get(call, readable_project(call, path), principal)


@members.operation("GET", "/groups/{+path}/members/{principal}", by=By.ANYBODY, answer=MemberAnswer)
def get_group_member(call: Call, path: GroupPath, principal: PrincipalName) -> Shape:
    """Get the role that a member was given in a group itself."""
    return _get(call, readable_group(call, path), principal)


@members.operation("PUT", "/projects/{+path}/members/{principal}", by=By.ANYBODY, answer=MemberAnswer)
def put_project_member(
    call: Call, path: ProjectPath, principal: PrincipalName, body: MemberBody
) -> Shape | Created:
    """Give a user or service account a role in a project. Needs `member.manage`."""
    return _put(call, readable_project(call, path, "member.manage"), principal, body.role)


@members.operation("PUT", "/groups/{+path}/members/{principal}", by=By.ANYBODY, answer=MemberAnswer)
def put_group_member(
    call: Call, path: GroupPath, principal: PrincipalName, body: MemberBody
) -> Shape | Created:
    """Give a user or service account a role in a group and in all that lies in it. Needs `member.manage`."""
    return _put(call, readable_group(call, path, "member.manage"), principal, body.role)


@members.operation("DELETE", "/projects/{+path}/members/{principal}", by=By.ANYBODY)
def delete_project_member(call: Call, path: ProjectPath, principal: PrincipalName) -> None:
    """Take away a role that was given in a project itself. Needs `member.manage`."""
    _remove(call, readable_project(call, path, "member.manage"), principal)


@members.operation("DELETE", "/groups/{+path}/members/{principal}", by=By.ANYBODY)
def delete_group_member(call: Call, path: GroupPath, principal: PrincipalName) -> None:
    """Take away a role that was given in a group itself. Needs `member.manage`."""
    _remove(call, readable_group(call, path, "member.manage"), principal)


def _page(call: Call, place: Project | Group, asked: Paging) -> Shape:
    """By the number of the principal, so that all roles of one are on one page."""
    after = 0 if asked.cursor is None else position(asked.cursor, int)
    numbers = domain.principals_in(call.session, place, after=after, limit=asked.limit + 1)
    shown = numbers[: asked.limit]
    rows = domain.members_of(call.session, place, shown)
    cursor = cursor_at(shown[-1]) if len(numbers) > len(shown) else None
    return {"items": [shapes.membership(row) for row in rows], "next_cursor": cursor}


def _get(call: Call, place: Project | Group, named: str) -> Shape:
    return shapes.member(domain.find_member(call.session, place, named), place.path, _text(call, named))


def _put(call: Call, place: Project | Group, named: str, role: str) -> Shape | Created:
    hold(call, place)
    principal = _text(call, named)
    current = domain.own_member(call.session, place, named)
    call.check(shapes.member(current, place.path, principal) if current else None)
    if current is not None and current.role == role:
        return shapes.member(current, place.path, principal)
    _keep_an_owner(call, place, current)
    made = domain.add_member(call.session, place, named, role, by=call.by, now=call.now)
    shape = shapes.member(made, place.path, principal)
    kind = "projects" if isinstance(place, Project) else "groups"
    return shape if current is not None else Created(shape, f"/{kind}/{place.path}/members/{named}")


def _remove(call: Call, place: Project | Group, named: str) -> None:
    hold(call, place)
    current = domain.own_member(call.session, place, named)
    call.check(shapes.member(current, place.path, _text(call, named)) if current else None)
    _keep_an_owner(call, place, current)
    domain.remove_member(call.session, place, named, by=call.by, now=call.now)


def _keep_an_owner(call: Call, place: Project | Group, current: Member | GroupMember | None) -> None:
    """No human, and so no agent of theirs, leaves a place to nobody; administrators may."""
    if call.caller.is_admin or current is None or current.role != Role.OWNER.label:
        return
    own = (current.principal_id, place.path)
    if not any(
        each.kind is PrincipalKind.USER
        and each.role is Role.OWNER
        and (each.principal_id, each.source) != own
        for each in domain.members_of(call.session, place)
    ):
        raise Conflict("This is the last human who owns it: make another one an owner first.")


def _text(call: Call, named: str) -> str:
    kind, number = domain.find_principal(call.session, named)
    return f"{kind}:{number}"

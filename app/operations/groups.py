"""Groups. They are never renamed: each project below would change the subject that trust policies name."""

from sqlalchemy import select

from app import representation as shapes
from app.identity import facts, visible
from app.identity import groups as domain
from app.identity.models import Group
from app.operations.call import Call, Created
from app.operations.listing import seen
from app.operations.operation import By, Resource
from app.operations.places import GroupPath, require_in_parent
from app.operations.schemas import Output, Page, Paging
from app.representation import Shape

groups = Resource("Groups")


class GroupAnswer(Output):
    id: int
    path: str


@groups.operation("GET", "/groups", by=By.ANYBODY, answer=Page[GroupAnswer])
def list_groups(call: Call, query: Paging) -> Shape:
    """List the groups that the caller may read."""
    return seen(call, visible.groups, query, shapes.group)


@groups.operation("GET", "/groups/{+path}", by=By.ANYBODY, answer=GroupAnswer)
def get_group(call: Call, path: GroupPath) -> Shape:
    """Get a group."""
    return shapes.group(readable_group(call, path))


@groups.operation("PUT", "/groups/{+path}", by=By.ANYBODY, answer=GroupAnswer)
def put_group(call: Call, path: GroupPath) -> Shape | Created:
    """Create a group, and those that it lies in where they are missing; one that is there stays.

    Needs `project.create` in the nearest group that there is.
    """
    if facts.group_at(call.session, path).exists:
        current = shapes.group(readable_group(call, path))
        call.check(current)
        return current
    require_in_parent(call, path)
    call.check(None)
    made = domain.create_group(call.session, path, by=call.by, now=call.now)
    return Created(shapes.group(made), f"/groups/{path}")


def readable_group(call: Call, path: str, permission: str = "project.read") -> Group:
    """The group, where the caller has the permission."""
    call.require(permission, facts.group_at(call.session, path))
    return call.session.scalars(select(Group).where(Group.path == path)).one()

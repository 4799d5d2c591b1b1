"""Where somebody has a role: those that were given to them, each in its place."""

from sqlalchemy import Row, literal, select, union_all
from sqlalchemy.orm import Session

from app.identity.models import Group, GroupMember, Member, Project


def given_to(session: Session, principal_id: int, *, after: str, limit: int) -> list[Row[str, str, str]]:
    """``place`` (``project`` or ``group``), ``path`` and ``role``, by path, those behind ``after``."""
    own = (
        select(literal("project").label("place"), Project.path.label("path"), Member.role.label("role"))
        .join(Project, Project.id == Member.project_id)
        .where(Member.principal_id == principal_id, Project.deleted_at.is_(None))
    )
    of_groups = (
        select(literal("group"), Group.path, GroupMember.role)
        .join(Group, Group.id == GroupMember.group_id)
        .where(GroupMember.principal_id == principal_id)
    )
    given = union_all(own, of_groups).subquery()
    query = select(given.c.place, given.c.path, given.c.role).where(given.c.path > after)
    return list(session.execute(query.order_by(given.c.path).limit(limit)))

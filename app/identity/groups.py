"""Groups: ``acme/tools`` lies in ``acme``; the path alone says so.

A group is never renamed: every project below it would change its path, and with it the subject that
trust policies elsewhere name. Make a new group and rename its projects one by one.
"""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import Conflict, NotFound
from app.identity import paths
from app.identity.models import Group
from app.ledger.actions import AuditAction
from app.ledger.record import Actor, record


def create_group(session: Session, path: str, *, by: Actor, now: datetime) -> Group:
    paths.check_group_path(path)
    paths.lock(session)
    if session.scalar(select(Group.id).where(Group.path == path)) is not None:
        raise Conflict("path: is taken by a group")
    return ensure_group(session, path, by=by, now=now)


def ensure_group(session: Session, path: str, *, by: Actor, now: datetime) -> Group:
    """The group, made together with those it lies in where they are missing."""
    paths.lock(session)
    lineage = [*paths.ancestors(path), path]
    known = {group.path: group for group in session.scalars(select(Group).where(Group.path.in_(lineage)))}
    for each in lineage:
        if each not in known:
            known[each] = _create(session, each, by, now)
    return known[path]


def find_group(session: Session, path: str) -> Group:
    if (group := session.scalar(select(Group).where(Group.path == path))) is None:
        raise NotFound(f"there is no group {path!a}")
    return group


def listed(session: Session) -> list[Group]:
    return list(session.scalars(select(Group).order_by(Group.path)))


def _create(session: Session, path: str, by: Actor, now: datetime) -> Group:
    paths.require_free(session, path)
    paths.require_own(session, path)
    group = Group(path=path, created_at=now)
    session.add(group)
    session.flush()
    record(session, by.did(AuditAction.GROUP_CREATE, now, detail={"group": path, "id": group.id}))
    return group

"""Members of projects and groups, humans and service accounts alike; a role holds in everything below."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import CompoundSelect, func, select, union_all
from sqlalchemy.orm import Session

from app.errors import InvalidInput, NotFound
from app.identity import paths
from app.identity.accounts import find_service_account, find_user
from app.identity.models import Group, GroupMember, Member, Principal, Project, ServiceAccount, User
from app.identity.permissions import Role, role_named
from app.ledger.actions import AuditAction
from app.ledger.record import Actor, record
from app.protocol.principals import PrincipalKind, service_account_principal, user_principal


@dataclass(frozen=True, slots=True)
class Membership:
    """A role that somebody has in a place; ``source`` is the path where it was given, ``is_effective``
    tells the strongest, which is the one that counts.
    """

    kind: PrincipalKind
    principal_id: int
    name: str
    role: Role
    source: str
    is_effective: bool


def find_place(session: Session, path: str) -> Project | Group:
    """The one live project or group of this path."""
    here = select(Project).where(Project.path == path, Project.deleted_at.is_(None))
    found = session.scalar(here) or session.scalar(select(Group).where(Group.path == path))
    if found is None:
        raise NotFound(f"there is no project or group {path!a}")
    return found


def hold(session: Session, place: Project | Group) -> None:
    """For whoever changes it or roles in it, before the first ledger row: a run that is being given tokens
    which rest on them keeps us waiting, and one that comes later sees what we did (PostgreSQL).
    """
    table = Project if isinstance(place, Project) else Group
    session.execute(select(table.id).where(table.id == place.id).with_for_update(key_share=True))


def find_principal(session: Session, named: str) -> tuple[PrincipalKind, int]:
    """``user:alice`` or ``service_account:duo``, by name or by number."""
    kind, _, name = named.partition(":")
    if kind == PrincipalKind.USER:
        return PrincipalKind.USER, find_user(session, named if name.isdecimal() else name).id
    if kind == PrincipalKind.SERVICE_ACCOUNT:
        account = find_service_account(session, named if name.isdecimal() else name)
        return PrincipalKind.SERVICE_ACCOUNT, account.id
    raise InvalidInput("principal: write user:LOGIN or service_account:NAME")


def add_member(
    session: Session, place: Project | Group, named: str, role: str, *, by: Actor, now: datetime
) -> Member | GroupMember:
    """Adding again sets the role."""
    if (known := role_named(role)) is None:
        raise InvalidInput(f"role: use one of {', '.join(each.label for each in Role)}")
    hold(session, place)
    kind, number = find_principal(session, named)
    member: Member | GroupMember
    if isinstance(place, Project):
        member = Member(project_id=place.id, principal_id=number, role=known.label)
    else:
        member = GroupMember(group_id=place.id, principal_id=number, role=known.label)
    _record(session, AuditAction.MEMBER_ADD, place, kind, number, known.label, by, now)
    return session.merge(member)


def own_member(session: Session, place: Project | Group, named: str) -> Member | GroupMember | None:
    """The role that was given in this place itself."""
    _, number = find_principal(session, named)
    key = (place.id, number)
    return session.get(Member, key) if isinstance(place, Project) else session.get(GroupMember, key)


def find_member(session: Session, place: Project | Group, named: str) -> Member | GroupMember:
    if (member := own_member(session, place, named)) is None:
        raise NotFound(f"{named} is not a member of {place.path} itself")
    return member


def remove_member(session: Session, place: Project | Group, named: str, *, by: Actor, now: datetime) -> None:
    """A role of one's own in this place; what is inherited is removed where it was given."""
    hold(session, place)
    kind, number = find_principal(session, named)
    member = find_member(session, place, named)
    session.delete(member)
    _record(session, AuditAction.MEMBER_REMOVE, place, kind, number, member.role, by, now)


def principals_in(session: Session, place: Project | Group, *, after: int, limit: int) -> list[int]:
    """Numbers of those who have a role in this place, the lowest first; a page begins behind ``after``."""
    given = _given(place).subquery().c.principal_id
    return list(session.scalars(select(given).where(given > after).distinct().order_by(given).limit(limit)))


def members_of(
    session: Session, place: Project | Group, only: Collection[int] | None = None
) -> list[Membership]:
    """Own and inherited roles, by kind and name; of each principal's the strongest first."""
    given = _given(place).subquery()
    query = (
        select(Principal.kind, Principal.id, func.coalesce(User.login, ServiceAccount.name), given.c.role)
        .add_columns(given.c.source)
        .join(given, given.c.principal_id == Principal.id)
        .outerjoin(User, User.id == Principal.id)
        .outerjoin(ServiceAccount, ServiceAccount.id == Principal.id)
    )
    if only is not None:
        query = query.where(Principal.id.in_(only))
    found = [
        (PrincipalKind(kind), number, name, role, source)
        for kind, number, name, label, source in session.execute(query)
        if (role := role_named(label)) is not None
    ]
    found.sort(key=lambda each: (each[0], each[2], -each[3], -len(each[4])))
    first = {number: index for index, (_, number, *_) in reversed(list(enumerate(found)))}
    return [Membership(*each, is_effective=first[each[1]] == index) for index, each in enumerate(found)]


def _given(place: Project | Group) -> CompoundSelect[tuple[int, str, str]]:
    """Every role given here or above, and where."""
    groups = paths.ancestors(place.path) + ([place.path] if isinstance(place, Group) else [])
    inherited = (
        select(GroupMember.principal_id, GroupMember.role, Group.path.label("source"))
        .join(Group, Group.id == GroupMember.group_id)
        .where(Group.path.in_(groups))
    )
    own = (
        select(Member.principal_id, Member.role, Project.path)
        .join(Project, Project.id == Member.project_id)
        .where(Project.id == (place.id if isinstance(place, Project) else None))
    )
    return union_all(inherited, own)


def _record(
    session: Session,
    action: AuditAction,
    place: Project | Group,
    kind: PrincipalKind,
    number: int,
    role: str,
    by: Actor,
    now: datetime,
) -> None:
    party = (
        {"user": user_principal(number)}
        if kind is PrincipalKind.USER
        else {"service_account": service_account_principal(number)}
    )
    is_project = isinstance(place, Project)
    detail = {"role": role} if is_project else {"role": role, "group": place.path}
    record(session, by.did(action, now, project=place.path if is_project else None, detail=detail, **party))

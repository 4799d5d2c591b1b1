"""What a decision needs to know, read in one go; ``policy`` decides over it without asking anybody."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, BindParameter, Connection, bindparam, func, select, union_all
from sqlalchemy.orm import Session

from app.identity.models import (
    Delegation,
    Group,
    GroupMember,
    Member,
    Principal,
    Project,
    ServiceAccount,
    User,
)
from app.identity.paths import ancestors, is_path
from app.identity.permissions import Role, role_named
from app.prepared import Prepared


@dataclass(frozen=True, slots=True)
class Party:
    """A human (``email`` set) or a service account, and its strongest role where the decision is about."""

    id: int
    name: str
    email: str | None
    is_active: bool
    is_composite: bool
    role: Role | None


@dataclass(frozen=True, slots=True)
class DelegationFact:
    id: int
    scopes: tuple[str, ...] | None
    project_id: int | None
    expires_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class Place:
    """A project, or a group when ``project_id`` is ``None``; nothing is allowed where nothing ``exists``."""

    path: str
    project_id: int | None
    exists: bool = True

    @property
    def groups(self) -> list[str]:
        """Paths of the groups whose members have their role here too, the place itself if it is one."""
        return ancestors(self.path) + ([self.path] if self.project_id is None else [])


def project_at(connection: Connection | Session, path: str) -> Place:
    """A path that is no live project's is a place that does not exist."""
    query = select(Project.id).where(Project.path == path, Project.deleted_at.is_(None))
    number = connection.execute(query).scalar_one_or_none() if is_path(path) else None
    return Place(path, number, exists=number is not None)


def group_at(connection: Connection | Session, path: str) -> Place:
    query = select(Group.id).where(Group.path == path)
    found = is_path(path) and connection.execute(query).scalar_one_or_none() is not None
    return Place(path, None, exists=found)


def place_at(connection: Connection | Session, path: str) -> Place:
    """The project of this path, or else the group."""
    project = project_at(connection, path)
    return project if project.exists else group_at(connection, path)


@dataclass(frozen=True, slots=True)
class Facts:
    """``user_id`` and ``service_account_id`` are who was asked about; the parties, who was found."""

    user_id: int | None
    service_account_id: int | None
    human: Party | None
    service_account: Party | None
    delegations: tuple[DelegationFact, ...]
    place: Place | None


_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def load(
    connection: Connection | Session,
    *,
    user_id: int | None,
    service_account_id: int | None,
    place: Place | None = None,
    now: datetime = _LONG_AGO,
) -> Facts:
    """As things are in this transaction; roles only where there is a place.

    Of the delegations every one that is alive ``now``; of those that were revoked, and of those that have
    expired, the newest alone, which is enough to tell why nothing is allowed.
    """
    numbers = [number for number in (user_id, service_account_id) if number is not None]
    place = place and _as_it_is(connection, place)
    roles = _roles(connection, numbers, place) if place and place.exists else {}
    rows = _pair(connection, {"user": user_id, "service_account": service_account_id, "now": now})
    parties = {row.id: row for row in rows}
    human, account = parties.get(user_id), parties.get(service_account_id)
    return Facts(
        user_id,
        service_account_id,
        _party(human, roles) if human is not None and human.login is not None else None,
        _party(account, roles) if account is not None and account.name is not None else None,
        tuple(map(_delegation, (row for row in rows if row.delegation_id is not None))),
        place,
    )


def _as_it_is(connection: Connection | Session, place: Place) -> Place:
    """The project may have been renamed or deleted since somebody looked its path up."""
    if place.project_id is None:
        return place
    path = connection.execute(_LIVE_PROJECT, {"project": place.project_id}).scalar_one_or_none()
    return replace(place, path=path or place.path, exists=path is not None)


def _number(name: str, *, expanding: bool = False) -> BindParameter[int]:
    return bindparam(name, type_=BigInteger, expanding=expanding)


_NUMBERS = _number("numbers", expanding=True)
_LIVE_PROJECT = select(Project.path).where(Project.id == _number("project"), Project.deleted_at.is_(None))
_DEAD = Delegation.revoked_at.is_not(None) | (Delegation.expires_at <= bindparam("now"))
_NEWEST_DEAD = (
    select(func.max(Delegation.id))
    .where(
        Delegation.user_id == _number("user"),
        Delegation.service_account_id == _number("service_account"),
        _DEAD,
    )
    .group_by(Delegation.revoked_at.is_(None))
)
_PAIR = Prepared(
    select(
        Principal.id,
        Principal.disabled_at,
        User.login,
        User.email,
        ServiceAccount.name,
        ServiceAccount.is_composite,
        Delegation.id.label("delegation_id"),
        Delegation.scopes,
        Delegation.project_id,
        Delegation.expires_at,
        Delegation.revoked_at,
    )
    .outerjoin(User, User.id == Principal.id)
    .outerjoin(ServiceAccount, ServiceAccount.id == Principal.id)
    .outerjoin(
        Delegation,
        (Delegation.user_id == Principal.id)
        & (Delegation.service_account_id == _number("service_account"))
        & (~_DEAD | Delegation.id.in_(_NEWEST_DEAD)),
    )
    .where(Principal.id.in_((_number("user"), _number("service_account"))))
    # The widest and longest first, so that the same question always names the same delegation.
    .order_by(Delegation.project_id.is_not(None), Delegation.expires_at.desc(), Delegation.id)
)
"""Both parties, and with the human the delegations to the account: one statement, for the token path."""
_ROLES = union_all(
    select(GroupMember.principal_id, GroupMember.role)
    .join(Group, Group.id == GroupMember.group_id)
    .where(Group.path.in_(bindparam("groups", expanding=True)), GroupMember.principal_id.in_(_NUMBERS)),
    select(Member.principal_id, Member.role).where(
        Member.project_id == bindparam("project"), Member.principal_id.in_(_NUMBERS)
    ),
)


def _pair(connection: Connection | Session, asked: Mapping[str, Any]) -> list[Any]:
    if isinstance(connection, Session):
        connection.flush()
        connection = connection.connection()
    return _PAIR.rows(connection, asked)


def _party(row: Any, roles: dict[int, Role]) -> Party:
    name = row.name if row.login is None else row.login
    return Party(row.id, name, row.email, row.disabled_at is None, bool(row.is_composite), roles.get(row.id))


def _roles(connection: Connection | Session, numbers: list[int], place: Place) -> dict[int, Role]:
    """The strongest role of each, own or inherited from a group above."""
    asked = {"numbers": numbers, "groups": place.groups, "project": place.project_id}
    roles: dict[int, Role] = {}
    for number, label in connection.execute(_ROLES, asked):
        if (role := role_named(label)) is not None:
            roles[number] = max(role, roles.get(number, role))
    return roles


def _delegation(row: Any) -> DelegationFact:
    scopes = None if row.scopes is None else tuple(row.scopes)
    return DelegationFact(row.delegation_id, scopes, row.project_id, row.expires_at, row.revoked_at)

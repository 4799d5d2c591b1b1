"""Every allow and deny, as a value that carries its reason."""

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, select
from sqlalchemy.orm import Session

from app.identity.models import Member
from app.identity.permissions import PERMISSIONS, Role, allows, role_named


class Conjunct(StrEnum):
    """What must all hold for a composite identity to be allowed something."""

    HUMAN = "human"
    SERVICE_ACCOUNT = "service_account"
    DELEGATION = "delegation"
    SCOPE = "scope"
    ACTIVE = "active"


@dataclass(frozen=True)
class Denied:
    """Which conjunct refused, and why; for the ledger and for callers who may know."""

    conjunct: Conjunct
    reason: str


@dataclass(frozen=True)
class Allowed:
    """Both parties have the role that the permission needs."""

    human_role: Role
    service_account_role: Role


def decide(
    connection: Connection | Session,
    permission: str,
    *,
    project_id: int,
    user_id: int,
    service_account_id: int,
) -> Allowed | Denied:
    """Whether the human AND the service account may do this in the project."""
    query = select(Member.principal_id, Member.role).where(
        Member.project_id == project_id, Member.principal_id.in_((user_id, service_account_id))
    )
    roles = {number: role_named(role) for number, role in connection.execute(query)}
    human, account = roles.get(user_id), roles.get(service_account_id)
    if human is None or not allows(human, permission):
        return Denied(Conjunct.HUMAN, f"the human {_lacks(human, permission)}")
    if account is None or not allows(account, permission):
        return Denied(Conjunct.SERVICE_ACCOUNT, f"the service account {_lacks(account, permission)}")
    return Allowed(human, account)


def _lacks(role: Role | None, permission: str) -> str:
    held = "is no member of the project" if role is None else f"is {role.label} in the project"
    needed = PERMISSIONS.get(permission)
    return f"{held}; {permission} needs {needed.label if needed else 'a role that does not exist'}"

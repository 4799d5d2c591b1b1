"""Delegations: the records that let a service account act for a user."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from app.errors import InvalidInput, NotFound
from app.identity.models import Delegation, Project, ServiceAccount, User
from app.identity.permissions import SCOPES
from app.ledger.actions import AuditAction
from app.ledger.record import Actor, record
from app.protocol.principals import service_account_principal, user_principal

DEFAULT_LIFE = timedelta(days=30)


def grant(
    session: Session,
    user: User,
    account: ServiceAccount,
    *,
    scopes: Sequence[str] | None,
    project: Project | None,
    expires_at: datetime,
    by: Actor,
    now: datetime,
) -> Delegation:
    """``scopes`` of ``None`` means all, ``project`` of ``None`` means any."""
    if scopes is not None and (not scopes or not set(scopes) <= SCOPES):
        raise InvalidInput(f"scope: use one or more of {', '.join(sorted(SCOPES))}, or none for all")
    if not account.is_composite:
        raise InvalidInput(f"service-account: {account.name} acts in its own name; it takes no delegation")
    if expires_at <= now:
        raise InvalidInput("expires: lies in the past")
    delegation = Delegation(
        user=user,
        service_account=account,
        scopes=None if scopes is None else sorted(set(scopes)),
        project=project,
        granted_by=by.name,
        created_at=now,
        expires_at=expires_at,
    )
    session.add(delegation)
    session.flush()
    _record(session, AuditAction.DELEGATION_GRANT, delegation, by, now)
    return delegation


def revoke(session: Session, delegation_id: int, *, by: Actor, now: datetime) -> Delegation:
    delegation = session.get(Delegation, delegation_id)
    if delegation is None:
        raise NotFound(f"there is no delegation {delegation_id}")
    delegation.revoked_at = delegation.revoked_at or now
    _record(session, AuditAction.DELEGATION_REVOKE, delegation, by, now)
    return delegation


def matching(
    *,
    user: int | None = None,
    login: str | None = None,
    account: str | None = None,
    is_live: bool | None = None,
    now: datetime,
) -> Select[Delegation]:
    """Of this human, by number or login, and account; those that are alive, those that are not, or all."""
    live = Delegation.revoked_at.is_(None) & (Delegation.expires_at > now)
    terms = (
        (user, Delegation.user_id == user),
        (login, Delegation.user.has(User.login == login)),
        (account, Delegation.service_account.has(ServiceAccount.name == account)),
        (is_live, live if is_live else ~live),
    )
    return select(Delegation).where(*(term for asked, term in terms if asked is not None))


def listed(session: Session) -> list[Delegation]:
    return list(session.scalars(select(Delegation).order_by(Delegation.id)))


def _record(session: Session, action: AuditAction, delegation: Delegation, by: Actor, now: datetime) -> None:
    event = by.did(
        action,
        now,
        user=user_principal(delegation.user_id),
        service_account=service_account_principal(delegation.service_account_id),
        project=delegation.project.path if delegation.project else None,
        detail={"delegation": delegation.id, "scopes": delegation.scopes},
    )
    record(session, event)

"""The pair: one service account acting for one user, by a live delegation."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, Connection, Row, literal, select

from app.identity.models import Delegation, Principal, User
from app.identity.policy import Conjunct, Denied
from app.protocol.scopes import covers


@dataclass(frozen=True)
class Composite:
    """Both parties of a composite identity, and the delegation it lives from."""

    service_account_id: int
    service_account: str
    user_id: int
    user_login: str
    user_email: str
    delegation_id: int
    delegation_scopes: tuple[str, ...] | None
    delegation_expires_at: datetime


def act_for(
    connection: Connection,
    *,
    service_account_id: int,
    service_account: str,
    user_id: int,
    scopes: Sequence[str],
    project_id: int | None,
    now: datetime,
) -> Composite | Denied:
    """The pair, if the human is one, is active, and has a live delegation that covers the scopes.

    ``project_id`` of ``None``: where it acts is not decided yet, any delegation's project will do.
    """
    asked = literal(user_id, BigInteger)  # a number wider than PostgreSQL's column is nobody's, not a fault
    query = select(User.login, User.email, Principal.disabled_at).join(Principal).where(User.id == asked)
    human = connection.execute(query).one_or_none()
    if human is None:
        return Denied(Conjunct.HUMAN, f"{user_id} is not the number of a human")
    login, email, disabled_at = human
    if disabled_at is not None:
        return Denied(Conjunct.ACTIVE, f"user:{user_id} is disabled")
    delegations = _live_delegations(connection, service_account_id, user_id, project_id, now)
    if not delegations:
        return Denied(Conjunct.DELEGATION, _why_none(connection, service_account_id, user_id))
    chosen = next((each for each in delegations if covers(each.scopes, scopes)), None)
    if chosen is None:
        return Denied(Conjunct.SCOPE, "no live delegation covers the requested scopes")
    granted = None if chosen.scopes is None else tuple(chosen.scopes)
    return Composite(
        service_account_id, service_account, user_id, login, email, chosen.id, granted, chosen.expires_at
    )


def _live_delegations(
    connection: Connection, service_account_id: int, user_id: int, project_id: int | None, now: datetime
) -> Sequence[Row[int, list[str] | None, datetime]]:
    """The widest and longest first, so that the same request always names the same delegation."""
    query = select(Delegation.id, Delegation.scopes, Delegation.expires_at).where(
        Delegation.service_account_id == service_account_id,
        Delegation.user_id == user_id,
        Delegation.revoked_at.is_(None),
        Delegation.expires_at > now,
    )
    if project_id is not None:
        query = query.where(Delegation.project_id.is_(None) | (Delegation.project_id == project_id))
    widest = (Delegation.project_id.is_not(None), Delegation.expires_at.desc(), Delegation.id)
    return connection.execute(query.order_by(*widest)).all()


def _why_none(connection: Connection, service_account_id: int, user_id: int) -> str:
    query = select(Delegation.revoked_at).where(
        Delegation.service_account_id == service_account_id, Delegation.user_id == user_id
    )
    ends = connection.execute(query).scalars().all()
    if not ends:
        return "there is no delegation"
    return (
        "the delegation was revoked" if all(ends) else "the delegation has expired or is for another project"
    )

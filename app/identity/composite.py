"""The pair: one service account acting for one user, by a live delegation."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, Connection, Row, bindparam, select

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


# Built once: on the token path the building of a statement costs more than its execution.
_ASKED = bindparam("user", type_=BigInteger)  # a number wider than the column is nobody's
_HUMAN = select(User.login, User.email, Principal.disabled_at).join(Principal).where(User.id == _ASKED)
_LIVE_DELEGATIONS = (
    select(Delegation.id, Delegation.scopes, Delegation.project_id, Delegation.expires_at)
    .where(
        Delegation.service_account_id == bindparam("service_account"),
        Delegation.user_id == _ASKED,
        Delegation.revoked_at.is_(None),
        Delegation.expires_at > bindparam("at"),
    )
    # The widest and longest first, so that the same request always names the same delegation.
    .order_by(Delegation.project_id.is_not(None), Delegation.expires_at.desc(), Delegation.id)
)


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
    human = connection.execute(_HUMAN, {"user": user_id}).one_or_none()
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
) -> list[Row[int, list[str] | None, int | None, datetime]]:
    wanted = {"service_account": service_account_id, "user": user_id, "at": now}
    live = connection.execute(_LIVE_DELEGATIONS, wanted)
    return [row for row in live if project_id is None or row.project_id in {None, project_id}]


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

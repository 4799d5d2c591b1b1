"""Credentials of service accounts (client secrets) and of users (personal access tokens).

A secret is 256 random bits, shown once; a fast hash is enough for it, and what is stored opens nothing.
"""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, Connection, bindparam, case, func, or_, select, update
from sqlalchemy.orm import Session

from app.errors import InvalidInput, NotFound
from app.identity import cut_offs
from app.identity.cut_offs import CutOffKind
from app.identity.models import ClientSecret, PersonalAccessToken, Principal, ServiceAccount, User
from app.identity.permissions import SCOPES
from app.ledger.actions import AuditAction
from app.ledger.record import Actor, record
from app.prepared import Prepared
from app.protocol.principals import service_account_principal, user_principal
from app.secret import Secret

CLIENT_SECRET_PREFIX = "cssa_"  # noqa: S105 - what secret scanners look for
PERSONAL_ACCESS_TOKEN_PREFIX = "cspat_"  # noqa: S105 - likewise
RUN_TOKEN_PREFIX = "csrun_"  # noqa: S105 - likewise
_USE_IS_NOTED_EVERY = timedelta(minutes=1)
LONGEST_NAME = 100


@dataclass(frozen=True)
class Client:
    """A service account that has proved who it is, and the secret it did so with."""

    id: int
    name: str
    is_composite: bool
    client_secret_id: int
    use_is_due: bool
    """Whether this use is to be noted; a row that every use wrote would be its slowest part."""


def create_client_secret(
    session: Session, account: ServiceAccount, *, expires_at: datetime | None, by: Actor, now: datetime
) -> tuple[ClientSecret, Secret]:
    _refuse_past(expires_at, now)
    value, sha256 = _generate(CLIENT_SECRET_PREFIX)
    row = ClientSecret(service_account_id=account.id, sha256=sha256, created_at=now, expires_at=expires_at)
    session.add(row)
    session.flush()
    _record_secret(session, AuditAction.CLIENT_SECRET_CREATE, row, by, now)
    return row, value


def revoke_client_secret(
    session: Session, account: ServiceAccount, secret_id: int, *, by: Actor, now: datetime
) -> ClientSecret:
    row = session.get(ClientSecret, secret_id)
    if row is None or row.service_account_id != account.id:
        raise NotFound(f"{account.name} has no secret {secret_id}")
    row.revoked_at = row.revoked_at or now
    _record_secret(session, AuditAction.CLIENT_SECRET_REVOKE, row, by, now)
    return row


def create_personal_access_token(
    session: Session,
    user: User,
    scopes: Sequence[str],
    *,
    name: str | None = None,
    expires_at: datetime | None,
    made_with: PersonalAccessToken | None = None,
    by: Actor,
    now: datetime,
) -> tuple[PersonalAccessToken, Secret]:
    """One that is ``made_with`` another ends with it at the latest. ``name``: what its owner knows it by."""
    if not scopes or not set(scopes) <= SCOPES:
        raise InvalidInput(f"scope: use one or more of {', '.join(sorted(SCOPES))}")
    if name is not None and not (name.strip() and name.isprintable() and len(name) <= LONGEST_NAME):
        raise InvalidInput(f"name: is 1 to {LONGEST_NAME} printable characters")
    if made_with is not None and made_with.expires_at is not None:
        expires_at = min(expires_at or made_with.expires_at, made_with.expires_at)
    _refuse_past(expires_at, now)
    value, sha256 = _generate(PERSONAL_ACCESS_TOKEN_PREFIX)
    row = PersonalAccessToken(
        user_id=user.id,
        name=name,
        sha256=sha256,
        scopes=sorted(set(scopes)),
        created_at=now,
        expires_at=expires_at,
    )
    session.add(row)
    session.flush()
    made_by = {"made_with": made_with.id} if made_with is not None else {}
    _record_token(session, AuditAction.PERSONAL_ACCESS_TOKEN_CREATE, row, by, now, **made_by)
    return row, value


def revoke_personal_access_token(
    session: Session, token_id: int, *, by: Actor, now: datetime
) -> PersonalAccessToken:
    row = session.get(PersonalAccessToken, token_id)
    if row is None:
        raise NotFound(f"there is no personal access token {token_id}")
    row.revoked_at = row.revoked_at or now
    _record_token(session, AuditAction.PERSONAL_ACCESS_TOKEN_REVOKE, row, by, now)
    return row


_LIVE_SECRET = Prepared(
    select(
        ServiceAccount.id,
        ServiceAccount.name,
        ServiceAccount.is_composite,
        ClientSecret.id,
        ClientSecret.last_used_at,
    )
    .join(ClientSecret, ClientSecret.service_account_id == ServiceAccount.id)
    .join(Principal, Principal.id == ServiceAccount.id)
    .where(
        ClientSecret.sha256 == bindparam("sha256"),
        ServiceAccount.id == bindparam("service_account", type_=BigInteger),  # as wide as any client id
        ClientSecret.revoked_at.is_(None),
        or_(ClientSecret.expires_at.is_(None), ClientSecret.expires_at > bindparam("at")),
        Principal.disabled_at.is_(None),
    )
)


def authenticate_client(
    connection: Connection, service_account_id: int, client_secret: Secret, now: datetime
) -> Client | None:
    """The client whose live secret this is, or ``None`` without a reason: a guesser learns nothing.

    Found by the hash of 256 random bits, so the time it takes tells nothing about a stored secret.
    """
    wanted = {"sha256": _hash(client_secret.reveal()), "service_account": service_account_id, "at": now}
    row = _LIVE_SECRET.row(connection, wanted)
    if row is None:
        return None
    number, name, is_composite, secret_id, last_used_at = row
    return Client(number, name, is_composite, secret_id, _use_is_due(last_used_at, now))


@dataclass(frozen=True)
class TokenHolder:
    """A human who has proved who they are with a personal access token of theirs."""

    user_id: int
    is_admin: bool
    is_auditor: bool
    scopes: tuple[str, ...]
    personal_access_token_id: int
    use_is_due: bool


def authenticate_personal_access_token(
    connection: Connection, token: Secret, now: datetime
) -> TokenHolder | None:
    """The human whose live token this is, or ``None`` without a reason; found as a client is."""
    row = connection.execute(
        select(
            User.id,
            User.is_admin,
            User.is_auditor,
            PersonalAccessToken.scopes,
            PersonalAccessToken.id,
            PersonalAccessToken.last_used_at,
        )
        .join(PersonalAccessToken)
        .join(Principal, Principal.id == User.id)
        .where(
            PersonalAccessToken.sha256 == _hash(token.reveal()),
            PersonalAccessToken.revoked_at.is_(None),
            or_(PersonalAccessToken.expires_at.is_(None), PersonalAccessToken.expires_at > now),
            Principal.disabled_at.is_(None),
            # A kill that came as it was made did not see it.
            ~cut_offs.hits({CutOffKind.USER: User.id}, PersonalAccessToken.created_at),
        )
    ).one_or_none()
    if row is None:
        return None
    user_id, is_admin, is_auditor, scopes, number, last_used_at = row
    return TokenHolder(user_id, is_admin, is_auditor, tuple(scopes), number, _use_is_due(last_used_at, now))


@dataclass(frozen=True)
class Standing:
    """Of a service account's secrets: how many are ``alive``, when any was last used, when one expires."""

    alive: int
    last_used_at: datetime | None
    expires_first_at: datetime | None


def standings(session: Session, accounts: Sequence[int], now: datetime) -> dict[int, Standing]:
    """By account; one that never had a secret is absent."""
    expiry, revoked = ClientSecret.expires_at, ClientSecret.revoked_at
    is_alive = revoked.is_(None) & (expiry.is_(None) | (expiry > now))
    query = (
        select(
            ClientSecret.service_account_id,
            func.sum(case((is_alive, 1), else_=0)),
            func.max(ClientSecret.last_used_at),
            func.min(case((is_alive, expiry))),
        )
        .where(ClientSecret.service_account_id.in_(accounts))
        .group_by(ClientSecret.service_account_id)
    )
    return {number: Standing(*found) for number, *found in session.execute(query)}


def note_use(
    connection: Connection, of: type[ClientSecret | PersonalAccessToken], number: int, now: datetime
) -> None:
    """Once, whoever comes at the same moment: of those who wait here the others find it noted."""
    due = or_(of.last_used_at.is_(None), of.last_used_at <= now - _USE_IS_NOTED_EVERY)
    connection.execute(update(of).where(of.id == number, due).values(last_used_at=now))


def _use_is_due(last: datetime | None, now: datetime) -> bool:
    return last is None or now - last >= _USE_IS_NOTED_EVERY


def generate_run_token() -> tuple[Secret, str]:
    """A run's own bearer token, and what is stored of it."""
    return _generate(RUN_TOKEN_PREFIX)


def stored_of(token: Secret) -> str:
    """What is stored of a token."""
    return _hash(token.reveal())


def _refuse_past(expires_at: datetime | None, now: datetime) -> None:
    if expires_at is not None and expires_at <= now:
        raise InvalidInput("expires: does not lie in the future")


def _generate(prefix: str) -> tuple[Secret, str]:
    value = prefix + secrets.token_urlsafe(32)
    return Secret(value), _hash(value)


def _hash(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()


def _record_secret(
    session: Session, action: AuditAction, row: ClientSecret, by: Actor, now: datetime
) -> None:
    account = service_account_principal(row.service_account_id)
    record(session, by.did(action, now, service_account=account, detail={"secret": row.id}))


def _record_token(
    session: Session, action: AuditAction, row: PersonalAccessToken, by: Actor, now: datetime, **more: int
) -> None:
    detail = {"personal_access_token": row.id, "scopes": row.scopes} | more
    record(session, by.did(action, now, user=user_principal(row.user_id), detail=detail))

"""Users and service accounts: created, found, disabled and enabled."""

import re
from datetime import datetime

from sqlalchemy import Select, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.errors import Conflict, InvalidInput, NotFound
from app.identity import session_ends, sign_in_links
from app.identity.models import Principal, ServiceAccount, User
from app.ledger.actions import AuditAction
from app.ledger.record import Actor, record
from app.protocol.principals import (
    PrincipalKind,
    parse_client_id,
    parse_principal,
    service_account_principal,
    user_principal,
)

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}", re.ASCII)
_EMAIL = re.compile(r"[\x21-\x3f\x41-\x7e]{1,64}@[A-Za-z0-9.-]{1,189}", re.ASCII)


def create_user(
    session: Session,
    login: str,
    email: str,
    *,
    is_admin: bool,
    is_auditor: bool = False,
    by: Actor,
    now: datetime,
) -> User:
    """``is_auditor``: may read everything in the console, and change nothing by that."""
    check_name("login", login)
    _check_email(email)
    principal = Principal(kind=PrincipalKind.USER, created_at=now)
    user = User(login=login, email=email, is_admin=is_admin, is_auditor=is_auditor, principal=principal)
    _add(session, user, "login: is taken")
    created = by.did(AuditAction.USER_CREATE, now, user=user_principal(user.id))
    record(session, created)
    return user


def change_user(
    session: Session,
    user: User,
    *,
    email: str,
    is_admin: bool,
    is_auditor: bool,
    by: Actor,
    now: datetime,
) -> None:
    _check_email(email)
    user.email, user.is_admin, user.is_auditor = email, is_admin, is_auditor
    detail = {"admin": is_admin, "auditor": is_auditor}
    record(session, by.did(AuditAction.USER_CHANGE, now, user=user_principal(user.id), detail=detail))


def create_service_account(
    session: Session, name: str, *, is_composite: bool, by: Actor, now: datetime
) -> ServiceAccount:
    """``is_composite``: it gets no token without a human to act for."""
    check_name("name", name)
    principal = Principal(kind=PrincipalKind.SERVICE_ACCOUNT, created_at=now)
    account = ServiceAccount(name=name, is_composite=is_composite, principal=principal)
    _add(session, account, "name: is taken")
    detail = {"composite": is_composite}
    account_text = service_account_principal(account.id)
    record(
        session,
        by.did(AuditAction.SERVICE_ACCOUNT_CREATE, now, service_account=account_text, detail=detail),
    )
    return account


def set_user_active(session: Session, user: User, *, active: bool, by: Actor, now: datetime) -> None:
    """Disabling signs them out for good: once enabled again, they sign in anew."""
    user.principal.disabled_at = None if active else (user.principal.disabled_at or now)
    action = AuditAction.USER_ENABLE if active else AuditAction.USER_DISABLE
    detail = {} if active else _sign_out(session, user, now)
    record(session, by.did(action, now, user=user_principal(user.id), detail=detail))


def set_service_account_active(
    session: Session, account: ServiceAccount, *, active: bool, by: Actor, now: datetime
) -> None:
    account.principal.disabled_at = None if active else (account.principal.disabled_at or now)
    action = AuditAction.SERVICE_ACCOUNT_ENABLE if active else AuditAction.SERVICE_ACCOUNT_DISABLE
    record(session, by.did(action, now, service_account=service_account_principal(account.id)))


def users(search: str | None = None) -> Select[User]:
    """All, or those with that text in their login or e-mail, in whatever case."""
    if search is None:
        return select(User)
    columns = (User.login, User.email)
    return select(User).where(or_(*(column.icontains(search, autoescape=True) for column in columns)))


def service_accounts(search: str | None = None) -> Select[ServiceAccount]:
    """As above, by name."""
    if search is None:
        return select(ServiceAccount)
    return select(ServiceAccount).where(ServiceAccount.name.icontains(search, autoescape=True))


def find_user(session: Session, named: str) -> User:
    """By login or by ``user:42``."""
    principal = parse_principal(named)
    known = User.login == named
    if principal is not None:
        known = (User.id == principal[1]) & (principal[0] is PrincipalKind.USER)
    if (user := session.scalar(select(User).where(known))) is None:
        raise NotFound(f"there is no user {named!a}")
    return user


def find_service_account(session: Session, named: str) -> ServiceAccount:
    """By name, by ``service_account:7`` or by client id ``sa_7``."""
    principal = parse_principal(named)
    number = parse_client_id(named)
    if principal is not None and principal[0] is PrincipalKind.SERVICE_ACCOUNT:
        number = principal[1]
    known = ServiceAccount.name == named if number is None else ServiceAccount.id == number
    if (account := session.scalar(select(ServiceAccount).where(known))) is None:
        raise NotFound(f"there is no service account {named!a}")
    return account


def check_name(key: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"{key}: use up to 63 lower-case letters, digits, dots, dashes and underscores, "
            "starting with a letter or digit"
        )
    if name.isdecimal() or parse_client_id(name) is not None:
        raise InvalidInput(f"{key}: reads as a number or a client id: choose one that does not")


def _sign_out(session: Session, user: User, now: datetime) -> dict[str, list[int]]:
    """The ledger's detail. The principal is held by now: nobody begins what is not found here."""
    ended = session_ends.end_untold(session, user.id, now)
    sign_in_links.revoke_unused(session, user.id, now)
    return {"sessions": [*ended]} if ended else {}


def _check_email(email: str) -> None:
    if not _EMAIL.fullmatch(email):
        raise InvalidInput("email: write an address such as alice@example.com, in ASCII")


def _add(session: Session, row: object, taken: str) -> None:
    session.add(row)
    try:
        session.flush()
    except IntegrityError:
        raise Conflict(taken) from None

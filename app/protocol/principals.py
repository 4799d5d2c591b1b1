"""Principals as text: ``user:42``, ``service_account:7``; the same in ``sub``, in scopes and on screens."""

import re
from enum import StrEnum


class PrincipalKind(StrEnum):
    USER = "user"
    SERVICE_ACCOUNT = "service_account"


_PRINCIPAL = re.compile(r"(user|service_account):([1-9][0-9]{0,17})", re.ASCII)
_CLIENT_ID = re.compile(r"sa_([1-9][0-9]{0,17})", re.ASCII)


def user_principal(user_id: int) -> str:
    return f"{PrincipalKind.USER}:{user_id}"


def service_account_principal(service_account_id: int) -> str:
    return f"{PrincipalKind.SERVICE_ACCOUNT}:{service_account_id}"


def parties(user_id: int | None, service_account_id: int | None) -> dict[str, str | None]:
    """Both as the ledger's columns name them; ``None`` for nobody, and 0 is nobody's number."""
    return {
        "user": user_principal(user_id) if user_id else None,
        "service_account": service_account_principal(service_account_id) if service_account_id else None,
    }


def parse_principal(text: str) -> tuple[PrincipalKind, int] | None:
    """Kind and number, or ``None`` for anything but the one way to write a principal."""
    match = _PRINCIPAL.fullmatch(text)
    return (PrincipalKind(match[1]), int(match[2])) if match else None


def client_id(service_account_id: int) -> str:
    """A service account's OAuth client id. No colon: many clients do not encode it in Basic."""
    return f"sa_{service_account_id}"


OWN_CLIENT = "countersign"
"""The client of a token that a human gets from a run of their own: this issuer itself (RFC 9068 §2.2)."""


def parse_client_id(text: str) -> int | None:
    match = _CLIENT_ID.fullmatch(text)
    return int(match[1]) if match else None

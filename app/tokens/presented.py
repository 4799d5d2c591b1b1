"""Access tokens of ours that somebody shows: what they say, as long as they are not dead by themselves.

The mint's row tells, not the token: both renderings of a delegation have the same row.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from app.signing.reader import Reader
from app.tokens import life


@dataclass(frozen=True, slots=True)
class PresentedToken:
    """Whether the parties still may, policy decides: nothing here asks for them.

    ``is_asked_by_its_api``: the service account that asks is an introspector of the audience.
    """

    jti: str
    audience: str
    scopes: tuple[str, ...]
    user_id: int | None
    service_account_id: int | None
    delegation_id: int | None
    run_id: int | None
    is_asked_by_its_api: bool
    parties: Mapping[str, Any]


class NotAlive(Exception):  # noqa: N818 - an answer
    """``cause`` and ``parties``, as columns, are for the ledger; nobody is known without our signature."""

    def __init__(self, cause: str, parties: Mapping[str, Any] | None = None) -> None:
        super().__init__(cause)
        self.cause = cause
        self.parties = parties or {}


def read(
    connection: Connection, reader: Reader, issuer: str, token: str, now: datetime, caller: int | None = None
) -> PresentedToken:
    """``NotAlive`` for whatever is no access token that we issued so, has expired, or was cut off."""
    signed = reader.read(token)
    if signed is None:
        raise NotAlive(life.why_not_signed(connection, token))
    found = life.look_up(connection, issuer, signed, now, caller)
    if cause := found.ended_by(life.NOT_ACCESS) or found.ended_by(life.OF_ITSELF):
        raise NotAlive(cause, found.parties)
    row: Any = found.row
    names = (word for word in (row.scope or "").split() if not word.startswith("user:"))
    return PresentedToken(
        found.claims["jti"],
        str(row.audience),
        tuple(names),
        row.user_id,
        row.service_account_id,
        row.delegation_id,
        row.run_id,
        bool(row.may_ask),
        found.parties,
    )

"""Revocation (RFC 7009): a client ends a token of its own, at once and for ever, by a cut-off of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select

from app.clock import Clock
from app.db import Database
from app.identity.cut_offs import CutOffKind
from app.ledger.actions import AuditAction, Outcome
from app.ledger.record import Actor, record
from app.protocol.claims import ACCESS_TOKEN_TYPE
from app.protocol.oauth_errors import OAuthError
from app.protocol.principals import parties
from app.signing.reader import Reader
from app.tokens.aftermath import cut_off
from app.tokens.grants import GrantRefused
from app.tokens.models import IssuedToken

Issued = Row[str, int | None, int | None, int | None]


@dataclass(frozen=True)
class Revocation:
    reader: Reader
    database: Database
    clock: Clock

    def revoke(self, client: int, token: str, by: Actor) -> bool:
        """Durable when this returns. ``False`` for what is no token of ours, which changes nothing (§2.2);
        ``GrantRefused`` for another client's, and for an ID token, whose verifiers ask nobody.
        """
        now = self.clock()
        signed = self.reader.read(token)
        row = self._issued(signed.claims["jti"]) if signed is not None else None
        if signed is None or row is None:
            return False
        if row.service_account_id != client:
            self._tell_refusal("issued to another client", row, by, now)
            raise GrantRefused(OAuthError.INVALID_GRANT, "issued to another client")
        if signed.type != ACCESS_TOKEN_TYPE:
            self._tell_refusal("an ID token cannot be revoked", row, by, now)
            raise GrantRefused(OAuthError.UNSUPPORTED_TOKEN_TYPE, "an ID token cannot be revoked")
        self._cut_off(row, by, now)
        return True

    def _issued(self, jti: str) -> Issued | None:
        query = select(
            IssuedToken.jti, IssuedToken.service_account_id, IssuedToken.user_id, IssuedToken.run_id
        )
        with self.database.reading_connection() as connection:
            return connection.execute(query.where(IssuedToken.jti == jti)).one_or_none()

    def _cut_off(self, row: Issued, by: Actor, now: datetime) -> None:
        with self.database.writing() as session:
            cut_off(
                session, CutOffKind.TOKEN, row.jti, reason="revoked by its client", actor=by.name, now=now
            )
            record(session, by.did(AuditAction.ACCESS_TOKEN_REVOKE, now, **_parties(row)))

    def _tell_refusal(self, cause: str, row: Issued, by: Actor, now: datetime) -> None:
        event = by.tells(
            AuditAction.ACCESS_TOKEN_REVOKE,
            now,
            outcome=Outcome.DENIED,
            detail={"cause": cause},
            **_parties(row),
        )
        with self.database.writing_connection() as connection:
            record(connection, event)


def _parties(row: Issued) -> dict[str, Any]:
    return {**parties(row.user_id, row.service_account_id), "run": row.run_id, "jti": row.jti}

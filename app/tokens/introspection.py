"""Introspection (RFC 7662): is this token alive, for whoever may know. Read anew at each call, never cached.

An answer of ``active`` leaves no row in the ledger (the token's own is there); every other one does.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from app.ledger.actions import AuditAction, Outcome
from app.ledger.record import Actor, AuditEvent
from app.signing.reader import Reader, SignedToken
from app.tokens import life
from app.tokens.life import Life

_MAY_NOT_KNOW: life.Causes = {
    **life.NOT_ACCESS,
    "the caller is no introspector of this audience": lambda row, *_: not row.may_ask,
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """``cause`` is ``None`` for a token that is alive; else it is for the ledger, not for the caller.

    ``life`` is there whenever the signature is ours.
    """

    cause: str | None
    life: Life | None = None

    @property
    def answer(self) -> dict[str, Any]:
        """RFC 7662 §2.2: the claims of the token, or that it is not active and nothing else."""
        if self.cause is not None or self.life is None:
            return {"active": False}
        claims = self.life.claims
        human = {"username": claims["user_login"]} if "user_login" in claims else {}
        return {"active": True, "token_type": "Bearer", **human, **claims}

    def denial(self, by: Actor, now: datetime) -> AuditEvent:
        """Of the token's parties; of the service account that asked where none is known."""
        known: dict[str, Any] = self.life.parties if self.life is not None else {}
        return by.tells(
            AuditAction.ACCESS_TOKEN_INTROSPECT,
            now,
            outcome=Outcome.DENIED,
            **({"service_account": by.name} | known),
            detail={"cause": self.cause, "aud": self.life and self.life.claims.get("aud")},
        )


@dataclass(frozen=True)
class Introspection:
    reader: Reader
    issuer: str

    def asked_by(self, connection: Connection, caller: int, token: str, now: datetime) -> Finding:
        """For a service account: alive only if it is an introspector of the token's audience."""
        signed = self.reader.read(token)
        if signed is None:
            return Finding(cause=life.NOT_SIGNED)
        found = life.look_up(connection, self.issuer, signed, now, caller)
        return Finding(cause=found.ended_by(_MAY_NOT_KNOW) or found.ended_by(life.OF_ANYTHING), life=found)

    def life(self, connection: Connection, signed: SignedToken, now: datetime) -> Finding:
        """Of an access token or an ID token of ours, whoever asks: for the operator."""
        found = life.look_up(connection, self.issuer, signed, now)
        return Finding(cause=found.ended_by(life.OF_ANYTHING), life=found)

"""Introspection (RFC 7662): is this token alive, for whoever may know. Read anew at each call, never cached.

A token is alive while its signature and times are right, its row is known, and everything it lives from is:
human, service account, delegation, signing key, and no cut-off of any of them, of its run or of itself.
An answer of ``active`` leaves no row in the ledger (the token's own is there); every other one does.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import Connection, bindparam, exists, select
from sqlalchemy.orm import aliased

from app.clock import timestamp
from app.identity import cut_offs
from app.identity.models import Delegation, Principal, ServiceAccount, User
from app.ledger.actions import AuditAction, Outcome
from app.ledger.record import Actor, AuditEvent
from app.prepared import Prepared
from app.protocol.claims import ACCESS_TOKEN_TYPE, ID_TOKEN_TYPE
from app.protocol.principals import PrincipalKind, parse_principal, service_account_principal, user_principal
from app.signing.models import PUBLISHED, SigningKey
from app.signing.reader import Reader, SignedToken
from app.tokens.aftermath import token_targets
from app.tokens.audiences import AudienceKind, canonical
from app.tokens.models import Audience, AudienceIntrospector, IssuedToken

_SKEW = timedelta(seconds=60)
"""How far another node's clock may be ahead of ours (``nbf``)."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """``cause`` is ``None`` for a token that is alive; else it is for the ledger, not for the caller.

    ``claims`` are there whenever the signature is ours, the parties as far as the token's row is known.
    """

    cause: str | None
    claims: Mapping[str, Any] | None = None
    service_account_id: int | None = None
    user_id: int | None = None
    run_id: int | None = None

    @property
    def answer(self) -> dict[str, Any]:
        """RFC 7662 §2.2: the claims of the token, or that it is not active and nothing else."""
        if self.cause is not None or self.claims is None:
            return {"active": False}
        human = {"username": self.claims["user_login"]} if "user_login" in self.claims else {}
        return {"active": True, "token_type": "Bearer", **human, **self.claims}

    def denial(self, by: Actor, now: datetime) -> AuditEvent:
        claims = self.claims or {}
        return by.did(
            AuditAction.ACCESS_TOKEN_INTROSPECT,
            now,
            outcome=Outcome.DENIED,
            service_account=self.service_account_id and service_account_principal(self.service_account_id),
            user=self.user_id and user_principal(self.user_id),
            run=self.run_id,
            jti=claims.get("jti"),
            detail={"cause": self.cause, "aud": claims.get("aud")},
        )


@dataclass(frozen=True)
class Introspection:
    reader: Reader
    issuer: str

    def asked_by(self, connection: Connection, caller: int, token: str, now: datetime) -> Finding:
        """For a service account: alive only if it is an introspector of the token's audience."""
        signed = self.reader.read(token)
        if signed is None:
            return Finding(cause="not a token that this issuer has signed")
        return self._find(connection, signed, now, _MAY_NOT_KNOW | _CAUSES, caller)

    def life(self, connection: Connection, signed: SignedToken, now: datetime) -> Finding:
        """Of an access token or an ID token of ours, whoever asks: for the operator."""
        return self._find(connection, signed, now, _CAUSES)

    def _find(
        self,
        connection: Connection,
        signed: SignedToken,
        now: datetime,
        causes: "dict[str, _Test]",
        caller: int | None = None,
    ) -> Finding:
        claims = signed.claims
        audience = claims["aud"] if isinstance(claims["aud"], str) else ""
        asked = {"jti": claims["jti"], "caller": caller, "audience": canonical(audience)}
        row = _life().row(connection, asked)
        if row is None or claims["iss"] != self.issuer or signed.type != _TYPES[row.kind]:
            return Finding(cause="a token that was never issued", claims=claims)
        cause = next((cause for cause, holds in causes.items() if holds(row, claims, now)), None)
        return Finding(
            cause=cause,
            claims=claims,
            service_account_id=row.service_account_id,
            user_id=row.user_id,
            run_id=row.run_id,
        )


_TYPES = {"access": ACCESS_TOKEN_TYPE, "id": ID_TOKEN_TYPE}
_Test = Callable[[Any, Mapping[str, Any], datetime], bool]
"""Over a row of ``_life``, the claims, and now."""


def _is_unlike_its_row(row: Any, claims: Mapping[str, Any], _now: datetime) -> bool:
    """It names the audience and the human of its row, an access token in its scope too, and no second one."""
    humans = [word for word in claims.get("scope", "").split(" ") if word.startswith("user:")]
    named = [(PrincipalKind.USER, row.user_id)] if row.user_id is not None and row.kind == "access" else []
    said = (claims["aud"], claims.get("user_id"), [parse_principal(word) for word in humans])
    return said != (row.audience, None if row.user_id is None else str(row.user_id), named)


_MAY_NOT_KNOW: dict[str, _Test] = {
    "not an access token": lambda row, *_: row.kind != "access",
    "the caller is no introspector of this audience": lambda row, *_: not row.may_ask,
}
_CAUSES: dict[str, _Test] = {
    "expired": lambda row, claims, now: claims["exp"] <= timestamp(now) or row.expires_at <= now,
    "not valid yet": lambda _row, claims, now: claims["nbf"] > timestamp(now + _SKEW),
    "not what was issued under its number": _is_unlike_its_row,
    "its key is not published any more": lambda row, *_: row.key_state not in PUBLISHED,
    "cut off": lambda row, *_: row.is_cut_off,
    "the service account is disabled or gone": lambda row, *_: (
        row.service_account_id is not None and not row.account_is_active
    ),
    "an enforced account without a human, or one that takes none with one": lambda row, *_: (
        row.service_account_id is not None and row.is_composite != (row.user_id is not None)
    ),
    "the human is disabled, gone or none": lambda row, *_: (
        row.user_id is not None and not row.human_is_active
    ),
    "the delegation is revoked, has expired or is gone": lambda row, _claims, now: (
        row.is_composite and (row.revoked_at is not None or (row.delegated_until or now) <= now)
    ),
}
"""Each cause of death, in the order in which they are told."""


@cache
def _life() -> Prepared:
    """One round trip for all that a token lives from; parameters ``jti``, ``caller`` and ``audience``."""
    human, account = aliased(Principal), aliased(Principal)
    may_ask = exists().where(
        AudienceIntrospector.audience_id == Audience.id,
        AudienceIntrospector.service_account_id == bindparam("caller"),
        Audience.canonical == bindparam("audience"),
        Audience.kind == AudienceKind.API.value,
    )
    return Prepared(
        select(
            IssuedToken.kind,
            IssuedToken.service_account_id,
            IssuedToken.user_id,
            IssuedToken.run_id,
            IssuedToken.audience,
            IssuedToken.expires_at,
            SigningKey.state.label("key_state"),
            (account.disabled_at.is_(None) & ServiceAccount.id.is_not(None)).label("account_is_active"),
            ServiceAccount.is_composite,
            (human.disabled_at.is_(None) & User.id.is_not(None)).label("human_is_active"),
            Delegation.revoked_at,
            Delegation.expires_at.label("delegated_until"),
            cut_offs.hits(token_targets(), IssuedToken.issued_at).label("is_cut_off"),
            may_ask.label("may_ask"),
        )
        .join(SigningKey, SigningKey.kid == IssuedToken.kid)
        .outerjoin(ServiceAccount, ServiceAccount.id == IssuedToken.service_account_id)
        .outerjoin(account, account.id == ServiceAccount.id)
        .outerjoin(User, User.id == IssuedToken.user_id)
        .outerjoin(human, human.id == User.id)
        .outerjoin(Delegation, Delegation.id == IssuedToken.delegation_id)
        .where(IssuedToken.jti == bindparam("jti"))
    )

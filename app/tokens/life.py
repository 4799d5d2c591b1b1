"""Whether a token of ours is alive: one statement, and one table of causes of death, for whoever asks.

Its signature was read before. It lives while its times are right, it says what its row says, and everything
that it lives from does: signing key, human, service account, delegation, and no cut-off of any of them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import Connection, bindparam, select
from sqlalchemy.orm import aliased

from app.clock import timestamp
from app.identity import cut_offs
from app.identity.models import Delegation, Principal, ServiceAccount, User
from app.prepared import Prepared
from app.protocol.claims import ACCESS_TOKEN_TYPE, ID_TOKEN_TYPE
from app.protocol.principals import PrincipalKind, parse_principal, parties
from app.signing.models import PUBLISHED, SigningKey
from app.signing.reader import SignedToken, why_not_read
from app.tokens import introspectors
from app.tokens.aftermath import token_targets
from app.tokens.audiences import canonical
from app.tokens.models import IssuedToken

NOT_SIGNED = "not a token that this issuer has signed"
_SKEW = timedelta(seconds=60)
"""How far another node's clock may be ahead of ours (``nbf``)."""
_TYPES = {"access": ACCESS_TOKEN_TYPE, "id": ID_TOKEN_TYPE}
_Test = Callable[[Any, Mapping[str, Any], datetime], bool]
"""Over a row of ``_life``, the claims, and now."""
Causes = Mapping[str, _Test]


@dataclass(frozen=True, slots=True)
class Life:
    """``row`` is what the mint has stored, ``None`` for what it never issued so."""

    claims: Mapping[str, Any]
    row: Any | None
    now: datetime

    def ended_by(self, causes: Causes) -> str | None:
        """The first of the causes that holds; for the ledger, not for whoever shows the token."""
        if self.row is None:
            return "a token that was never issued"
        return next(
            (cause for cause, holds in causes.items() if holds(self.row, self.claims, self.now)), None
        )

    @property
    def parties(self) -> dict[str, str | int | None]:
        """The ledger's columns, as far as the row is known."""
        row, jti = self.row, self.claims.get("jti")
        if row is None:
            return {"jti": jti}
        return {**parties(row.user_id, row.service_account_id), "run": row.run_id, "jti": jti}


def why_not_signed(connection: Connection, token: str) -> str:
    """For the ledger: of a token that no published key of ours has signed."""
    return why_not_read(connection, token) or NOT_SIGNED


def look_up(
    connection: Connection, issuer: str, signed: SignedToken, now: datetime, caller: int | None = None
) -> Life:
    """``row.may_ask``: whether the service account ``caller`` is an introspector of the token's audience."""
    claims = signed.claims
    audience = claims["aud"] if isinstance(claims["aud"], str) else ""
    asked = {"jti": claims["jti"], "caller": caller, "audience": canonical(audience)}
    row = _life().row(connection, asked)
    if row is not None and (claims["iss"] != issuer or signed.type != _TYPES[row.kind]):
        row = None
    return Life(claims, row, now)


def _is_unlike_its_row(row: Any, claims: Mapping[str, Any], _now: datetime) -> bool:
    """It names the audience, the scope and the human of its row, a pair's access token in its scope too, and
    no second one; even under our own signature.
    """
    scope = claims.get("scope")
    humans = [parse_principal(word) for word in (scope or "").split(" ") if word.startswith("user:")]
    is_pair = row.user_id is not None and row.service_account_id is not None
    named = [(PrincipalKind.USER, row.user_id)] if is_pair and row.kind == "access" else []
    said = (claims["aud"], scope, claims.get("user_id"), humans)
    return said != (row.audience, row.scope, None if row.user_id is None else str(row.user_id), named)


OF_ITSELF: Causes = {
    "expired": lambda row, claims, now: claims["exp"] <= timestamp(now) or row.expires_at <= now,
    "not valid yet": lambda _row, claims, now: claims["nbf"] > timestamp(now + _SKEW),
    "not what was issued under its number": _is_unlike_its_row,
    "its key is not published any more": lambda row, *_: row.key_state not in PUBLISHED,
    "cut off": lambda row, *_: row.is_cut_off,
}
"""What no policy has to be asked about."""
NOT_ACCESS: Causes = {"not an access token": lambda row, *_: row.kind != "access"}
OF_ITS_PARTIES: Causes = {
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
OF_ANYTHING: Causes = {**OF_ITSELF, **OF_ITS_PARTIES}
"""Each cause of death, in the order in which they are told."""


@cache
def _life() -> Prepared:
    """One round trip for all that a token lives from; parameters ``jti``, ``caller`` and ``audience``."""
    human, account = aliased(Principal), aliased(Principal)
    return Prepared(
        select(
            IssuedToken.kind,
            IssuedToken.service_account_id,
            IssuedToken.user_id,
            IssuedToken.run_id,
            IssuedToken.delegation_id,
            IssuedToken.audience,
            IssuedToken.scope,
            IssuedToken.expires_at,
            SigningKey.state.label("key_state"),
            (account.disabled_at.is_(None) & ServiceAccount.id.is_not(None)).label("account_is_active"),
            ServiceAccount.is_composite,
            (human.disabled_at.is_(None) & User.id.is_not(None)).label("human_is_active"),
            Delegation.revoked_at,
            Delegation.expires_at.label("delegated_until"),
            cut_offs.hits(token_targets(), IssuedToken.issued_at).label("is_cut_off"),
            introspectors.of_this_api().label("may_ask"),
        )
        .join(SigningKey, SigningKey.kid == IssuedToken.kid)
        .outerjoin(ServiceAccount, ServiceAccount.id == IssuedToken.service_account_id)
        .outerjoin(account, account.id == ServiceAccount.id)
        .outerjoin(User, User.id == IssuedToken.user_id)
        .outerjoin(human, human.id == User.id)
        .outerjoin(Delegation, Delegation.id == IssuedToken.delegation_id)
        .where(IssuedToken.jti == bindparam("jti"))
    )

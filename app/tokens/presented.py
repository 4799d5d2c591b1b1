"""Access tokens of ours that somebody shows: what they say, as long as they are not dead by themselves.

The mint's row tells, not the token: both renderings of a delegation have the same row.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, select

from app.clock import timestamp
from app.identity import cut_offs
from app.prepared import Prepared
from app.protocol.claims import ACCESS_TOKEN_TYPE
from app.signing.models import PUBLISHED, SigningKey
from app.signing.reader import Reader
from app.tokens.aftermath import token_targets
from app.tokens.models import Audience, AudienceIntrospector, IssuedToken


@dataclass(frozen=True, slots=True)
class PresentedToken:
    """Whether the parties still may, policy decides: nothing here asks for them."""

    jti: str
    audience: str
    scopes: tuple[str, ...]
    user_id: int | None
    service_account_id: int | None
    delegation_id: int | None
    run_id: int | None


_ALIVE = Prepared(
    select(
        IssuedToken.jti,
        IssuedToken.audience,
        IssuedToken.scope,
        IssuedToken.user_id,
        IssuedToken.service_account_id,
        IssuedToken.delegation_id,
        IssuedToken.run_id,
    ).where(
        IssuedToken.jti == bindparam("jti"),
        IssuedToken.kind == "access",
        IssuedToken.kid.in_(select(SigningKey.kid).where(SigningKey.state.in_(PUBLISHED))),
        ~cut_offs.hits(token_targets(), IssuedToken.issued_at),
    )
)


def read(
    connection: Connection, reader: Reader, issuer: str, token: str, now: datetime
) -> PresentedToken | None:
    """``None`` for whatever is no access token that we issued so, has expired, was cut off, or whose key is
    gone.
    """
    signed = reader.read(token)
    if signed is None or signed.type != ACCESS_TOKEN_TYPE:
        return None
    claims = signed.claims
    if claims["iss"] != issuer or not claims["nbf"] <= timestamp(now) < claims["exp"]:
        return None
    row = _ALIVE.row(connection, {"jti": claims["jti"]})
    if row is None or not _says_what_was_issued(claims, row):
        return None
    names = (word for word in (row.scope or "").split() if not word.startswith("user:"))
    return PresentedToken(
        row.jti,
        str(row.audience),
        tuple(names),
        row.user_id,
        row.service_account_id,
        row.delegation_id,
        row.run_id,
    )


def _says_what_was_issued(claims: Mapping[str, Any], row: Any) -> bool:
    """Even under our own signature: no other human than was stored, no second one, no wider scope."""
    human = None if row.user_id is None else str(row.user_id)
    said = (claims["aud"], claims.get("scope"), claims.get("user_id"))
    return said == (row.audience, row.scope, human)


def may_ask_about(connection: Connection, service_account_id: int, audience: str) -> bool:
    """Whether a resource server may learn of tokens for this audience (RFC 7662 §2.1)."""
    query = (
        select(AudienceIntrospector.service_account_id)
        .join(Audience, Audience.id == AudienceIntrospector.audience_id)
        .where(Audience.uri == audience, AudienceIntrospector.service_account_id == service_account_id)
    )
    return connection.execute(query).first() is not None

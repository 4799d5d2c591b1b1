"""What breaks if a signing key is revoked: asked before it is done."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from app.signing.checks import find_key
from app.tokens.aftermath import audiences_of, unexpired
from app.tokens.models import IssuedToken


@dataclass(frozen=True, kw_only=True)
class KeyImpact:
    """Its tokens that are alive; the last of them expires at ``until``; ``None``: there is none."""

    kid: str
    alg: str
    state: str
    access_tokens: int
    id_tokens: int
    until: datetime | None
    audiences: tuple[str, ...]


def impact_of(session: Session, kid: str, now: datetime) -> KeyImpact:
    key = find_key(session, kid)
    groups = unexpired(session, IssuedToken.kid == kid, now)
    return KeyImpact(
        kid=kid,
        alg=key.alg,
        state=key.state,
        access_tokens=sum(group.alive for group in groups if group.kind == "access"),
        id_tokens=sum(group.alive for group in groups if group.kind == "id"),
        until=max((group.until for group in groups), default=None),
        audiences=audiences_of(groups),
    )

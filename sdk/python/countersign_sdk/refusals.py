"""What a refused request is answered, the same in Flask and ASGI (RFC 6750 §3, RFC 9457)."""

import json
from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal

from countersign_sdk.resource_server import (
    Decision,
    DecisionUnavailable,
    Identity,
    InvalidToken,
    ResourceServer,
)


class _AnyToken(Enum):
    ANY_TOKEN = auto()


ANY_TOKEN: Literal[_AnyToken.ANY_TOKEN] = _AnyToken.ANY_TOKEN
"""In a question's place: whoever's token verifies may, and the issuer is not asked."""

Question = tuple[str, str] | Literal[_AnyToken.ANY_TOKEN] | None
"""Which action in which resource. ``None`` is no question, and nobody gets through without one."""


@dataclass(frozen=True)
class Refusal:
    status: int
    title: str
    detail: str
    challenge: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        challenge = {"WWW-Authenticate": self.challenge} if self.challenge else {}
        return {"Content-Type": "application/problem+json", "Cache-Control": "no-store"} | challenge

    @property
    def body(self) -> bytes:
        problem = {"type": "about:blank", "title": self.title, "status": self.status, "detail": self.detail}
        return json.dumps(problem).encode()


def check(server: ResourceServer, authorization: str, question: Question) -> Identity | Refusal:
    """The caller's identity, if it may."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token:
        return Refusal(401, "Unauthorized", "send an access token as a bearer token", "Bearer")
    try:
        identity = server.identify(token.strip())
        if question is ANY_TOKEN:
            return identity
        if question is None:
            return Refusal(403, "Forbidden", "no rule says who may do this")
        decision = server.decide(identity, *question)
    except InvalidToken as invalid:
        return Refusal(401, "Unauthorized", str(invalid), 'Bearer error="invalid_token"')
    except DecisionUnavailable as unavailable:
        return Refusal(503, "Service Unavailable", str(unavailable))
    return identity if decision.allowed else _denied(identity, decision, *question)


def _denied(identity: Identity, decision: Decision, action: str, resource: str) -> Refusal:
    who = " for ".join(filter(None, (identity.service_account, identity.user)))
    why = "; ".join(decision.reasons) or "the issuer did not say why"
    return Refusal(403, "Forbidden", f"{who} may not {action} in {resource}: {why}")

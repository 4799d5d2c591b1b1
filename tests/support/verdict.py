"""What an independent verifier says of a token."""

from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True)
class Verdict:
    """Accepted with these claims, or refused with the verifier's own name for the reason."""

    ok: bool
    payload: dict[str, Any] = field(default_factory=dict)
    error: str | None = None


class Verifier(Protocol):
    def verify(self, *, issuer: str, audience: str, token: str) -> Verdict:
        """From the issuer's discovery document on; raises `VerifierBrokeError` when it could not judge."""


class VerifierBrokeError(AssertionError):
    """No verdict: discovery or JWKS could not be had. Never to be taken for a refusal."""

"""What an act on the key set needs: asked before keys are made for it, and again in its transaction."""

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from app.clock import rfc3339
from app.errors import Conflict, NotFound
from app.signing import transitions
from app.signing.models import PUBLISHED, SigningKey
from app.signing.transitions import Pair

Permit = Callable[[Session], object]
"""Asked in the transaction of the act; raises ``Denied``."""


def anybody(_session: Session) -> None:
    """For whoever was let in already, such as the operator of the host."""


class AnotherWasFaster(Conflict):
    """What the caller has seen is not so any more; whoever only wants it done is content."""


class TooEarly(Conflict):
    """*next* has not been public for the publish lead. What it says names the options of the command."""

    def __init__(self, kid: str, due: datetime) -> None:
        self._early = (
            f"{kid} may sign from {rfc3339(due)} on, when verifiers have had "
            "COUNTERSIGN_KEY_PUBLISH_LEAD to fetch it"
        )
        super().__init__(self.worded("or use --now with a --reason"))

    def worded(self, override: str) -> str:
        """As it is told at another door, where an ``override`` is asked for in other words."""
        return f"{self._early}: wait, {override}"


def pair_in_use(session: Session, algorithm: str) -> Pair:
    pair = transitions.pair_of(session, algorithm)
    if pair is None:
        raise NotFound(f"{algorithm} is not in use: countersign audience add URI --alg {algorithm}")
    return pair


def needs_override(
    session: Session, pair: Pair, expected: str, override: str | None, *, lead: timedelta, now: datetime
) -> bool:
    """Whether the rotation comes before its time; raises what ``Lifecycle.rotate`` says."""
    if pair.active.kid != expected:
        raise AnotherWasFaster(f"another rotation was faster: {pair.active.kid} is active now")
    due = transitions.may_sign_at(pair.next, lead)
    early = now < due
    if early and override is None:
        raise TooEarly(pair.next.kid, due)
    transitions.check_room(session, 1)
    return early


def find_key(session: Session, kid: str) -> SigningKey:
    """Whatever has become of it since it was published."""
    key = session.get(SigningKey, kid)
    if key is None:
        raise NotFound("there is no signing key with this kid: countersign keys list")
    return key


def revocable(session: Session, kid: str, expected: str | None) -> SigningKey:
    """``expected``: the state in which the caller has seen it."""
    key = find_key(session, kid)
    if key.state not in PUBLISHED:
        raise Conflict(f"{kid} is {key.state}: it is not in the JWKS any more")
    if expected is not None and key.state != expected:
        raise AnotherWasFaster(f"{kid} is {key.state} now, not {expected}: look again")
    return key


def check_unknown(session: Session, kid: str) -> None:
    if session.get(SigningKey, kid) is not None:
        raise Conflict(f"{kid} has been a key of this issuer already: a kid is never used again")

"""The states of a signing key, *next → active → retired → removed*, or *revoked*, as steps of a transaction.

Every step is told in the ledger. Whoever makes one holds the key set first, so that nodes take turns.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.clock import rfc3339
from app.errors import Conflict, InvalidInput
from app.ledger.actions import AuditAction
from app.ledger.record import Actor, record
from app.signing.algorithms import Algorithm
from app.signing.keystores import NewKey
from app.signing.models import PUBLISHED, SIGNING, KeyState, SigningKey

MOST_PUBLISHED = 8
"""Keys in a JWKS; Google Cloud takes no more of an uploaded one (VERIFIERS.md 4)."""
_LOCK = 0x6B657973  # any constant: the advisory lock of whoever changes the key set
LONGEST_REASON = 500
_STAYS = timedelta(hours=25)
"""Of a retired key: the longest life of a token (1 h), and a day."""


@dataclass(frozen=True)
class Pair:
    """The two keys that every algorithm in use has."""

    active: SigningKey
    next: SigningKey


@dataclass(frozen=True, kw_only=True)
class By:
    """Who makes a step, and when."""

    actor: Actor
    now: datetime


def hold(session: Session) -> None:
    """Until the transaction's end; on SQLite every writer has been alone since its first statement."""
    if session.connection().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})


def pair_of(session: Session, algorithm: str) -> Pair | None:
    """``None`` for an algorithm that is not in use; ``Conflict`` for one whose *next* is yet to be made."""
    rows = _living(session, algorithm)
    if not rows:
        return None
    if KeyState.NEXT not in rows:
        raise Conflict(
            f"{algorithm} has no next key, for the keystore could make none: the worker does once it can; "
            "COUNTERSIGN_KEYSTORE=files before this command makes it in files"
        )
    return Pair(rows[KeyState.ACTIVE], rows[KeyState.NEXT])


def is_in_use(session: Session, algorithm: str) -> bool:
    return bool(_living(session, algorithm))


def without_next(session: Session) -> list[Algorithm]:
    """Algorithms in use whose *next* could not be made when a key was revoked."""
    query = select(SigningKey.alg, SigningKey.state).where(SigningKey.state.in_(SIGNING))
    rows = session.execute(query).all()
    complete = {alg for alg, state in rows if state == KeyState.NEXT}
    return sorted({Algorithm(alg) for alg, _ in rows} - complete)


def _living(session: Session, algorithm: str) -> dict[str, SigningKey]:
    query = select(SigningKey).where(SigningKey.alg == algorithm, SigningKey.state.in_(SIGNING))
    return {row.state: row for row in session.scalars(query)}


def may_sign_at(key: SigningKey, lead: timedelta) -> datetime:
    """When a published key has reached every verifier that keeps to the publish lead."""
    return key.published_at if key.exempt else key.published_at + lead


def check_reason(reason: str) -> str:
    if not reason.strip() or len(reason) > LONGEST_REASON:
        raise InvalidInput(f"reason: say why, in at most {LONGEST_REASON} characters")
    return reason


def leaves_by(key: SigningKey) -> datetime | None:
    """When a retired key is out of the JWKS at the latest; ``None`` for any other."""
    retired = key.state == KeyState.RETIRED and key.retired_at
    return retired + _STAYS if retired else None


def check_room(session: Session, more: int, spare: int = 0) -> None:
    """Refuses what would make the JWKS longer than verifiers take, or leave less than ``spare`` in it."""
    query = select(SigningKey).where(SigningKey.state.in_(PUBLISHED))
    rows = session.scalars(query.order_by(SigningKey.retired_at)).all()
    lacking = len(rows) + len(without_next(session)) + more + spare - MOST_PUBLISHED
    if lacking <= 0:
        return
    kept = f", and {spare} kept free for a rotation" if spare else ""
    needed = (
        f"the JWKS has at most {MOST_PUBLISHED} keys: this needs room for {more}{kept}, {len(rows)} are there"
    )
    leaving = [row for row in rows if row.state == KeyState.RETIRED][:lacking]
    if len(leaving) < lacking:
        raise Conflict(f"{needed}, and its algorithms need them: countersign audience remove URI")
    until = max(by for row in leaving if (by := leaves_by(row)))
    kids = " and ".join(row.kid for row in leaving)
    raise Conflict(f"{needed}; there is room by {rfc3339(until)}, when {kids} will have left it")


def add(
    session: Session,
    new: NewKey,
    keystore: str,
    state: KeyState,
    by: By,
    *,
    activated_at: datetime | None = None,
    exempt: bool = False,
    origin: str = "generated",
) -> SigningKey:
    row = SigningKey(
        kid=new.kid,
        alg=new.alg.value,
        state=state,
        public_jwk=new.public_jwk,
        keystore=keystore,
        reference=new.reference,
        exempt=exempt,
        published_at=by.now,
        activated_at=activated_at,
    )
    session.add(row)
    told = {"state": state, "alg": row.alg, "keystore": keystore, "origin": origin}
    record(session, by.actor.did(AuditAction.SIGNING_KEY_CREATE, by.now, kid=row.kid, detail=told))
    return row


def rotate(session: Session, pair: Pair, by: By, *, override: str | None) -> None:
    """*next* signs, *active* has signed; the caller adds a new *next*. ``override``: why before the lead."""
    _leave(session, pair.active, KeyState.RETIRED, by)
    _activate(session, pair.next, by.now)
    detail = {"alg": pair.next.alg, "retired": pair.active.kid, "override": override}
    _tell(session, AuditAction.SIGNING_KEY_ROTATE, pair.next, by, detail)


def revoke(session: Session, key: SigningKey, by: By, reason: str) -> None:
    key.reason = reason
    state = key.state
    _leave(session, key, KeyState.REVOKED, by)
    _tell(session, AuditAction.SIGNING_KEY_REVOKE, key, by, {"alg": key.alg, "was": state, "reason": reason})


def promote(session: Session, pair: Pair, by: By, lead: timedelta) -> None:
    """After the active key was revoked. One that was yet to sign is followed by one that is yet to sign."""
    due = max(by.now, pair.active.activated_at or by.now)
    early = due < may_sign_at(pair.next, lead)
    _activate(session, pair.next, due)
    override = f"the active key was revoked: {pair.active.reason}" if early else None
    detail = {"alg": pair.next.alg, "retired": None, "override": override}
    _tell(session, AuditAction.SIGNING_KEY_ROTATE, pair.next, by, detail)


def remove(session: Session, key: SigningKey, by: By, why: str) -> None:
    _leave(session, key, KeyState.REMOVED, by)
    _tell(session, AuditAction.SIGNING_KEY_REMOVE, key, by, {"alg": key.alg, "reason": why})


def withdraw(session: Session, algorithm: Algorithm, actor: Actor, now: datetime) -> None:
    """Nobody asks for the algorithm any more: what it has signed can be verified until it has expired."""
    by = By(actor=actor, now=now)
    hold(session)
    why = f"no audience asks for {algorithm} any more"
    for key in _living(session, algorithm).values():
        if key.activated_at is None or key.activated_at > now:
            remove(session, key, by, why)
        else:
            _leave(session, key, KeyState.RETIRED, by)
            _tell(session, AuditAction.SIGNING_KEY_RETIRE, key, by, {"alg": algorithm, "reason": why})


def destroyed(session: Session, key: SigningKey, by: By) -> None:
    key.destroyed_at = by.now
    _tell(session, AuditAction.SIGNING_KEY_DESTROY, key, by, {"keystore": key.keystore, "state": key.state})


def _activate(session: Session, key: SigningKey, at: datetime) -> None:
    key.state, key.activated_at = KeyState.ACTIVE, at
    session.flush()


def _leave(session: Session, key: SigningKey, state: KeyState, by: By) -> None:
    key.state = state
    setattr(key, f"{state}_at", by.now)
    session.flush()  # in this order, or the one that follows would be the second of its state


def _tell(session: Session, action: AuditAction, key: SigningKey, by: By, detail: dict[str, Any]) -> None:
    detail |= {"published_at": rfc3339(key.published_at)}
    record(session, by.actor.did(action, by.now, kid=key.kid, detail=detail))

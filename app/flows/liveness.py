"""Whether a run may go on: it lives no longer than what it lives from. Asked twice a second, never cached."""

from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from app.errors import Denied
from app.flows.models import Run
from app.flows.parties import parties_of
from app.flows.runs import ENDED, find_run
from app.identity import cut_offs
from app.identity.cut_offs import CutOffKind
from app.identity.models import Delegation
from app.tokens.models import IssuedToken


def why_end(session: Session, run_id: int, now: datetime) -> str | None:
    """Why the run has to end, in words for its humans; ``None`` while it may go on.

    It was killed, or something that it lives from was; it was asked to end; a delegation that it or one of
    its tokens lives from is over; a party is disabled or may not start flows here any more.
    """
    run = find_run(session, run_id)
    if run.state in ENDED:
        return f"it was ended elsewhere: it {run.state}"
    if (cut_off := cut_offs.newest(session, _lineage(run), run.created_at)) is not None:
        kind, reason = cut_off
        return f"killed, by its {_WORDS[CutOffKind(kind)]}: {reason}"
    if run.cancel_requested_at is not None:
        return "cancelled; everything the run had started was ended"
    return _dead_delegation(session, run, now) or _lost_right(session, run, now)


_WORDS = {
    CutOffKind.RUN: "number",
    CutOffKind.USER: "human",
    CutOffKind.SERVICE_ACCOUNT: "service account",
    CutOffKind.DELEGATION: "delegation",
}


def _lineage(run: Run) -> cut_offs.Targets:
    return {
        CutOffKind.RUN: run.id,
        CutOffKind.USER: run.user_id,
        CutOffKind.SERVICE_ACCOUNT: run.service_account_id,
        CutOffKind.DELEGATION: run.delegation_id,
    }


def _dead_delegation(session: Session, run: Run, now: datetime) -> str | None:
    tokens = select(IssuedToken.delegation_id).where(IssuedToken.run_id == run.id)
    query = select(Delegation.id, Delegation.revoked_at).where(
        or_(Delegation.id == run.delegation_id, Delegation.id.in_(tokens)),
        or_(Delegation.revoked_at.is_not(None), Delegation.expires_at <= now),
    )
    row = session.execute(query.limit(1)).one_or_none()
    if row is None:
        return None
    return f"delegation {row.id} {'has expired' if row.revoked_at is None else 'was revoked'}"


def _lost_right(session: Session, run: Run, now: datetime) -> str | None:
    try:
        parties_of(
            session,
            run.project,
            run.user_id,
            run.service_account_id,
            needed=(),  # what the delegation covers was asked when the run began, and does not change
            now=now,
            delegation_id=run.delegation_id,
        )
    except Denied as refusal:
        return str(refusal)
    return None

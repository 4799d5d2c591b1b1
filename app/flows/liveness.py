"""Whether a run may go on: it lives no longer than what it lives from. Asked twice a second, never cached."""

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from app.errors import Denied, Overtaken
from app.flows.configuration import Flow
from app.flows.executors.outcome import TIMED_OUT
from app.flows.id_tokens import RunFacts
from app.flows.models import Run
from app.flows.parties import needed_by, parties_of
from app.flows.runs import CANCELLED, ENDED, find_run, shared_run
from app.identity import cut_offs
from app.identity.composite import Person
from app.identity.cut_offs import CutOffKind
from app.identity.models import Delegation
from app.identity.permissions import Role
from app.tokens.models import IssuedToken


class TimeIsOver(Overtaken):
    """Whoever executes the run is ending it; its steps may hang on for a while."""

    def __init__(self) -> None:
        super().__init__(TIMED_OUT.reason)


def why_end(session: Session, run_id: int, now: datetime) -> str | None:
    """Why the run has to end, in words for its humans; ``None`` while it may go on.

    It was killed, or something that it lives from was; it was asked to end; a delegation that it or one of
    its tokens lives from is over; a party is disabled or may not start flows here any more. Its time limit is
    its executor's to keep.
    """
    run = find_run(session, run_id)
    if (reason := _ended(session, run, now)) is not None:
        return reason
    try:
        _parties(session, run, (), now)  # what the delegation covers was asked before, and does not change
    except Denied as refusal:
        return str(refusal)
    return None


def time_left(run: Run, flow: Flow, now: datetime) -> timedelta:
    """Of a run that has begun; its time limit counts from then, whatever it does first."""
    return (run.started_at or now) + flow.timeout - now


def require_unchanged(session: Session, decided: RunFacts, now: datetime) -> None:
    """``Overtaken`` unless the run is under way, in its time, and its tokens would say the same if they were
    decided now.

    For the transaction that writes them: until it ends, whoever would change that waits.
    """
    run = shared_run(session, decided.run_id)
    if (reason := _ended(session, run, now)) is not None:
        raise Overtaken(reason)
    if time_left(run, decided.flow, now) <= timedelta(0):
        raise TimeIsOver
    try:
        identity, role = _parties(session, run, needed_by(decided.flow), now)
    except Denied as refusal:
        raise Overtaken(str(refusal)) from None
    if (identity, role) != (decided.identity, decided.human_role):
        raise Overtaken("what is known of the parties changed as the run began")
    here, then = run.project, decided.project
    if (here.path, here.subject) != (then.path, then.subject):
        raise Overtaken("the project's path or subject changed as the run began")


def _ended(session: Session, run: Run, now: datetime) -> str | None:
    if run.state in ENDED:
        return f"it was ended elsewhere: it {run.state}"
    cut_off = cut_offs.newest(session, _lineage(run), run.created_at)
    if cut_off is not None and cut_off != (CutOffKind.RUN, CANCELLED):
        kind, reason = cut_off
        return f"killed, by its {_WORDS[CutOffKind(kind)]}: {reason}"
    if run.cancel_requested_at is not None:
        return CANCELLED
    return _dead_delegation(session, run, now)


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


def _parties(session: Session, run: Run, needed: Collection[str], now: datetime) -> tuple[Person, Role]:
    return parties_of(
        session,
        run.project,
        run.user_id,
        run.service_account_id,
        needed,
        now,
        delegation_id=run.delegation_id,
    )

"""A run's states: *pending → running → succeeded, failed* or *cancelled*, each transition in the ledger.

With its end comes a cut-off of its own: what it was given dies with it, and who asks need not know of runs.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, func, select, update
from sqlalchemy.orm import Session, contains_eager

from app.db import Database
from app.errors import Conflict, NotFound
from app.flows.models import Run, RunInput, RunState, TokenToMask
from app.identity.cut_offs import CutOffKind
from app.identity.models import Group, Project, User
from app.identity.paths import ancestors
from app.ledger.actions import AuditAction, Outcome
from app.ledger.record import Actor, AuditEvent, record
from app.protocol.principals import parties
from app.tokens.aftermath import cut_off

ENDED = (RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED)
HEARTBEAT = timedelta(seconds=5)
ABANDONED_AFTER = timedelta(minutes=3)  # more than clocks of nodes may differ by
_MARK_LENGTH = 32  # of hexadecimal digits: no more, for a path of a socket may have about 100 characters
CANCELLED = "cancelled; everything the run had started was ended"
WORKER = Actor(name="worker")


def find_run(session: Session, run_id: int) -> Run:
    if (run := session.get(Run, run_id)) is None:
        raise NotFound(f"there is no run {run_id}")
    return run


def held_run(session: Session, run_id: int) -> Run:
    """The run as it is now, which nobody else changes until this transaction ends."""
    run = session.get(Run, run_id, with_for_update={"of": Run}, populate_existing=True)
    if run is None:
        raise NotFound(f"there is no run {run_id}")
    return run


def shared_run(session: Session, run_id: int) -> Run:
    """The run and its project as they are now, for whoever issues something that rests on them: others may
    hold them as well, and nobody changes either, or a role in the project, until this transaction ends.
    """
    query = select(Run).join(Run.project).options(contains_eager(Run.project)).where(Run.id == run_id)
    held = query.with_for_update(read=True, of=(Run, Project)).execution_options(populate_existing=True)
    if (run := session.scalars(held).one_or_none()) is None:
        raise NotFound(f"there is no run {run_id}")
    groups = select(Group.id).where(Group.path.in_(ancestors(run.project.path)))
    session.execute(groups.with_for_update(read=True))
    return run


def matching(
    *, project: str | None = None, flow: str | None = None, user: str | None = None, state: str | None = None
) -> Select[Run]:
    """By the project's path, the flow's name, the human's login and the state; in no order."""
    rows = select(Run)
    if project is not None:
        rows = rows.where(Run.project.has(Project.path == project))
    if user is not None:
        rows = rows.where(Run.user.has(User.login == user))
    wanted = {Run.flow: flow, Run.state: state}
    return rows.where(*(column == value for column, value in wanted.items() if value is not None))


def newest(session: Session, rows: Select[Run], limit: int) -> Sequence[Run]:
    return session.scalars(rows.order_by(Run.id.desc()).limit(limit)).all()


def add_inputs(session: Session, run: Run, values: Mapping[str, str]) -> None:
    """In the canonical text of each."""
    session.add_all(RunInput(run_id=run.id, name=name, value=value) for name, value in values.items())


def begin(session: Session, run_id: int, token_sha256: str, *, by: Actor, now: datetime) -> None:
    """Takes a pending run; two executors never run the same one."""
    run = held_run(session, run_id)
    if run.state != RunState.PENDING:
        raise Conflict(f"run {run.id} is not pending any more: it is {run.state}")
    run.state, run.reason, run.token_sha256 = RunState.RUNNING, None, token_sha256
    run.started_at = run.heartbeat_at = now
    record(session, transition(run, AuditAction.RUN_START, by, now))


def finish(
    session: Session,
    run: Run,
    state: RunState,
    reason: str | None,
    exit_code: int | None,
    *,
    by: Actor,
    now: datetime,
) -> None:
    """Ends a run once; its run token and its other tokens die with it."""
    if run.state in ENDED:
        return
    run.state, run.reason, run.exit_code, run.ended_at = state, reason, exit_code, now
    run.token_sha256 = None
    session.execute(delete(TokenToMask).where(TokenToMask.run_id == run.id))
    cut_off(session, CutOffKind.RUN, run.id, reason=f"the run {state}", actor=by.name, now=now)
    outcome = Outcome.SUCCESS if state is RunState.SUCCEEDED else Outcome.FAILED
    detail = {"state": state.value, "reason": reason, "exit_code": exit_code}
    record(session, transition(run, AuditAction.RUN_FINISH, by, now, outcome=outcome, detail=detail))


def request_cancel(session: Session, run_id: int, *, by: Actor, now: datetime) -> Run:
    """Ends its tokens, and asks whoever executes it to end it; a run that nobody has begun ends at once."""
    run = held_run(session, run_id)
    if run.state in ENDED:
        how = "was cancelled" if run.state == RunState.CANCELLED else run.state
        raise Conflict(f"run {run_id} has ended already: it {how}")
    cut_off(session, CutOffKind.RUN, run.id, reason=CANCELLED, actor=by.name, now=now)
    cancel(session, run, "cancelled before it began", by=by, now=now)
    return run


def cancel(session: Session, run: Run, reason: str, *, by: Actor, now: datetime) -> None:
    """As above, for one that has not ended; ``reason`` is that of a run that nobody has begun."""
    run.cancel_requested_at = run.cancel_requested_at or now
    record(session, transition(run, AuditAction.RUN_CANCEL, by, now))
    if run.state == RunState.PENDING:
        finish(session, run, RunState.CANCELLED, reason, None, by=by, now=now)


def under_way_by_state(session: Session) -> dict[str, int]:
    counted = dict.fromkeys((RunState.PENDING.value, RunState.RUNNING.value), 0)
    query = select(Run.state, func.count()).where(Run.state.in_(counted)).group_by(Run.state)
    return counted | {state: number for state, number in session.execute(query)}  # noqa: C416 - typed rows


def under_way(session: Session, which: ColumnElement[bool]) -> Sequence[Run]:
    """Those that have not ended; nobody else changes them before the caller's transaction does."""
    query = select(Run).where(which, Run.state.not_in(ENDED)).order_by(Run.id)
    return session.scalars(query.with_for_update(of=Run)).all()


def beat(database: Database, run_id: int, now: datetime) -> None:
    with database.writing_connection() as connection:
        connection.execute(update(Run).where(Run.id == run_id).values(heartbeat_at=now))


def fail_abandoned(database: Database, now: datetime) -> int:
    """Ends runs whose executor has not been heard of; returns how many there were. One that waits for a
    worker has none yet.
    """
    has_executor = (Run.state == RunState.RUNNING) | ((Run.state == RunState.PENDING) & ~Run.is_queued)
    return _fail(database, has_executor & (Run.heartbeat_at < now - ABANDONED_AFTER), now)


def mark_of(token_sha256: str) -> str:
    """Which attempt at a run it is: the workspace of one bears it (``workspace.Leftover``)."""
    return token_sha256[:_MARK_LENGTH]


def fail_orphans(database: Database, gone: Collection[tuple[int, str]], now: datetime) -> int:
    """The same at once, for those whose process is known to be gone: by their numbers and marks, for another
    node may have begun the run of that number. Once this returns none of them is running.
    """
    if not gone:
        return 0
    numbers, marks = zip(*gone, strict=True)
    marked = func.substr(Run.token_sha256, 1, _MARK_LENGTH).in_(marks)
    return _fail(database, Run.id.in_(numbers) & marked & (Run.state == RunState.RUNNING), now, wait=True)


def _fail(database: Database, which: ColumnElement[bool], now: datetime, *, wait: bool = False) -> int:
    """``wait`` for those that somebody else holds, or leave them for later."""
    query = select(Run).where(which).order_by(Run.id).with_for_update(of=Run, skip_locked=not wait)
    gone = "the process that executed it is gone"
    with database.writing() as session:
        found = session.scalars(query).all()
        for run in found:
            finish(session, run, RunState.FAILED, gone, None, by=WORKER, now=now)
        return len(found)


def transition(run: Run, action: AuditAction, by: Actor, now: datetime, **fields: Any) -> AuditEvent:
    """An event about a run, in the names of its parties."""
    return by.did(
        action,
        now,
        **parties(run.user_id, run.service_account_id),
        project=run.project.path,
        run=run.id,
        **fields,
    )

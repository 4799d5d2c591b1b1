"""Whose turn it is: runs wait in the order in which they were started, and a project has so many at once.

A run whose starter executes it waits in its own process; the others are taken by worker processes.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session

from app.clock import Clock
from app.db import Database
from app.errors import Conflict, InvalidInput
from app.flows import runs
from app.flows.executors.workspace import Workspace
from app.flows.models import Run, RunState
from app.identity.credentials import generate_run_token
from app.identity.members import hold
from app.identity.models import Project
from app.ledger.actions import AuditAction
from app.ledger.record import Actor, record
from app.secret import Secret

MOST_AT_ONCE = 999
WAITS_FOR_WORKER = "waits for a worker process"
_WAITS = (Run.state == RunState.PENDING) & Run.is_queued


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Of each project, unless it has its own of the first: runs at once, and runs that wait for a worker."""

    running: int = 10
    waiting: int = 100

    def of(self, project: Project) -> int:
        return self.running if project.concurrent_runs is None else project.concurrent_runs


class QueueFull(Conflict):
    """As many runs of the project wait as may."""


@dataclass(frozen=True)
class Begun:
    """A run that this process has taken, the run token that it alone knows, and the run's workspace.

    That is there before the run goes on and until its end is told: left behind, it tells of a process that
    was killed. ``held`` closes it.
    """

    run_id: int
    token: Secret
    workspace: Workspace
    held: ExitStack


def admit(session: Session, project: Project, limits: Limits) -> str:
    """Why a run that is saved now has to wait, in words; ``QueueFull`` if there is no room for it.

    Until this transaction ends nobody else is admitted to the project.
    """
    hold(session, project)
    waiting = _count(session, project.id, RunState.PENDING, Run.is_queued.is_(True))
    if waiting >= limits.waiting:
        raise QueueFull(f"{waiting} runs of {project.path} are waiting, and no more may: try again later")
    ahead = waiting + _count(session, project.id, RunState.RUNNING)
    return WAITS_FOR_WORKER if ahead < limits.of(project) else _waits_its_turn(project, limits)


@dataclass(frozen=True)
class Queue:
    database: Database
    clock: Clock
    limits: Limits
    open_workspace: Callable[[int, str], AbstractContextManager[Workspace]]
    """By the run's number and mark."""

    def has_some(self) -> bool:
        """Whether a run waits for a worker whose turn it is; takes no lock."""
        with self.database.reading() as session:
            return session.scalar(self._next_project()) is not None

    def take(self, by: Actor) -> Begun | None:
        """Begins the first run whose turn it is; of several nodes that ask, one has it.

        The project first: whoever holds it is the only one who takes its runs, so that they keep their order.
        """
        with self._beginning() as (session, held):
            next_project = self._next_project()
            project = session.scalar(
                next_project.with_for_update(of=Project, skip_locked=True, key_share=True)
            )
            if project is None or not self._has_room(session, project):
                return None
            waiting = select(Run.id).where(Run.project_id == project.id, _WAITS).order_by(Run.id).limit(1)
            run_id = session.scalar(waiting.with_for_update(skip_locked=True))
            return None if run_id is None else self._begun(session, held, run_id, by)

    def begin(self, run_id: int, by: Actor) -> Begun | None:
        """Begins this run, for whoever started it; ``None`` while it has to wait for others to end, or for
        those before it to begin.
        """
        if self._waits_on(run_id):
            return None
        with self._beginning() as (session, held):
            run = runs.held_run(session, run_id)
            hold(session, run.project)
            if run.state != RunState.PENDING or self._has_room(session, run.project, before=run_id):
                return self._begun(session, held, run_id, by)
            run.reason, run.heartbeat_at = _waits_its_turn(run.project, self.limits), self.clock()
            return None

    def _waits_on(self, run_id: int) -> bool:
        """Whether it waits as it did, and has said so of late: nothing to write, and nobody to hold up."""
        with self.database.reading() as session:
            run = runs.find_run(session, run_id)
            said = run.reason == _waits_its_turn(run.project, self.limits)
            of_late = self.clock() - run.heartbeat_at < runs.HEARTBEAT
            waits = run.state == RunState.PENDING and said and of_late
            return waits and not self._has_room(session, run.project, before=run_id)

    @contextmanager
    def _beginning(self) -> Iterator[tuple[Session, ExitStack]]:
        """A transaction, and what is closed unless that commits."""
        with ExitStack() as undone:
            held = ExitStack()
            undone.push(held)
            with self.database.writing() as session:
                yield session, held
            undone.pop_all()

    def _begun(self, session: Session, held: ExitStack, run_id: int, by: Actor) -> Begun:
        token, sha256 = generate_run_token()
        runs.begin(session, run_id, sha256, by=by, now=self.clock())
        workspace = held.enter_context(self.open_workspace(run_id, runs.mark_of(sha256)))
        return Begun(run_id, token, workspace, held)

    def _next_project(self) -> Select[Project]:
        """Of those that have room, the one whose run has waited longest."""
        running = select(func.count()).where(Run.project_id == Project.id, Run.state == RunState.RUNNING)
        room = running.scalar_subquery() < func.coalesce(Project.concurrent_runs, self.limits.running)
        first = select(func.min(Run.id)).where(Run.project_id == Project.id, _WAITS).scalar_subquery()
        waiting = Project.id.in_(select(Run.project_id).where(_WAITS))
        return select(Project).where(waiting, room).order_by(first).limit(1)

    def _has_room(self, session: Session, project: Project, *, before: int = 0) -> bool:
        """Counted once more after the project is held: what was taken meanwhile is seen now. Those that wait
        with a number ``before`` have theirs first.
        """
        ahead = _count(session, project.id, RunState.PENDING, Run.is_queued.is_(True), Run.id < before)
        return ahead + _count(session, project.id, RunState.RUNNING) < self.limits.of(project)


def _count(session: Session, project_id: int, state: RunState, *more: ColumnElement[bool]) -> int:
    counted = select(func.count()).where(Run.project_id == project_id, Run.state == state, *more)
    return session.scalar(counted.select_from(Run)) or 0


def _waits_its_turn(project: Project, limits: Limits) -> str:
    return f"waits its turn: {project.path} has at most {limits.of(project)} at once"


def set_concurrency(
    session: Session, project: Project, at_once: int | None, *, by: Actor, now: datetime
) -> None:
    """How many runs of the project go on at once; ``None``: as many as of any other."""
    if at_once is not None and not 1 <= at_once <= MOST_AT_ONCE:
        raise InvalidInput(f"at_once: is a number from 1 to {MOST_AT_ONCE}")
    hold(session, project)
    project.concurrent_runs = at_once
    detail = {"at_once": at_once}
    record(session, by.did(AuditAction.PROJECT_CONCURRENCY_SET, now, project=project.path, detail=detail))

"""Starting a flow: who may, with what, and the run that comes of it. ``execution`` then runs it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.clock import Clock
from app.db import Database
from app.errors import InvalidInput, Overtaken, Refusal
from app.flows.configuration import Flow, parse
from app.flows.configurations import newest
from app.flows.idempotency import Repeatable
from app.flows.inputs import InputValue, checked_inputs, plausible_inputs
from app.flows.models import ConfigurationVersion, Run, RunState
from app.flows.parties import needed_by, parties_of
from app.flows.queue import Limits, admit
from app.flows.runs import add_inputs
from app.flows.sources import ref_claims, source_of
from app.flows.subjects import subject_of
from app.identity.accounts import find_service_account, find_user
from app.identity.composite import Composite
from app.identity.models import Project
from app.identity.projects import find_project
from app.ledger.actions import AuditAction, Outcome
from app.ledger.record import Actor, record
from app.protocol.principals import parties, service_account_principal, user_principal

if TYPE_CHECKING:
    from app.flows.source_reader import SourceReader

Permit = Callable[[Session], None]
"""Asked in the transaction that saves the run; raises ``Denied``."""


@dataclass(frozen=True, kw_only=True)
class StartRequest:
    """What a starter may say; none of it reaches ``aud``, ``sub``, a secret's path or Vault's address.

    ``service_account`` of ``None``: the human runs it alone. ``is_queued``: a worker process executes it.
    ``delegation_id``: the one that an account starts it by, which then has to cover ``flow.start`` too.
    """

    project: str
    flow: str
    user: str
    service_account: str | None
    inputs: Mapping[str, InputValue]
    source: str
    is_queued: bool = False
    delegation_id: int | None = None
    retry_of: int | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True)
class Started:
    """``is_new`` unless the same was asked before with the same idempotency key."""

    run_id: int
    is_new: bool


def start(database: Database, clock: Clock, request: StartRequest, by: Actor) -> int:
    """A new run that its starter executes; its number."""
    return Starting(database, clock, Limits()).start(request, by).run_id


@dataclass(frozen=True)
class Starting:
    database: Database
    clock: Clock
    limits: Limits
    sources: "SourceReader | None" = None
    """Without one, nothing starts in projects that have their configuration from Git."""

    def start(self, request: StartRequest, by: Actor, permit: Permit = lambda _: None) -> Started:
        """Saves a pending run; a refusal is in the ledger and saves nothing."""
        now = self.clock()
        known: dict[str, str] = {}
        try:
            return self._start(request, by, permit, known)
        except Refusal as refusal:
            detail = {"cause": str(refusal)}
            event = by.did(AuditAction.RUN_CREATE, now, outcome=Outcome.DENIED, detail=detail, **known)
            with self.database.writing() as session:
                record(session, event)
            raise

    def _start(self, request: StartRequest, by: Actor, permit: Permit, known: dict[str, str]) -> Started:
        repeatable = _repeatable(request, by)
        if repeatable is not None:
            with self.database.reading() as session:
                if (earlier := repeatable.recall(session, self.clock())) is not None:
                    return Started(earlier, is_new=False)
        wanted = self._read(request, by, known)
        saving = _Saving(request, wanted, repeatable, by, self.clock())
        try:
            return self._save(saving, permit)
        except IntegrityError:
            if repeatable is None:
                raise
            return self._save(saving, permit)  # the same was asked at this moment, and that came first

    def _read(self, request: StartRequest, by: Actor, known: dict[str, str]) -> "_Wanted":
        """Who and what is meant; ``known`` gathers the parties for the ledger as they are found.

        Outside the writing transaction: a Git source may be slow, and a large configuration takes long
        enough to parse to be felt by others. For a run that waits for a worker, the worker reads Git: who
        starts it may be in a web worker, which keeps everybody waiting.
        """
        with self.database.reading() as session:
            user = find_user(session, request.user)
            known["user"] = user_principal(user.id)
            account_id = None
            if request.service_account is not None:
                account_id = find_service_account(session, request.service_account).id
                known["service_account"] = service_account_principal(account_id)
            project = find_project(session, request.project)
            known["project"] = project.path
            if has_source := source_of(session, project) is not None:  # we fetch for nobody who may not start
                parties_of(
                    session,
                    project,
                    user.id,
                    account_id,
                    (),
                    self.clock(),
                    delegation_id=request.delegation_id,
                )
            stored = None if has_source else newest(session, project)
        if has_source and request.is_queued:
            return _Wanted(user.id, account_id, project.id, None)
        version = stored or self._fetched(project, by)
        flow = parse(version.body).flow(request.flow)
        configured = _Configured(version, flow, checked_inputs(flow, request.inputs))
        return _Wanted(user.id, account_id, project.id, configured)

    def _fetched(self, project: Project, by: Actor) -> ConfigurationVersion:
        if self.sources is None:
            raise InvalidInput(f"{project.path} has its configuration from Git, which is not read here")
        return self.sources.refresh(project.id, by)

    def _save(self, saving: "_Saving", permit: Permit) -> Started:
        with self.database.writing() as session:
            permit(session)
            return saving.save(session, self.limits)


def _repeatable(request: StartRequest, by: Actor) -> Repeatable | None:
    if request.idempotency_key is None:
        return None
    names = ("project", "flow", "user", "service_account", "retry_of")
    asked = {name: getattr(request, name) for name in names} | {"inputs": dict(request.inputs)}
    return Repeatable.of(by, request.idempotency_key, asked)


@dataclass(frozen=True)
class _Configured:
    version: ConfigurationVersion
    flow: Flow
    inputs: Mapping[str, str]


@dataclass(frozen=True)
class _Wanted:
    user_id: int
    service_account_id: int | None
    project_id: int
    configured: _Configured | None
    """``None``: it is in Git, where whoever takes the run reads it."""


@dataclass(frozen=True)
class _Saving:
    request: StartRequest
    wanted: _Wanted
    repeatable: Repeatable | None
    by: Actor
    now: datetime

    def save(self, session: Session, limits: Limits) -> Started:
        if self.repeatable is not None and (earlier := self.repeatable.recall(session, self.now)):
            return Started(earlier, is_new=False)
        project = self._project(session)
        run = self._run(session, project)
        if run.is_queued:
            run.reason = admit(session, project, limits)
        session.add(run)
        session.flush()
        if (configured := self.wanted.configured) is not None:
            add_inputs(session, run, configured.inputs)
        if self.repeatable is not None:
            self.repeatable.remember(session, run.id, self.now)
        self._record(session, run, project)
        return Started(run.id, is_new=True)

    def _project(self, session: Session) -> Project:
        """As it is now, and still the one whose configuration was read."""
        project = find_project(session, self.request.project)
        configured = self.wanted.configured
        owner = self.wanted.project_id if configured is None else configured.version.project_id
        if not project.id == owner == self.wanted.project_id:
            raise Overtaken(f"{project.path} became another project meanwhile: try again")
        return project

    def _run(self, session: Session, project: Project) -> Run:
        wanted, request = self.wanted, self.request
        configured, delegation_id = wanted.configured, request.delegation_id
        needed = (
            *(needed_by(configured.flow) if configured is not None else ()),
            *(("flow.start",) if delegation_id is not None else ()),
        )
        identity, _ = parties_of(
            session,
            project,
            wanted.user_id,
            wanted.service_account_id,
            needed,
            self.now,
            delegation_id=delegation_id,
        )
        if configured is not None and configured.flow.id_tokens:  # what they would lack is said now
            subject_of(project, configured.flow.name, identity, ref_claims(configured.version))
        return Run(
            state=RunState.PENDING,
            project_id=project.id,
            configuration_id=configured.version.id if configured is not None else None,
            given_inputs=plausible_inputs(request.inputs),
            flow=request.flow,
            source=request.source,
            user_id=wanted.user_id,
            service_account_id=wanted.service_account_id,
            delegation_id=identity.delegation_id if isinstance(identity, Composite) else None,
            id_tokens=[],
            secrets=[],
            created_at=self.now,
            heartbeat_at=self.now,
            started_by=self.by.name,
            retry_of=request.retry_of,
            is_queued=request.is_queued,
        )

    def _record(self, session: Session, run: Run, project: Project) -> None:
        configured = self.wanted.configured
        detail = {
            "flow": run.flow,
            "config_sha": configured.version.sha256 if configured is not None else None,
            "delegation": run.delegation_id,
            "retry_of": run.retry_of,
        }
        event = self.by.did(
            AuditAction.RUN_CREATE,
            self.now,
            **parties(run.user_id, run.service_account_id),
            project=project.path,
            run=run.id,
            detail=detail,
        )
        record(session, event)

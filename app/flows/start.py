"""Starting a flow: who may, with what, and the run that comes of it. ``execution`` then runs it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from app.clock import Clock
from app.db import Database
from app.errors import InvalidInput, Refusal
from app.flows.configuration import Flow, parse
from app.flows.configurations import newest
from app.flows.models import ConfigurationVersion, Run, RunInput, RunState
from app.flows.parties import needed_by, parties_of
from app.identity.accounts import find_service_account, find_user
from app.identity.models import Project
from app.identity.projects import find_project
from app.ledger.actions import AuditAction, Outcome
from app.ledger.record import Actor, record
from app.protocol.principals import service_account_principal, user_principal

_LONGEST_INPUT = 8192


@dataclass(frozen=True, kw_only=True)
class StartRequest:
    """What a starter may say; none of it reaches ``aud``, ``sub``, a secret's path or Vault's address."""

    project: str
    flow: str
    user: str
    service_account: str
    inputs: Mapping[str, str]
    source: str


def start(database: Database, clock: Clock, request: StartRequest, by: Actor) -> int:
    """Saves a pending run and returns its number; a refusal is in the ledger and saves nothing."""
    now = clock()
    known: dict[str, str] = {}
    try:
        wanted = _read(database, request, known)
        with database.writing() as session:
            return _save(session, wanted, request, by, now)
    except Refusal as refusal:
        event = by.did(
            AuditAction.RUN_CREATE, now, outcome=Outcome.DENIED, detail={"cause": str(refusal)}, **known
        )
        with database.writing() as session:
            record(session, event)
        raise


@dataclass(frozen=True)
class _Wanted:
    user_id: int
    service_account_id: int
    project: Project
    version: ConfigurationVersion
    flow: Flow
    inputs: Mapping[str, str]


def _read(database: Database, request: StartRequest, known: dict[str, str]) -> _Wanted:
    """Who and what is meant; ``known`` gathers the parties for the ledger as they are found.

    Outside the writing transaction: a large configuration takes long enough to parse to be felt by others.
    """
    with database.reading() as session:
        user = find_user(session, request.user)
        known["user"] = user_principal(user.id)
        account = find_service_account(session, request.service_account)
        known["service_account"] = service_account_principal(account.id)
        project = find_project(session, request.project)
        known["project"] = project.path
        version = newest(session, project)
    flow = parse(version.body).flow(request.flow)
    return _Wanted(user.id, account.id, project, version, flow, _checked_inputs(flow, request.inputs))


def _save(session: Session, wanted: _Wanted, request: StartRequest, by: Actor, now: datetime) -> int:
    project, flow = wanted.project, wanted.flow
    pair, _ = parties_of(session, project, wanted.user_id, wanted.service_account_id, needed_by(flow), now)
    run = Run(
        state=RunState.PENDING,
        project_id=project.id,
        configuration_id=wanted.version.id,
        flow=flow.name,
        source=request.source,
        user_id=pair.user_id,
        service_account_id=pair.service_account_id,
        delegation_id=pair.delegation_id,
        id_tokens=[],
        secrets=[],
        created_at=now,
        heartbeat_at=now,
    )
    session.add(run)
    session.flush()
    session.add_all(RunInput(run_id=run.id, name=name, value=value) for name, value in wanted.inputs.items())
    event = by.did(
        AuditAction.RUN_CREATE,
        now,
        user=user_principal(pair.user_id),
        service_account=service_account_principal(pair.service_account_id),
        project=project.path,
        run=run.id,
        detail={"flow": flow.name, "config_sha": wanted.version.sha256, "delegation": pair.delegation_id},
    )
    record(session, event)
    return run.id


def _checked_inputs(flow: Flow, given: Mapping[str, str]) -> dict[str, str]:
    """The declared inputs, defaults filled in. A message names an input, never what was given for it."""
    declared = flow.inputs
    if unknown := sorted(set(given) - set(declared)):
        known = ", ".join(sorted(declared)) or "none"
        raise InvalidInput(
            f"input {unknown[0]!a} is not declared by flow {flow.name}, which declares: {known}"
        )
    values: dict[str, str] = {}
    for name, declaration in declared.items():
        value = given.get(name, declaration.default)
        if value is None:
            raise InvalidInput(f"input {name} is required by flow {flow.name}: give --input {name}=VALUE")
        if len(value) > _LONGEST_INPUT or "\0" in value:
            raise InvalidInput(f"input {name}: at most {_LONGEST_INPUT} characters, without NUL")
        if declaration.options is not None and value not in declaration.options:
            raise InvalidInput(f"input {name}: choose one of {', '.join(declaration.options)}")
        values[name] = value
    return values

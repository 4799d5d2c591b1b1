"""Starting a flow: who may, with what, and the run that comes of it. ``execution`` then runs it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from app.clock import Clock
from app.db import Database
from app.errors import Denied, InvalidInput, Refusal
from app.flows.configuration import Flow, parse
from app.flows.configurations import newest
from app.flows.models import ConfigurationVersion, Run, RunInput, RunState
from app.identity.accounts import find_service_account, find_user
from app.identity.composite import Composite, pair
from app.identity.facts import Place, load
from app.identity.models import Project, ServiceAccount, User
from app.identity.permissions import Role
from app.identity.policy import Conjunct, ConjunctName, Question, decide
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


@dataclass(frozen=True)
class _Parties:
    project: Project
    user: User
    account: ServiceAccount


def start(database: Database, clock: Clock, request: StartRequest, by: Actor) -> int:
    """Saves a pending run and returns its number; a refusal is in the ledger and saves nothing."""
    now = clock()
    try:
        with database.writing() as session:
            parties = _Parties(
                find_project(session, request.project),
                find_user(session, request.user),
                find_service_account(session, request.service_account),
            )
            try:
                return _save(session, parties, request, by, now)
            except Refusal as refusal:
                raise _Refused(parties.user.id, parties.account.id, refusal) from None
    except _Refused as refused:
        _record_refusal(database, refused, request, by, now)
        raise refused.refusal from None


def starters(
    session: Session, project: Project, user_id: int, service_account_id: int, now: datetime
) -> tuple[Composite, Role]:
    """The pair and the human's role, if the one may act for the other and both may start flows here."""
    place = Place(project.path, project.id)
    facts = load(session, user_id=user_id, service_account_id=service_account_id, place=place)
    found = pair(facts, Question(None), now)
    if isinstance(found, Conjunct):
        raise Denied(f"in {project.path}: {found.reason}")
    # The human starts the flow, so the delegation need not cover starting it; the roles of both must.
    for conjunct in decide(facts, Question("flow.start"), now).conjuncts:
        if conjunct.name in {ConjunctName.HUMAN, ConjunctName.SERVICE_ACCOUNT} and not conjunct.allowed:
            raise Denied(conjunct.reason)
    if facts.human is None or facts.human.role is None:
        raise AssertionError("an allowed human has a role")
    return found, facts.human.role


class _Refused(Exception):  # noqa: N818 - carries a refusal out of the transaction that it undoes
    def __init__(self, user_id: int, service_account_id: int, refusal: Refusal) -> None:
        super().__init__(refusal)
        self.user_id = user_id
        self.service_account_id = service_account_id
        self.refusal = refusal


def _save(session: Session, parties: _Parties, request: StartRequest, by: Actor, now: datetime) -> int:
    composite, _ = starters(session, parties.project, parties.user.id, parties.account.id, now)
    version = newest(session, parties.project)
    flow = parse(version.body).flow(request.flow)
    inputs = _checked_inputs(flow, request.inputs)
    run = _run(parties, composite, version, flow, request, now)
    session.add(run)
    session.flush()
    session.add_all(RunInput(run_id=run.id, name=name, value=value) for name, value in inputs.items())
    event = by.did(
        AuditAction.RUN_CREATE,
        now,
        user=user_principal(composite.user_id),
        service_account=service_account_principal(composite.service_account_id),
        project=parties.project.path,
        run=run.id,
        detail={"flow": flow.name, "config_sha": version.sha256, "delegation": composite.delegation_id},
    )
    record(session, event)
    return run.id


def _run(
    parties: _Parties,
    composite: Composite,
    version: ConfigurationVersion,
    flow: Flow,
    request: StartRequest,
    now: datetime,
) -> Run:
    return Run(
        state=RunState.PENDING,
        project=parties.project,
        configuration_id=version.id,
        flow=flow.name,
        source=request.source,
        user=parties.user,
        service_account=parties.account,
        delegation_id=composite.delegation_id,
        id_tokens=[],
        secrets=[],
        created_at=now,
        heartbeat_at=now,
    )


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


def _record_refusal(
    database: Database, refused: _Refused, request: StartRequest, by: Actor, now: datetime
) -> None:
    event = by.did(
        AuditAction.RUN_CREATE,
        now,
        outcome=Outcome.DENIED,
        user=user_principal(refused.user_id),
        service_account=service_account_principal(refused.service_account_id),
        project=request.project,
        detail={"cause": str(refused.refusal)},
    )
    with database.writing() as session:
        record(session, event)

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
from app.identity.composite import Composite, act_for
from app.identity.models import Project, ServiceAccount, User
from app.identity.policy import Allowed, decide
from app.identity.policy import Denied as PolicyDenied
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
    known: dict[str, str] = {}
    try:
        with database.writing() as session:
            user = find_user(session, request.user)
            known["user"] = user_principal(user.id)
            account = find_service_account(session, request.service_account)
            known["service_account"] = service_account_principal(account.id)
            project = find_project(session, request.project)
            known["project"] = project.path
            return _save(session, _Parties(project, user, account), request, by, now)
    except Refusal as refusal:
        event = by.did(
            AuditAction.RUN_CREATE, now, outcome=Outcome.DENIED, detail={"cause": str(refusal)}, **known
        )
        with database.writing() as session:
            record(session, event)
        raise


def pair_for(
    session: Session, project: Project, user: User, account: ServiceAccount, now: datetime
) -> Composite:
    """The pair as it is now, or ``Denied`` in words: accounts alive, delegation live."""
    if not account.is_composite:
        raise Denied(f"{account.name} acts in its own name; a flow needs a composite service account")
    if account.principal.disabled_at is not None:
        raise Denied(f"the service account {account.name} is disabled")
    pair = act_for(
        session.connection(),
        service_account_id=account.id,
        service_account=account.name,
        user_id=user.id,
        scopes=(),
        project_id=project.id,
        now=now,
    )
    if isinstance(pair, PolicyDenied):
        raise Denied(f"{account.name} may not act for {user.login} in {project.path}: {pair.reason}")
    return pair


def roles_for(session: Session, project: Project, pair: Composite) -> Allowed:
    """The roles of both, if both may start flows here."""
    decision = decide(
        session,
        "flow.start",
        project_id=project.id,
        user_id=pair.user_id,
        service_account_id=pair.service_account_id,
    )
    if isinstance(decision, PolicyDenied):
        raise Denied(f"{pair.service_account} for {pair.user_login} in {project.path}: {decision.reason}")
    return decision


def _save(session: Session, parties: _Parties, request: StartRequest, by: Actor, now: datetime) -> int:
    pair = pair_for(session, parties.project, parties.user, parties.account, now)
    roles_for(session, parties.project, pair)
    version = newest(session, parties.project)
    flow = parse(version.body).flow(request.flow)
    inputs = _checked_inputs(flow, request.inputs)
    run = _run(parties, pair, version, flow, request, now)
    session.add(run)
    session.flush()
    session.add_all(RunInput(run_id=run.id, name=name, value=value) for name, value in inputs.items())
    event = by.did(
        AuditAction.RUN_CREATE,
        now,
        user=user_principal(pair.user_id),
        service_account=service_account_principal(pair.service_account_id),
        project=parties.project.path,
        run=run.id,
        detail={"flow": flow.name, "config_sha": version.sha256, "delegation": pair.delegation_id},
    )
    record(session, event)
    return run.id


def _run(
    parties: _Parties,
    pair: Composite,
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
        delegation_id=pair.delegation_id,
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

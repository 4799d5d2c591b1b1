"""Who may start a flow for whom: asked when a run is saved, again when it begins, and while it goes on."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy.orm import Session

from app.errors import Denied
from app.flows.configuration import Flow
from app.identity import delegations
from app.identity.composite import Composite, Person, alone, pair
from app.identity.facts import Facts, Place, load
from app.identity.models import Project
from app.identity.permissions import Role
from app.identity.policy import Conjunct, ConjunctName, Question, decide
from app.identity.projects import Workload
from app.protocol.scopes import API


def needed_by(flow: Flow) -> Collection[str]:
    """What one delegation, which carries the whole run, has to cover, or what the human alone has to have:
    what the flow's access token asks for, and reading secrets if it has any.
    """
    return (*flow.access_token.scopes, *(("secret.read",) if flow.secrets else ()))


def parties_of(
    session: Session,
    project: Project,
    user_id: int,
    service_account_id: int | None,
    needed: Collection[str],
    now: datetime,
    *,
    delegation_id: int | None = None,
) -> tuple[Person, Role]:
    """The pair, or the human alone, and the human's role here; ``Denied`` says who or what refuses.

    A run lives from the delegation that it was started by, ``delegation_id``, and never moves to another.
    """
    place = Place(project.path, project.id)
    facts = load(session, user_id=user_id, service_account_id=service_account_id, place=place, now=now)
    if service_account_id is None:
        found = _alone(session, project, facts, needed, now)
    else:
        found = _pair(project, facts, needed, delegation_id, now)
    if facts.human is None or facts.human.role is None:
        raise AssertionError("an allowed human has a role")
    return found, facts.human.role


def _pair(
    project: Project, facts: Facts, needed: Collection[str], delegation_id: int | None, now: datetime
) -> Composite:
    """The human starts the flow: of both, only the roles must allow that."""
    found = pair(facts, Question(None, needed, delegation_id), now)
    if isinstance(found, Conjunct):
        raise Denied(f"in {project.path}: {found.name}: {found.reason}")
    for conjunct in decide(facts, Question("flow.start"), now).conjuncts:
        if conjunct.name in {ConjunctName.HUMAN, ConjunctName.SERVICE_ACCOUNT} and not conjunct.allowed:
            raise Denied(f"{conjunct.name}: {conjunct.reason}")
    return found


def _alone(
    session: Session, project: Project, facts: Facts, needed: Collection[str], now: datetime
) -> Person:
    """No delegation bounds what such a run gets: it gets what was named, and the human's role here has."""
    if API in needed:
        raise Denied(f"access_token: {API} is all that the human may do: name the scopes that the flow needs")
    found = alone(facts, ("flow.start", *needed), now)
    if isinstance(found, Conjunct):
        raise Denied(f"{found.name}: {found.reason}")
    if project.workload != Workload.USER:
        raise Denied(
            f"in {project.path} nobody runs a flow alone: name a service account"
            f"{_choices(session, found, now)}, or let a maintainer allow it: "
            f"countersign project workload set {project.path} {Workload.USER}"
        )
    return found


def _choices(session: Session, human: Person, now: datetime) -> str:
    query = delegations.matching(user=human.user_id, is_live=True, now=now)
    names = sorted({each.service_account.name for each in session.scalars(query)})
    return f" ({' or '.join(names[:10])})" if names else ""

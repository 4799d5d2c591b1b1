"""Who may start a flow for whom: asked when a run is saved, again when it begins, and while it goes on."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy.orm import Session

from app.errors import Denied
from app.flows.configuration import Flow
from app.identity.composite import Composite, pair
from app.identity.facts import Place, load
from app.identity.models import Project
from app.identity.permissions import Role
from app.identity.policy import Conjunct, ConjunctName, Question, decide


def needed_by(flow: Flow) -> Collection[str]:
    """What one delegation, which carries the whole run, has to cover: what the flow's access token asks for,
    and reading secrets if it has any.
    """
    return (*flow.access_token.scopes, *(("secret.read",) if flow.secrets else ()))


def parties_of(
    session: Session,
    project: Project,
    user_id: int,
    service_account_id: int,
    needed: Collection[str],
    now: datetime,
    *,
    delegation_id: int | None = None,
) -> tuple[Composite, Role]:
    """The pair and the human's role here; ``Denied`` says which of the two, or what, refuses.

    A run lives from the delegation that it was started by, ``delegation_id``, and never moves to another.
    The human starts the flow: of both, only the roles must allow that.
    """
    place = Place(project.path, project.id)
    facts = load(session, user_id=user_id, service_account_id=service_account_id, place=place, now=now)
    found = pair(facts, Question(None, needed, delegation_id), now)
    if isinstance(found, Conjunct):
        raise Denied(f"in {project.path}: {found.name}: {found.reason}")
    for conjunct in decide(facts, Question("flow.start"), now).conjuncts:
        if conjunct.name in {ConjunctName.HUMAN, ConjunctName.SERVICE_ACCOUNT} and not conjunct.allowed:
            raise Denied(f"{conjunct.name}: {conjunct.reason}")
    if facts.human is None or facts.human.role is None:
        raise AssertionError("an allowed human has a role")
    return found, facts.human.role

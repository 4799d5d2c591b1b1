"""Who may start a flow for whom: asked when a run is saved, and again when it begins."""

from datetime import datetime

from sqlalchemy.orm import Session

from app.errors import Denied
from app.flows.configuration import Flow
from app.identity.composite import Composite, pair
from app.identity.facts import Place, load
from app.identity.models import Project
from app.identity.permissions import Role
from app.identity.policy import Conjunct, ConjunctName, Question, decide


def parties_of(
    session: Session, project: Project, user_id: int, service_account_id: int, flow: Flow, now: datetime
) -> tuple[Composite, Role]:
    """The pair and the human's role here; ``Denied`` says which of the two, or what, refuses.

    One delegation carries the whole run, so it has to cover what the flow's access token asks for, and
    reading secrets if it has any. The human starts the flow: of both, only the roles must allow that.
    """
    needed = (*flow.access_token.scopes, *(("secret.read",) if flow.secrets else ()))
    place = Place(project.path, project.id)
    facts = load(session, user_id=user_id, service_account_id=service_account_id, place=place)
    found = pair(facts, Question(None, needed), now)
    if isinstance(found, Conjunct):
        raise Denied(f"in {project.path}: {found.name}: {found.reason}")
    for conjunct in decide(facts, Question("flow.start"), now).conjuncts:
        if conjunct.name in {ConjunctName.HUMAN, ConjunctName.SERVICE_ACCOUNT} and not conjunct.allowed:
            raise Denied(f"{conjunct.name}: {conjunct.reason}")
    if facts.human is None or facts.human.role is None:
        raise AssertionError("an allowed human has a role")
    return found, facts.human.role

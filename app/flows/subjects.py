"""The ``sub`` of a project's runs, out of what the issuer itself knows; and whether it will fit."""

from collections.abc import Iterable, Mapping

from sqlalchemy.orm import Session

from app.errors import NotFound
from app.flows.configuration import parse
from app.flows.configurations import newest
from app.identity.composite import Composite, Person
from app.identity.models import Project
from app.protocol import subjects


def subject_of(project: Project, flow: str, identity: Person, refs: Mapping[str, str]) -> str:
    """The same from run to run; ``InvalidInput`` names what the run lacks, and what to do about it."""
    agent = {"service_account": identity.service_account} if isinstance(identity, Composite) else {}
    values = {
        "project_path": project.path,
        "project_id": str(project.id),
        "flow": flow,
        "user_id": str(identity.user_id),
        "user_login": identity.user_login,
        **agent,
        **{name: refs[name] for name in ("ref", "ref_type", "ref_protected") if name in refs},
    }
    return subjects.subject(subjects.parse(project.subject), values)


def flows_of(session: Session, project: Project) -> Iterable[str]:
    """Names of the flows in the project's newest configuration, whose subjects have to fit."""
    try:
        return parse(newest(session, project).body).flows
    except NotFound:
        return ()

"""The sample: alice, duo, acme/webapp and its flows. What is there already stays as it is."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from sqlalchemy.orm import Session

from app.cli.console import Installation, Refused
from app.errors import NotFound
from app.flows import configurations
from app.flows.configuration import parse
from app.identity import accounts, delegations, members, projects, sign_in_links
from app.identity.models import Delegation, Project, ServiceAccount, User

USER, ACCOUNT, PROJECT = "alice", "duo", "acme/webapp"
_FLOWS = {"verify", "open-vault"}
_CONFIGURATION = Path(__file__).with_name("agent-config.yml")
_VARIABLES = {"DEPLOY_AUDIENCE": "https://deploy.acme.example"}
Row = TypeVar("Row")


def subject(flow: str) -> str:
    return f"project_path:{PROJECT}:flow:{flow}"


def sample(here: Installation) -> None:
    by, now = here.actor, here.now
    with here.writing() as session:
        user = _found(lambda: accounts.find_user(session, USER)) or accounts.create_user(
            session, USER, "alice@acme.example", is_admin=True, by=by, now=now
        )
        account = _found(lambda: accounts.find_service_account(session, ACCOUNT)) or (
            accounts.create_service_account(session, ACCOUNT, is_composite=True, by=by, now=now)
        )
        project = _found(lambda: projects.find_project(session, PROJECT))
        if project is None:
            project = projects.create_project(session, PROJECT, by=by, now=now)
            for principal in (f"user:{USER}", f"service_account:{ACCOUNT}"):
                members.add_member(session, project, principal, "developer", by=by, now=now)
            projects.set_variables(session, project, _VARIABLES, by=by, now=now)
        if not any(_serves(each, user, account, project, now) for each in delegations.listed(session)):
            expires_at = now + timedelta(days=1)
            delegations.grant(
                session, user, account, scopes=None, project=None, expires_at=expires_at, by=by, now=now
            )
        stored = _stored(session, project)
    if stored is None:
        parts = here.components
        configurations.store(parts.database, parts.clock, PROJECT, _CONFIGURATION.read_bytes(), by)
    elif missing := _FLOWS - parse(stored).flows.keys():
        raise Refused(
            f"{PROJECT} has a configuration of its own, without flow {' and '.join(sorted(missing))}: add "
            f"that, or take the sample's: countersign project config set {PROJECT} --file {_CONFIGURATION}"
        )


def sign_in_link(here: Installation) -> str:
    with here.writing() as session:
        user = accounts.find_user(session, USER)
        issued = sign_in_links.issue(session, user, by=here.actor, now=here.now)
    return sign_in_links.url(here.settings.issuer, issued.secret)


def point_to_vault(here: Installation, address: str) -> None:
    with here.writing() as session:
        project = projects.find_project(session, PROJECT)
        variables = {"VAULT_SERVER_URL": address, "VAULT_AUTH_ROLE": "sample"}
        projects.set_variables(session, project, variables, by=here.actor, now=here.now)


def _serves(
    delegation: Delegation, user: User, account: ServiceAccount, project: Project, now: datetime
) -> bool:
    is_live = delegation.revoked_at is None and delegation.expires_at > now
    of_pair = (delegation.user_id, delegation.service_account_id) == (user.id, account.id)
    return is_live and of_pair and delegation.project_id in {None, project.id} and delegation.scopes is None


def _stored(session: Session, project: Project) -> bytes | None:
    version = _found(lambda: configurations.newest(session, project))
    return None if version is None else version.body


def _found(find: Callable[[], Row]) -> Row | None:
    try:
        return find()
    except NotFound:
        return None

"""The sample: alice, duo, acme/webapp and its flows. What is there already stays as it is."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from sqlalchemy.orm import Session

from app.cli.console import Installation
from app.errors import NotFound
from app.flows import configurations
from app.identity import accounts, delegations, projects
from app.identity.models import Project

USER, ACCOUNT, PROJECT = "alice", "duo", "acme/webapp"
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
                projects.add_member(session, project, principal, "developer", by=by, now=now)
            projects.set_variables(session, project, _VARIABLES, by=by, now=now)
        if not any(each.revoked_at is None and each.expires_at > now for each in delegations.listed(session)):
            expires_at = now + timedelta(days=1)
            delegations.grant(
                session, user, account, scopes=None, project=None, expires_at=expires_at, by=by, now=now
            )
        stored = _stored(session, project)
    if stored is None:
        body = Path(__file__).with_name("agent-config.yml").read_bytes()
        parts = here.components
        configurations.store(parts.database, parts.clock, PROJECT, body, by)


def point_to_vault(here: Installation, address: str) -> None:
    with here.writing() as session:
        project = projects.find_project(session, PROJECT)
        variables = {"VAULT_SERVER_URL": address, "VAULT_AUTH_ROLE": "sample"}
        projects.set_variables(session, project, variables, by=here.actor, now=here.now)


def _stored(session: Session, project: Project) -> bytes | None:
    version = _found(lambda: configurations.newest(session, project))
    return None if version is None else version.body


def _found(find: Callable[[], Row]) -> Row | None:
    try:
        return find()
    except NotFound:
        return None

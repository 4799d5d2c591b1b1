"""A project's configuration: checked before it is stored, and read back as the bytes that were checked."""

import hashlib
from collections.abc import Callable

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.clock import Clock
from app.db import Database
from app.errors import NotFound
from app.flows.configuration import ConfigurationError, parse
from app.flows.models import ConfigurationVersion
from app.identity.models import Project
from app.identity.projects import find_project
from app.ledger.actions import AuditAction, Outcome
from app.ledger.record import Actor, record

_SET = AuditAction.CONFIGURATION_SET


Permit = Callable[[Session, Project], None]
"""Asked in the transaction of the change; raises ``Denied``."""


def store(
    database: Database,
    clock: Clock,
    path: str,
    body: bytes,
    by: Actor,
    permit: Permit = lambda _session, _project: None,
) -> ConfigurationVersion:
    """The project's newest version from now on; ``ConfigurationError`` has every fault and stores nothing."""
    now = clock()
    try:
        parse(body)
    except ConfigurationError as refusal:
        detail: dict[str, object] = {"faults": [fault.key for fault in refusal.faults]}
        with database.writing() as session:
            project = find_project(session, path)
            denied = Outcome.DENIED
            record(session, by.did(_SET, now, outcome=denied, project=project.path, detail=detail))
        raise
    with database.writing() as session:
        project = find_project(session, path)
        permit(session, project)
        version = ConfigurationVersion(
            project_id=project.id,
            sha256=hashlib.sha256(body).hexdigest(),
            body=body,
            created_by=by.name,
            created_at=now,
        )
        session.add(version)
        session.flush()
        detail = {"version": version.id, "sha256": version.sha256}
        record(session, by.did(_SET, now, project=project.path, detail=detail))
        return version


def newest(session: Session, project: Project) -> ConfigurationVersion:
    query = (
        select(ConfigurationVersion)
        .where(ConfigurationVersion.project_id == project.id)
        .order_by(ConfigurationVersion.id.desc())
        .limit(1)
    )
    if (version := session.scalar(query)) is None:
        raise NotFound(
            f"{project.path} has no agent-config.yml: "
            f"countersign project config set {project.path} --file agent-config.yml"
        )
    return version

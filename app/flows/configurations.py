"""A project's configuration: checked before it is stored, and read back as the bytes that were checked."""

import hashlib
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import NotFound
from app.flows.configuration import parse
from app.flows.models import ConfigurationVersion
from app.identity.models import Project
from app.ledger.actions import AuditAction
from app.ledger.record import Actor, record


def store(
    session: Session, project: Project, body: bytes, *, by: Actor, now: datetime
) -> ConfigurationVersion:
    """Raises ``ConfigurationError`` with every fault and stores nothing."""
    parse(body)
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
    record(session, by.did(AuditAction.CONFIGURATION_SET, now, project=project.path, detail=detail))
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

"""A project's configuration: checked before it is stored, and read back as the bytes that were checked."""

import hashlib
from collections.abc import Callable

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.clock import Clock
from app.db import Database
from app.errors import Conflict, NotFound
from app.flows.configuration import ConfigurationError, parse
from app.flows.faults import FILE_NAME
from app.flows.models import ConfigurationVersion
from app.flows.sources import source_of
from app.identity.members import hold
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
        hold(session, project)
        _refuse_beside_source(session, project)
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
    """The version in force; what a Git source has given is no more when the source is not."""
    query = (
        select(ConfigurationVersion)
        .where(ConfigurationVersion.project_id == project.id)
        .order_by(ConfigurationVersion.id.desc())
        .limit(1)
    )
    remedy = f"countersign project config set {project.path} --file {FILE_NAME}"
    if (version := session.scalar(query)) is None:
        raise NotFound(f"{project.path} has no {FILE_NAME}: {remedy}")
    if version.commit_sha is not None and source_of(session, project) is None:
        raise NotFound(f"{project.path} has no {FILE_NAME} since its Git source was removed: {remedy}")
    return version


def version_of(session: Session, project: Project, number: int) -> ConfigurationVersion:
    """One that the project has, or had."""
    version = session.get(ConfigurationVersion, number)
    if version is None or version.project_id != project.id:
        raise NotFound(f"version: {project.path} has no configuration {number}")
    return version


def _refuse_beside_source(session: Session, project: Project) -> None:
    if (source := source_of(session, project)) is not None:
        raise Conflict(
            f"the {FILE_NAME} of {project.path} is read from Git, branch {source.branch} of {source.url}: "
            "change it there, or take the source away first: "
            f"countersign project source remove {project.path}"
        )

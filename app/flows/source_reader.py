"""Reads configurations from the Git sources of projects: at every start, at the commit where the branch is.

What cannot be read now is refused; no older version ever stands in for it.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from app.clock import Clock
from app.db import Database
from app.errors import Overtaken, Refusal
from app.flows.configuration import ConfigurationError, parse
from app.flows.configurations import Permit, newest
from app.flows.faults import FILE_NAME
from app.flows.git import FileAtCommit, Git, GitRests
from app.flows.models import ConfigurationVersion, ProjectSource
from app.flows.sources import Wanted, find_source, is_protected, source_of
from app.identity.members import hold
from app.identity.models import Project
from app.identity.projects import find_project
from app.ledger.actions import AuditAction, Outcome
from app.ledger.record import Actor, record


class SourceReader:
    """Slow, as what it reads from may be: never called within a transaction."""

    def __init__(self, database: Database, clock: Clock, git: Git) -> None:
        self._database = database
        self._clock = clock
        self._git = git

    def set(
        self, path: str, wanted: Wanted, by: Actor, permit: Permit = lambda _session, _project: None
    ) -> ProjectSource:
        """Reads the source, and makes it the project's if it has a configuration without a fault."""
        with self._database.reading() as session:
            find_project(session, path)
        with self._telling(AuditAction.SOURCE_SET, path, by):
            with self._git.branch(wanted.url, wanted.branch) as branch:
                found = branch.read(FILE_NAME)
            parse(found.body)
        now = self._clock()
        with self._database.writing() as session:
            project = find_project(session, path)
            permit(session, project)
            hold(session, project)
            source = source_of(session, project, held=True) or ProjectSource(project_id=project.id)
            source.url, source.branch, source.protected_refs = (
                wanted.url,
                wanted.branch,
                list(wanted.protected),
            )
            source.set_by, source.set_at = by.name, now
            session.add(source)
            version = _add_version(session, source, found, by, now)
            told = {"git": source.url, "branch": source.branch, "protected": source.protected_refs}
            detail = told | _named(version)
            record(session, by.did(AuditAction.SOURCE_SET, now, project=project.path, detail=detail))
            return source

    def refresh(self, project_id: int, by: Actor, **about: Any) -> ConfigurationVersion:
        """The project's configuration where the branch is now; at a commit that has been read it is known.

        By number: while a repository is read, a path may change hands. ``about``: whom and which run the
        ledger is to name beside ``by``.
        """
        with self._database.reading() as session:
            project = session.get_one(Project, project_id)
            source = find_source(session, project)
            known = newest(session, project)
        with self._telling(AuditAction.SOURCE_READ, project.path, by, **about):
            with self._git.branch(source.url, source.branch) as branch:
                if known.commit_sha == branch.tip():
                    return known
                found = branch.read(FILE_NAME)
            parse(found.body)
            return self._store(source, found, by, about)

    def _store(
        self, read_from: ProjectSource, found: FileAtCommit, by: Actor, about: Mapping[str, Any]
    ) -> ConfigurationVersion:
        with self._database.writing() as session:
            project = session.get_one(Project, read_from.project_id)
            hold(session, project)
            source = source_of(session, project, held=True)
            if source is None or source.set_at != read_from.set_at:
                raise Overtaken(f"the source of {project.path} was changed meanwhile: try again")
            known = newest(session, project)
            if known.commit_sha == found.commit:
                return known
            now = self._clock()
            version = _add_version(session, source, found, by, now)
            detail = _named(version)
            event = by.did(AuditAction.SOURCE_READ, now, project=project.path, detail=detail, **about)
            record(session, event)
            return version

    @contextmanager
    def _telling(self, action: AuditAction, path: str, by: Actor, **about: Any) -> Iterator[None]:
        """What fails is in the ledger."""
        try:
            yield
        except GitRests:  # nothing was read
            raise
        except Refusal as refusal:
            detail: dict[str, object] = (
                {"faults": [fault.key for fault in refusal.faults]}
                if isinstance(refusal, ConfigurationError)
                else {"cause": str(refusal)}
            )
            with self._database.writing() as session:
                now, failed = self._clock(), Outcome.FAILED
                record(session, by.did(action, now, outcome=failed, project=path, detail=detail, **about))
            raise


def _add_version(
    session: Session, source: ProjectSource, found: FileAtCommit, by: Actor, now: datetime
) -> ConfigurationVersion:
    """While there is a source, the newest version is always its own."""
    version = ConfigurationVersion(
        project_id=source.project_id,
        sha256=hashlib.sha256(found.body).hexdigest(),
        body=found.body,
        created_by=by.name,
        created_at=now,
        ref=source.branch,
        ref_type="branch",
        ref_path=f"refs/heads/{source.branch}",
        ref_protected=is_protected(source),
        commit_sha=found.commit,
    )
    session.add(version)
    session.flush()
    return version


def _named(version: ConfigurationVersion) -> dict[str, object]:
    return {"version": version.id, "commit": version.commit_sha, "sha256": version.sha256}

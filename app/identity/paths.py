"""Paths: projects and groups share one namespace. Trust policies outlive the project that they were made for:
a path that one had is another's only if that one's subjects lead with its number and not with the path.
"""

import re
from datetime import datetime

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.errors import Conflict, InvalidInput
from app.identity.models import BurnedPath, Group, Project

SEGMENT = r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?"
_PATH = re.compile(rf"{SEGMENT}(?:/{SEGMENT})*", re.ASCII)
LONGEST = 100  # so that a flow's subject stays within what every verifier takes
_RULE = f"in lower-case letters, digits, dots, dashes and underscores, {LONGEST} characters at most"
RESERVED = frozenset({"config", "flows", "members", "runs", "source", "variables"})
"""What the API calls the things of a project or group, behind its path: no part of a path after the first."""
_LOCK = 0x70617468  # any constant: the advisory lock under which paths change hands on PostgreSQL


def is_path(path: str) -> bool:
    return len(path) <= LONGEST and _PATH.fullmatch(path) is not None


def check_project_path(path: str) -> None:
    if not is_path(path) or "/" not in path:
        raise InvalidInput(f"path: write GROUP/PROJECT {_RULE}")
    _check_reserved(path)


def check_group_path(path: str) -> None:
    if not is_path(path):
        raise InvalidInput(f"path: write GROUP or GROUP/GROUP {_RULE}")
    _check_reserved(path)


def _check_reserved(path: str) -> None:
    if taken := RESERVED.intersection(path.split("/")[1:]):
        raise InvalidInput(
            f"path: {min(taken)} is what the API calls something of a project or group: "
            "only a group at the top may have that name"
        )


def ancestors(path: str) -> list[str]:
    """Paths that this one lies in, the outermost first."""
    segments = path.split("/")
    return ["/".join(segments[:count]) for count in range(1, len(segments))]


def lock(session: Session) -> None:
    """Until the transaction ends nobody else gives or takes a path; on SQLite writers are alone anyway."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})


def require_free(session: Session, path: str) -> None:
    """Raises ``Conflict`` where a project or a group is."""
    if session.scalar(select(Project.id).where(Project.path == path, Project.deleted_at.is_(None))):
        raise Conflict("path: is taken by a project")
    if session.scalar(select(Group.id).where(Group.path == path)):
        raise Conflict("path: is taken by a group")


def require_own(session: Session, path: str, *, project_id: int | None = None) -> None:
    """Raises ``Conflict`` if another project than this one has ever had the path."""
    others = select(BurnedPath.project_id).where(BurnedPath.path == path)
    if project_id is not None:
        others = others.where(BurnedPath.project_id != project_id)
    if session.scalar(others.limit(1)) is not None:
        raise Conflict(
            "path: belonged to another project, which trust policies may still mean by it: only a project "
            "whose subject begins with project_id can have it (project create --subject, project subject set)"
        )


def burn(session: Session, path: str, project_id: int, now: datetime) -> None:
    """Trust policies may still name it; the project itself may take it back."""
    if session.get(BurnedPath, (path, project_id)) is None:
        session.add(BurnedPath(path=path, project_id=project_id, burned_at=now))

"""Registered audiences as whoever administers them sees them, and their changes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, delete, select
from sqlalchemy.orm import Session

from app.errors import Conflict
from app.identity.models import Project, ServiceAccount
from app.ledger.actions import AuditAction
from app.ledger.record import Actor, record
from app.tokens import audiences
from app.tokens.audiences import AudienceKind, Rendering
from app.tokens.models import Audience, AudienceIntrospector, AudienceProject


@dataclass(frozen=True)
class Registration:
    """``projects`` are paths, ``introspectors`` names of accounts; both in order."""

    audience: Audience
    projects: list[str]
    introspectors: list[str]


def listed(session: Session, after: str = "", limit: int | None = None) -> list[Registration]:
    """By canonical URI; a page begins behind ``after``."""
    query = select(Audience).where(Audience.canonical > after).order_by(Audience.canonical).limit(limit)
    return _with_bounds(session, session.scalars(query).all())


def registration(session: Session, uri: str) -> Registration:
    [found] = _with_bounds(session, [audiences.find(session, uri)])
    return found


def change(
    session: Session,
    issuer: str,
    audience: Audience,
    kind: AudienceKind,
    algorithm: str,
    projects: Sequence[Project],
    *,
    rendering: Rendering,
    introspectors: Sequence[ServiceAccount],
    by: Actor,
    now: datetime,
) -> bool:
    """Whether anything changed. Tokens that are out keep what they say; who may ask about them changes now.

    The kind stays: what took access tokens must not take ID tokens of the same name next.
    """
    if kind != audience.kind:
        raise Conflict(f"kind: {audience.uri} is registered as {audience.kind}: remove it first")
    audiences.check_registration(issuer, audience.uri, kind, algorithm, projects)
    audiences.check_api_options(kind, rendering, introspectors)
    [before] = _with_bounds(session, [audience])
    paths, names = sorted({each.path for each in projects}), sorted({each.name for each in introspectors})
    as_it_is = (audience.algorithm, audience.rendering, before.projects, before.introspectors)
    if as_it_is == (algorithm, rendering, paths, names):
        return False
    released = audience.algorithm
    audience.algorithm, audience.rendering = algorithm, rendering.value
    session.flush()
    if released != algorithm:
        audiences.release(session, released, by, now)
    for table in (AudienceProject, AudienceIntrospector):
        session.execute(delete(table).where(table.audience_id == audience.id))
    audiences.bind(session, audience, projects, introspectors)
    detail = audiences.told(audience, projects, introspectors)
    record(session, by.did(AuditAction.AUDIENCE_CHANGE, now, detail=detail))
    return True


def _with_bounds(session: Session, found: Sequence[Audience]) -> list[Registration]:
    numbers = [each.id for each in found]
    projects = _by_audience(
        session,
        select(AudienceProject.audience_id, Project.path)
        .join(Project, Project.id == AudienceProject.project_id)
        .where(AudienceProject.audience_id.in_(numbers)),
    )
    introspectors = _by_audience(
        session,
        select(AudienceIntrospector.audience_id, ServiceAccount.name)
        .join(ServiceAccount, ServiceAccount.id == AudienceIntrospector.service_account_id)
        .where(AudienceIntrospector.audience_id.in_(numbers)),
    )
    return [Registration(each, projects.get(each.id, []), introspectors.get(each.id, [])) for each in found]


def _by_audience(session: Session, query: Select[int, str]) -> Mapping[int, list[str]]:
    found: dict[int, list[str]] = {}
    for number, name in session.execute(query):
        found.setdefault(number, []).append(name)
    return {number: sorted(names) for number, names in found.items()}

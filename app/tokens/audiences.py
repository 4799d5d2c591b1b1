"""Audiences: two kinds that never mix. ``api`` takes access tokens, ``verifier`` takes ID tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit

from sqlalchemy import Connection, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.errors import Conflict, InvalidInput, NotFound
from app.identity.models import Project, ServiceAccount
from app.ledger.actions import AuditAction
from app.ledger.record import Actor, record
from app.protocol.claims import check_audience
from app.protocol.principals import OWN_CLIENT, parse_client_id, service_account_principal
from app.signing import transitions
from app.signing.algorithms import ALWAYS, Algorithm
from app.tokens.models import Audience, AudienceIntrospector, AudienceProject

_TAKEN = "uri: this audience is registered already"
Openness = Literal["open", "registered"]


class AudienceKind(StrEnum):
    VERIFIER = "verifier"
    API = "api"


class Rendering(StrEnum):
    """Who an access token for an api audience names first: the service account, or the human."""

    COMPOSITE = "composite"
    DELEGATED = "delegated"


@dataclass(frozen=True)
class ApiAudience:
    uri: str
    rendering: Rendering
    algorithm: Algorithm = ALWAYS


def api_of(issuer: str) -> str:
    """The audience of our own API, and the default of every access token."""
    return f"{issuer}/api/v1"


def canonical(uri: str) -> str:
    """The form in which audiences are compared: scheme and host in lower case, no trailing slash."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return uri.rstrip("/")
    return urlunsplit(parts._replace(scheme=parts.scheme.lower(), netloc=parts.netloc.lower())).rstrip("/")


def register(
    session: Session,
    issuer: str,
    uri: str,
    kind: AudienceKind,
    algorithm: str,
    projects: Sequence[Project],
    *,
    rendering: Rendering = Rendering.COMPOSITE,
    introspectors: Sequence[ServiceAccount] = (),
    by: Actor,
    now: datetime,
) -> Audience:
    """``introspectors`` alone may ask about tokens for it (RFC 7662 §2.1)."""
    check_registration(issuer, uri, kind, algorithm, projects)
    check_api_options(kind, rendering, introspectors)
    if session.scalar(select(Audience.id).where(Audience.canonical == canonical(uri))) is not None:
        raise Conflict(_TAKEN)
    audience = Audience(
        uri=uri,
        canonical=canonical(uri),
        kind=kind.value,
        algorithm=algorithm,
        rendering=rendering.value,
        created_at=now,
    )
    session.add(audience)
    try:
        session.flush()
    except IntegrityError:
        raise Conflict(_TAKEN) from None
    bind(session, audience, projects, introspectors)
    detail = told(audience, projects, introspectors)
    record(session, by.did(AuditAction.AUDIENCE_ADD, now, detail=detail))
    return audience


def bind(
    session: Session, audience: Audience, projects: Sequence[Project], introspectors: Sequence[ServiceAccount]
) -> None:
    session.add_all(AudienceProject(audience_id=audience.id, project_id=project.id) for project in projects)
    session.add_all(
        AudienceIntrospector(audience_id=audience.id, service_account_id=account.id)
        for account in introspectors
    )


def told(
    audience: Audience, projects: Sequence[Project], introspectors: Sequence[ServiceAccount]
) -> dict[str, Any]:
    """A registration, in the ledger's words."""
    return {
        "uri": audience.uri,
        "kind": audience.kind,
        "alg": audience.algorithm,
        "rendering": audience.rendering,
        "projects": [project.path for project in projects],
        "introspectors": [service_account_principal(account.id) for account in introspectors],
    }


def find(session: Session, uri: str, *, for_update: bool = False) -> Audience:
    query = select(Audience).where(Audience.canonical == canonical(uri))
    audience = session.scalar(query.with_for_update() if for_update else query)
    if audience is None:
        raise NotFound("uri: no such audience is registered")
    return audience


def remove(session: Session, uri: str, *, by: Actor, now: datetime) -> Audience:
    audience = find(session, uri)
    session.delete(audience)
    session.flush()
    release(session, audience.algorithm, by, now)
    record(session, by.did(AuditAction.AUDIENCE_REMOVE, now, detail={"uri": uri, "kind": audience.kind}))
    return audience


def release(session: Session, algorithm: str, by: Actor, now: datetime) -> None:
    """After an audience has ceased to ask for it: the JWKS shows only what is in use."""
    if algorithm == ALWAYS:
        return
    transitions.hold(session)  # whoever takes it into use now waits, or is seen here
    if session.scalar(select(Audience.id).where(Audience.algorithm == algorithm).limit(1)) is None:
        transitions.withdraw(session, Algorithm(algorithm), by, now)


def find_api(connection: Connection, issuer: str, resource: str) -> ApiAudience | None:
    """An api audience in its registered spelling, or ``None`` (RFC 8707 §2)."""
    if canonical(resource) == canonical(api_of(issuer)):
        return ApiAudience(api_of(issuer), Rendering.COMPOSITE)
    query = select(Audience.uri, Audience.rendering, Audience.algorithm).where(
        Audience.canonical == canonical(resource), Audience.kind == AudienceKind.API.value
    )
    row = connection.execute(query).one_or_none()
    return row and ApiAudience(row.uri, Rendering(row.rendering), Algorithm(row.algorithm))


def algorithm_for(connection: Connection | Session, verifiers: Sequence[str]) -> Algorithm:
    """What all of them have asked for; ``RS256`` if they did not ask for the same."""
    wanted = {canonical(each) for each in verifiers}
    query = select(Audience.canonical, Audience.algorithm).where(Audience.canonical.in_(wanted))
    asked = {row.canonical: row.algorithm for row in connection.execute(query)}
    found = {asked.get(each, ALWAYS) for each in wanted}
    return Algorithm(found.pop()) if len(found) == 1 else ALWAYS


def refuse_verifier(
    connection: Connection | Session, issuer: str, openness: Openness, audience: str, project_id: int
) -> str | None:
    """Why a project's flow may not have an ID token for this audience, or ``None``."""
    if reason := check_audience(audience) or _reserved(issuer, audience):
        return reason
    query = select(Audience.id, Audience.kind).where(Audience.canonical == canonical(audience))
    registered = connection.execute(query).one_or_none()
    if registered is None:
        return None if openness == "open" else "is not a registered verifier audience"
    number, kind = registered
    if kind == AudienceKind.API:
        return "is reserved: it is an API that takes access tokens"
    bound = set(
        connection.execute(
            select(AudienceProject.project_id).where(AudienceProject.audience_id == number)
        ).scalars()
    )
    return "belongs to other projects" if bound and project_id not in bound else None


def _reserved(issuer: str, audience: str) -> str | None:
    text = canonical(audience)
    if text in {canonical(issuer), canonical(api_of(issuer))}:
        return "is reserved: it is this issuer"
    if text.lower() == OWN_CLIENT or parse_client_id(text.lower()) is not None:
        return "is reserved: it is a client id"
    return None


def check_registration(
    issuer: str, uri: str, kind: AudienceKind, algorithm: str, projects: Sequence[Project]
) -> None:
    if reason := check_audience(uri) or _reserved(issuer, uri):
        raise InvalidInput(f"uri: {reason}")
    if algorithm not in {*Algorithm}:
        raise InvalidInput(f"alg: is one of {', '.join(Algorithm)}")
    if kind is AudienceKind.API and (projects or not urlsplit(uri).scheme):
        raise InvalidInput("uri: an api audience is an absolute URI and is not bound to projects")


def check_api_options(
    kind: AudienceKind, rendering: Rendering, introspectors: Sequence[ServiceAccount]
) -> None:
    if kind is not AudienceKind.API and (rendering is not Rendering.COMPOSITE or introspectors):
        raise InvalidInput("kind: only an api audience has a rendering or introspectors: choose api")
    if enforced := [account.name for account in introspectors if account.is_composite]:
        raise InvalidInput(
            f"introspect: {', '.join(enforced)} can do nothing alone; "
            "give the resource server an account that is not composite"
        )

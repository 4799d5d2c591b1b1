"""Who is calling: a client by its secret, a human by a personal access token, or an access token of ours.

Every caller is checked against the database at each request; nothing here is remembered.
"""

from collections.abc import Collection
from contextlib import nullcontext, suppress
from urllib.parse import unquote_plus

from flask import g, request
from sqlalchemy import Connection, select
from sqlalchemy.exc import DBAPIError
from werkzeug.datastructures import Authorization

from app.flows.bearers import bearer_of
from app.flows.models import Run
from app.identity import facts, policy
from app.identity.credentials import (
    PERSONAL_ACCESS_TOKEN_PREFIX,
    RUN_TOKEN_PREFIX,
    authenticate_client,
    authenticate_personal_access_token,
    note_use,
)
from app.identity.models import PersonalAccessToken, Project
from app.ledger.record import record
from app.operations.caller import Caller, Proof
from app.operations.problem import Problem
from app.protocol.oauth_errors import OAuthError
from app.protocol.principals import parse_client_id
from app.protocol.scopes import API
from app.secret import Secret
from app.tokens.audiences import api_of
from app.tokens.presented import NotAlive, PresentedToken
from app.tokens.strangers import Kind, Stranger, dead_token
from app.wiring import Components

SCHEMES = frozenset({"basic", "bearer"})


def authenticate(
    components: Components,
    connection: Connection | None = None,
    schemes: Collection[str] = SCHEMES,
    *,
    is_for_runs: bool = False,
) -> Caller:
    """The caller of this request; raises ``Problem`` 401 for nobody, and tells the ledger of a failure.

    ``connection``: the transaction that whatever the caller does is part of; without it one of its own.
    ``is_for_runs``: a run may come with its own token, which is nobody's anywhere else.
    """
    given = Authorization.from_header(request.headers.get("Authorization", ""))
    if given is None:
        raise _unauthorized("Authentication is required.", schemes)
    within = components.database.reading_connection() if connection is None else nullcontext(connection)
    refusal: Kind = _unproved(given)
    try:
        with within as reading:
            caller = _run(reading, given) if is_for_runs else None
            if caller is None and given.type in schemes:
                caller = _find(components, reading, given)
    except NotAlive as dead:
        caller, refusal = None, dead_token(dead.cause, dead.parties) if dead.parties else refusal
    if caller is not None:
        if caller.use_is_due and connection is None:
            _note_use(components, caller)
        return caller
    if connection is None:  # one that is under way holds SQLite's only lock, and it began with this caller
        record_refusals(components, refusal)
    raise _not_valid(given, schemes)


def _not_valid(given: Authorization, schemes: Collection[str]) -> Problem:
    error = 'error="invalid_token"' if given.type == "bearer" else None
    return _unauthorized("The credentials are not valid here.", schemes, error)


def _find(components: Components, connection: Connection, given: Authorization) -> Caller | None:
    if given.type == "basic":
        return _client(components, connection, given)
    if given.type != "bearer" or not given.token:
        return None
    if given.token.startswith(PERSONAL_ACCESS_TOKEN_PREFIX):
        return _human(components, connection, Secret(given.token))
    return _bearer(components, connection, given.token)


def _client(components: Components, connection: Connection, given: Authorization) -> Caller | None:
    """An account whose composite identity is enforced is nobody without a human."""
    number = parse_client_id(unquote_plus(given.username or ""))
    secret = Secret(unquote_plus(given.password or ""))
    client = number and authenticate_client(connection, number, secret, components.clock())
    if not client or client.is_composite:
        return None
    return Caller(Proof.CLIENT_SECRET, service_account_id=client.id)


def _human(components: Components, connection: Connection, token: Secret) -> Caller | None:
    holder = authenticate_personal_access_token(connection, token, components.clock())
    if holder is None:
        return None
    is_in_full = API in holder.scopes
    return Caller(
        Proof.PERSONAL_ACCESS_TOKEN,
        user_id=holder.user_id,
        scopes=holder.scopes,
        is_admin=holder.is_admin and is_in_full,
        is_auditor=holder.is_auditor and is_in_full,
        personal_access_token_id=holder.personal_access_token_id,
        use_is_due=holder.use_is_due,
    )


def _note_use(components: Components, caller: Caller) -> None:
    """A database that takes no writing still answers who only reads."""
    number = caller.personal_access_token_id
    assert number is not None  # noqa: S101 - no other credential's use is noted here
    with suppress(DBAPIError), components.database.writing_connection() as connection:
        note_use(connection, PersonalAccessToken, number, components.clock())


def _run(connection: Connection, given: Authorization) -> Caller | None:
    """In the name of the run's parties, with no scope of theirs."""
    if given.type != "bearer" or not given.token or not given.token.startswith(RUN_TOKEN_PREFIX):
        return None
    run = bearer_of(connection, Secret(given.token))
    if run is None:
        return None
    return Caller(Proof.RUN_TOKEN, run.user_id, run.service_account_id, (), run_id=run.run_id)


def _bearer(components: Components, connection: Connection, text: str) -> Caller:
    """A token for our own API whose parties may still act, by the one decision there is; or ``NotAlive``."""
    now = components.clock()
    token = components.read_access_token(connection, text)
    if token.audience != api_of(components.settings.issuer):
        raise NotAlive("a token that is not for this API", token.parties)
    place = place_of(connection, token)
    known = facts.load(
        connection,
        user_id=token.user_id,
        service_account_id=token.service_account_id,
        place=place,
        now=now,
    )
    caller = Caller(
        Proof.ACCESS_TOKEN,
        token.user_id,
        token.service_account_id,
        token.scopes,
        token.delegation_id,
        jti=token.jti,
        run_id=token.run_id,
        project_id=only_project(token, place),
    )
    if refusal := policy.decide(known, caller.question(None), now).refusal:
        raise NotAlive(f"{refusal.name}: {refusal.reason}", token.parties)
    return caller


def place_of(connection: Connection, token: PresentedToken) -> facts.Place | None:
    """A run's token may live from a delegation for the run's project alone, and acts from there."""
    if token.run_id is None:
        return None
    query = select(Project.path, Project.id).join(Run, Run.project_id == Project.id)
    row = connection.execute(query.where(Run.id == token.run_id)).one_or_none()
    if row is None:
        raise NotAlive("there is no such run", token.parties)
    return facts.Place(row.path, row.id)


def only_project(token: PresentedToken, place: facts.Place | None) -> int | None:
    """A run's project bounds the token of a human alone as a delegation's does a pair's."""
    return place.project_id if place is not None and token.delegation_id is None else None


def _unproved(given: Authorization) -> Stranger:
    claimed = unquote_plus(given.username or "") if given.type == "basic" else ""
    client_id = claimed if parse_client_id(claimed) else "malformed" if claimed else ""
    cause = "unknown, wrong or dead credential, or one that is not for this API"
    return Stranger(OAuthError.INVALID_CLIENT.code, cause, client_id)


def record_refusals(components: Components, *refusals: Kind) -> None:
    """Each kind at its first time in the minute; see ``Strangers``."""
    now = components.clock()
    events = [event for each in refusals for event in components.strangers.told(each, now, g.request_id)]
    if events:
        with components.database.writing_connection() as connection:
            record(connection, *events)


def _unauthorized(detail: str, schemes: Collection[str], error: str | None = None) -> Problem:
    challenges = {
        "basic": 'Basic realm="countersign", charset="UTF-8"',
        "bearer": 'Bearer realm="countersign"' + (f", {error}" if error else ""),
    }
    offered = [("WWW-Authenticate", each) for scheme, each in challenges.items() if scheme in schemes]
    return Problem(401, "Unauthorized", detail, offered)

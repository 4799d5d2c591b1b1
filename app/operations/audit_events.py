"""The ledger: its rows for those whom they concern, and where it stands."""

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field
from sqlalchemy.orm import Session

from app import representation as shapes
from app.errors import Denied, InvalidInput, NotFound
from app.identity import accounts, facts, policy
from app.identity.models import ServiceAccount, User
from app.ledger import search
from app.ledger.actions import AuditAction, Outcome
from app.ledger.anchor import shape as anchored
from app.ledger.checkpoints import heads_of, last_checkpoint
from app.ledger.key import LedgerKeyError
from app.operations.audit_names import names_of
from app.operations.call import Call
from app.operations.operation import By, Resource
from app.operations.places import ProjectPath
from app.operations.problem import RETRY_AFTER, Problem
from app.operations.schemas import AccountName, Input, Login, Number, Output, Page, Paging, Time
from app.protocol.principals import service_account_principal, user_principal
from app.representation import Shape

audit_events = Resource("Audit events")


class AuditEventAnswer(Output):
    at: str
    action: str
    outcome: str
    actor: str
    user: str | None
    service_account: str | None
    project: str | None
    run: int | None
    jti: str | None
    kid: str | None
    request_id: str | None
    detail: dict[str, Any]
    writer: int
    seq: int
    hash: str


class AuditEventPage(Page[AuditEventAnswer]):
    names: Annotated[
        dict[str, str],
        Field(
            description="Logins and accounts' names, by principal, as far as they are the caller's to know."
        ),
    ]


class HeadAnswer(Output):
    """A signed checkpoint, as `countersign audit verify --anchor` takes it."""

    id: int
    at: str
    previous: str | None
    heads: dict[str, list[int | str]]
    hash: str
    signature: str
    public_key: str


class AuditFilter(Input):
    actor: (
        Annotated[
            str,
            Field(
                min_length=1,
                max_length=128,
                pattern=r"^[\x21-\x7e]*$",
                description="Who did it, as events name them: `user:1`, `service_account:3`.",
                examples=["user:1"],
            ),
        ]
        | None
    ) = None
    user: Login | None = None
    service_account: AccountName | None = None
    project: ProjectPath | None = None
    run: Number | None = None
    jti: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[\x21-\x7e]*$")] | None = None
    request_id: (
        Annotated[
            str,
            Field(
                min_length=1,
                max_length=128,
                pattern=r"^[\x21-\x7e]*$",
                description="As the answer's `X-Request-Id` and error pages tell it.",
            ),
        ]
        | None
    ) = None
    action: AuditAction | None = None
    outcome: Outcome | None = None
    since: Annotated[Time, Field(description="Inclusive.")] | None = None
    until: Annotated[Time, Field(description="Exclusive.")] | None = None


class AuditQuery(AuditFilter, Paging):
    """A page of what the filter matches."""


@audit_events.operation("GET", "/audit-events", by=By.ANYBODY, answer=AuditEventPage)
def list_audit_events(call: Call, query: AuditQuery) -> Shape:
    """List events, the newest first, as far as they are the caller's to see.

    Administrators and auditors see all, whoever has `audit.read` in a project (name it) what happened there,
    and everybody what is about them.
    """
    wanted = visible(call, query)
    rows = search.newest(call.session, wanted, query.limit + 1, query.cursor)
    items = rows[: query.limit]
    cursor = search.cursor(items[-1]) if len(rows) > len(items) else None
    names = names_of(call, items, wanted)
    return {"items": [shapes.audit_event(row) for row in items], "next_cursor": cursor, "names": names}


@audit_events.operation("GET", "/audit-events/head", by=By.OVERSEER, answer=HeadAnswer, opens="nothing")
def get_audit_head(call: Call) -> Shape:
    """Get the last signed checkpoint, a minute old at most while a worker runs, for safekeeping elsewhere."""
    parts = call.components
    try:
        with parts.database.reading() as session:
            last = last_checkpoint(session)
        last = last or parts.checkpoints.make()  # what the worker is about to do
        with parts.database.reading() as session:
            return anchored(last, heads_of(session, last.id), parts.ledger_key.public)
    except LedgerKeyError:
        detail = "The ledger's key cannot be had."
        raise Problem(503, "Service Unavailable", detail, [("Retry-After", RETRY_AFTER)]) from None


def visible(call: Call, query: AuditFilter) -> search.Filter:
    """What is asked for, as far as the caller may see it."""
    return _visible(call, query, _filter(call, query))


def _filter(call: Call, query: AuditFilter) -> search.Filter:
    given = query.model_dump(include=set(AuditFilter.model_fields))
    if query.user is not None:
        given["user"] = user_principal(_number(call, "user", query.user))
    if query.service_account is not None:
        number = _number(call, "service_account", query.service_account)
        given["service_account"] = service_account_principal(number)
    return search.Filter(**given)


_FIND: dict[str, Callable[[Session, str], User | ServiceAccount]] = {
    "user": accounts.find_user,
    "service_account": accounts.find_service_account,
}


def _number(call: Call, key: str, name: str) -> int:
    """0, which nobody has, for who is not there: only who sees all learns who is."""
    try:
        return _FIND[key](call.session, name).id
    except NotFound:
        if call.caller.sees_all:
            raise InvalidInput(f"{key}: names nothing that there is") from None
        return 0


def _visible(call: Call, query: AuditFilter, wanted: search.Filter) -> search.Filter:
    """What the caller asks for, as far as it is theirs: never more, and a refusal rather than less."""
    caller = call.caller
    if caller.sees_all:
        return wanted
    place = facts.project_at(call.session, query.project) if query.project is not None else None
    if place is not None and call.decide("audit.read", place).allowed:
        return wanted
    own = caller.parties
    call.require_scope("audit.read")
    _require_reach(call, place)
    if any(getattr(wanted, name) not in {None, who} for name, who in own.items()):
        raise Denied("Others' events are for administrators, and in a project for its owners.")
    return replace(
        wanted,
        user=own.get("user", wanted.user),
        service_account=own.get("service_account", wanted.service_account),
    )


def _require_reach(call: Call, place: facts.Place | None) -> None:
    """A pair, or a run, sees what it did where delegation and token reach: for a project, there alone."""
    known = call.known(place if place and place.exists else None)
    question = replace(call.caller.question(None), scopes=("audit.read",))
    if (refusal := policy.decide(known, question, call.now).refusal) is not None:
        raise Denied(refusal.reason)

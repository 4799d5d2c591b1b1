"""Delegations: a human lets a service account act for them, sees who may, and ends it.

No agent comes near: whoever acts for a human could otherwise widen what it may do.
"""

from functools import partial
from typing import Annotated

from pydantic import Field

from app import representation as shapes
from app.errors import Denied, NotFound
from app.identity import delegations as domain
from app.identity import facts
from app.identity.accounts import find_service_account, find_user
from app.identity.models import Delegation, Project, User
from app.identity.projects import find_project
from app.ledger.last_acts import last_acts
from app.operations.call import Call, Created, Hidden, naming
from app.operations.operation import By, Resource
from app.operations.paging import page
from app.operations.schemas import (
    AccountName,
    Input,
    Login,
    Number,
    Output,
    Page,
    Paging,
    ProjectPath,
    Scope,
    Time,
)
from app.protocol.principals import PrincipalKind, parse_principal
from app.representation import Shape

delegations = Resource("Delegations")


class DelegationAnswer(Output):
    id: int
    user: str
    user_login: str
    user_active: Annotated[bool, Field(description="Nobody acts for a disabled human.")]
    service_account: str
    service_account_name: str
    service_account_active: Annotated[bool, Field(description="A disabled account acts for nobody.")]
    scopes: Annotated[list[str] | None, Field(description="`null`: all.")]
    project: Annotated[str | None, Field(description="`null`: any.")]
    granted_by: Annotated[str, Field(description="The human, an administrator, or an operator of the host.")]
    granted_by_login: Annotated[str | None, Field(description="`null`: by an operator of the host.")]
    created_at: Time
    expires_at: Time
    revoked_at: Time | None


class LastActAnswer(Output):
    at: str
    action: str
    project: str | None


class ActingAnswer(DelegationAnswer):
    last_act: Annotated[
        LastActAnswer | None,
        Field(description="What the account last did for the caller; `null`: nothing yet."),
    ]


class DelegationBody(Input):
    service_account: AccountName
    user: Annotated[
        Login | None, Field(description="Without it oneself; another's names an administrator.")
    ] = None
    scopes: Annotated[list[Scope] | None, Field(min_length=1, max_length=50, description="`null`: all.")] = (
        None
    )
    project: Annotated[ProjectPath | None, Field(description="`null`: any.")] = None
    expires_at: Annotated[Time | None, Field(description="Without it in 30 days.")] = None


class DelegationQuery(Paging):
    user: Login | None = None
    service_account: AccountName | None = None
    live: Annotated[bool | None, Field(description="Neither revoked nor expired, or either.")] = None


@delegations.operation("GET", "/delegations", by=By.PERSON, answer=Page[DelegationAnswer])
def list_delegations(call: Call, query: DelegationQuery) -> Shape:
    """List delegations: of oneself, or to administrators and auditors all."""
    rows = domain.matching(
        user=None if call.caller.sees_all else call.caller.user_id,
        login=query.user,
        account=query.service_account,
        is_live=query.live,
        now=call.now,
    )
    return page(call.session, rows, Delegation.id, query, partial(_told, call))


@delegations.operation("GET", "/me/delegations", by=By.PERSON, answer=Page[ActingAnswer])
def list_who_may_act_for_me(call: Call, query: Paging) -> Shape:
    """List who may act for the caller now, and what each last did."""
    rows = domain.matching(user=call.caller.user_id, is_live=True, now=call.now)
    found = page(call.session, rows, Delegation.id, query, partial(_told, call))
    last = last_acts(call.session, call.caller.name, {each["service_account"] for each in found["items"]})
    acts = {account: shapes.last_act(act) for account, act in last.items()}
    items = [each | {"last_act": acts.get(each["service_account"])} for each in found["items"]]
    return found | {"items": items}


@delegations.operation("POST", "/delegations", by=By.PERSON, answer=DelegationAnswer)
def grant_delegation(call: Call, body: DelegationBody) -> Created:
    """Let a service account act for oneself; an administrator may do so for any human, on record."""
    user = _human(call, body.user)
    with naming("service_account"):
        account = find_service_account(call.session, body.service_account)
    delegation = domain.grant(
        call.session,
        user,
        account,
        scopes=body.scopes,
        project=None if body.project is None else _project(call, body.project),
        expires_at=call.expiry(body.expires_at) or call.now + domain.DEFAULT_LIFE,
        by=call.by,
        now=call.now,
    )
    return Created(_told(call, delegation), f"/delegations/{delegation.id}")


@delegations.operation("GET", "/delegations/{id}", by=By.PERSON, answer=DelegationAnswer)
def get_delegation(call: Call, id: Number) -> Shape:
    """Show a delegation."""
    return _told(call, _find(call, id))


@delegations.operation("DELETE", "/delegations/{id}", by=By.PERSON)
def revoke_delegation(call: Call, id: Number) -> None:
    """End a delegation, and with it all that lives from it."""
    delegation = _find(call, id)
    if not (call.caller.is_admin or call.is_self(delegation.user_id)):
        raise Denied("Another's delegation is for administrators to end.")
    call.lock(delegation)
    call.check(_told(call, delegation))
    if delegation.revoked_at is None:
        domain.revoke(call.session, id, by=call.by, now=call.now)


def _told(call: Call, row: Delegation) -> Shape:
    """Who let it be is named: the human whom it is about may know."""
    kind, number = parse_principal(row.granted_by) or (None, 0)
    by = call.session.get(User, number) if kind is PrincipalKind.USER else None
    return shapes.delegation(row) | {"granted_by_login": by and by.login}


def _find(call: Call, number: int) -> Delegation:
    delegation = call.session.get(Delegation, number)
    if call.caller.sees_all:
        if delegation is None:
            raise NotFound
        return delegation
    if delegation is None or not call.is_self(delegation.user_id):
        raise Hidden("another human's delegation, to somebody who does not see all")
    return delegation


def _human(call: Call, login: str | None) -> User:
    own = call.session.get_one(User, call.caller.user_id)
    if login is None or login == own.login:
        return own
    if not call.caller.is_admin:
        raise Denied("Everybody lets others act for themselves alone: leave `user` out.")
    with naming("user"):
        return find_user(call.session, login)


def _project(call: Call, path: str) -> Project:
    """A project that the caller may not see is none."""
    with naming("project"):
        place = facts.project_at(call.session, path)
        if not call.may_read(place):
            raise NotFound
        return find_project(call.session, path)

"""What is there, what happened lately, and what needs attention: of everything, or of the caller alone."""

from typing import Annotated

from pydantic import Field
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.clock import rfc3339
from app.flows import runs
from app.flows.models import Run, RunState
from app.identity.models import Delegation, Principal, Project
from app.ledger.activity import Hour, of_one_by_hour
from app.operations import attention
from app.operations.attention import Kind, Need
from app.operations.call import Call
from app.operations.operation import By, Resource
from app.operations.schemas import Input, Output
from app.protocol.principals import PrincipalKind, user_principal
from app.representation import Shape

overview = Resource("Overview")


class CountsAnswer(Output):
    """Those of the installation are `null` to whoever oversees nothing."""

    may_act_for_me: Annotated[int, Field(description="Live delegations of the caller to enabled accounts.")]
    runs_under_way: Annotated[int, Field(description="All of them, or the caller's.")]
    users: Annotated[int | None, Field(description="Enabled ones.")]
    service_accounts: Annotated[int | None, Field(description="Enabled ones.")]
    projects: int | None
    delegations: Annotated[int | None, Field(description="That are alive.")]


class AboutAnswer(Output):
    id: str | int | None
    name: str | None
    at: Annotated[str | None, Field(description="Since when it is so, or when it will be.")]
    cause: str | None


class NeedAnswer(Output):
    kind: Kind
    count: int
    about: Annotated[list[AboutAnswer], Field(description="The first five.")]


class OverviewAnswer(Output):
    everything: Annotated[
        bool, Field(description="Whether it is about the installation, or about the caller.")
    ]
    counts: CountsAnswer
    attention: list[NeedAnswer]


class HourAnswer(Output):
    at: str
    tokens: Annotated[int, Field(description="That were issued.")]
    runs: Annotated[int, Field(description="That were created.")]
    denied: Annotated[int, Field(description="Events with that outcome.")]


class ActivityAnswer(Output):
    everything: Annotated[
        bool, Field(description="Whether it is about the installation, or about the caller.")
    ]
    hours: list[HourAnswer]


class ActivityQuery(Input):
    hours: Annotated[int, Field(ge=1, le=48, description="The one under way included.", examples=[24])] = 24


@overview.operation("GET", "/overview", by=By.PERSON, answer=OverviewAnswer)
def get_overview(call: Call) -> Shape:
    """Tell what there is and what needs attention: to administrators and auditors of the installation, and
    otherwise of what is the caller's.
    """
    everything = call.caller.sees_all
    needs = attention.of_all(call) if everything else attention.of_own(call)
    return {
        "everything": everything,
        "counts": _counts(call, everything=everything),
        "attention": [_need(each) for each in needs],
    }


@overview.operation("GET", "/activity", by=By.PERSON, answer=ActivityAnswer)
def get_activity(call: Call, query: ActivityQuery) -> Shape:
    """Count tokens, runs and denials hour by hour, from the ledger: of all, or of the caller."""
    everything = call.caller.sees_all
    if everything:
        hours = call.components.activity.by_hour(call.session, call.now, query.hours)
    else:
        user = user_principal(call.caller.user_id or 0)
        hours = of_one_by_hour(call.session, call.now, query.hours, user)
    return {"everything": everything, "hours": [_hour(each) for each in hours]}


def _counts(call: Call, *, everything: bool) -> Shape:
    session, now, user = call.session, call.now, call.caller.user_id
    alive = select(func.count()).where(Delegation.revoked_at.is_(None), Delegation.expires_at > now)
    able = Principal.disabled_at.is_(None)
    for_me = alive.where(Delegation.user_id == user, Delegation.service_account_id == Principal.id, able)
    own = {"may_act_for_me": session.scalar(for_me)}
    if not everything:
        return own | {"runs_under_way": _under_way_of(session, user)} | dict.fromkeys(_OF_ALL)
    kinds = select(Principal.kind, func.count()).where(able).group_by(Principal.kind)
    principals = {kind: number for kind, number in session.execute(kinds)}  # noqa: C416 - typed rows
    told = {
        "users": principals.get(PrincipalKind.USER, 0),
        "service_accounts": principals.get(PrincipalKind.SERVICE_ACCOUNT, 0),
        "projects": session.scalar(select(func.count()).where(Project.deleted_at.is_(None))),
        "delegations": session.scalar(alive),
    }
    return own | {"runs_under_way": sum(runs.under_way_by_state(session).values())} | told


_OF_ALL = ("users", "service_accounts", "projects", "delegations")


def _under_way_of(session: Session, user: int | None) -> int | None:
    under_way = Run.state.in_((RunState.PENDING, RunState.RUNNING))
    return session.scalar(select(func.count()).where(Run.user_id == user, under_way))


def _need(need: Need) -> Shape:
    return {
        "kind": need.kind,
        "count": need.count,
        "about": [vars(each) | {"at": rfc3339(each.at)} for each in need.about],
    }


def _hour(hour: Hour) -> Shape:
    return vars(hour) | {"at": rfc3339(hour.at)}

"""Who am I: what the API knows of its caller."""

from sqlalchemy import select

from app import representation as shapes
from app.flows.models import Run
from app.flows.runs import ENDED
from app.identity.models import ServiceAccount, User
from app.operations.call import Call
from app.operations.operation import By, Resource
from app.operations.paging import page
from app.operations.runs import RunAnswer
from app.operations.schemas import Output, Page, Paging
from app.operations.service_accounts import ServiceAccountAnswer
from app.operations.users import UserAnswer
from app.representation import Shape

me = Resource("Me")


class MeAnswer(Output):
    """Of a pair both are there."""

    user: UserAnswer | None
    service_account: ServiceAccountAnswer | None
    proof: str
    scopes: list[str]
    delegation_id: int | None
    in_person: bool
    administrator: bool
    auditor: bool


@me.operation("GET", "/me", by=By.ANYBODY, answer=MeAnswer)
def get_me(call: Call) -> Shape:
    """Show who is calling, how they proved it, and what limits them."""
    caller = call.caller
    user = call.session.get(User, caller.user_id) if caller.user_id is not None else None
    number = caller.service_account_id
    account = call.session.get(ServiceAccount, number) if number is not None else None
    return {
        "user": None if user is None else shapes.user(user),
        "service_account": None if account is None else shapes.service_account(account),
        "proof": caller.proof.name.lower(),
        "scopes": [*(caller.scopes or ())],
        "delegation_id": caller.delegation_id,
        "in_person": caller.in_person,
        "administrator": caller.is_admin,
        "auditor": caller.is_auditor,
    }


@me.operation("GET", "/me/runs", by=By.PERSON, answer=Page[RunAnswer])
def list_what_runs_for_me(call: Call, query: Paging) -> Shape:
    """List the runs for the caller that have not ended, the newest first, in whatever project."""
    under_way = select(Run).where(Run.user_id == call.caller.user_id, Run.state.not_in(ENDED))
    return page(call.session, under_way, Run.id, query, shapes.run, newest_first=True)

"""Who am I: what the API knows of its caller."""

from app import representation as shapes
from app.endpoints.api.call import Call
from app.endpoints.api.operations import By, Resource
from app.endpoints.api.schemas import Output
from app.endpoints.api.service_accounts import ServiceAccountAnswer
from app.endpoints.api.users import UserAnswer
from app.identity.models import ServiceAccount, User
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
    }

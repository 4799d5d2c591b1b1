"""Whether an identity may do something, and which conjunct says so: what AuthZEN answers, told in full."""

from typing import Annotated

from pydantic import AfterValidator, Field

from app import representation as shapes
from app.errors import Denied, InvalidInput
from app.identity import accounts, facts, policy
from app.identity.permissions import PERMISSIONS
from app.operations.call import Call, naming
from app.operations.operation import By, Resource
from app.operations.places import GroupPath
from app.operations.schemas import AccountName, Input, Login, Output, Scope
from app.representation import Shape

explanations = Resource("Explanations")


def _known(name: str) -> str:
    if name not in PERMISSIONS:
        raise ValueError(f"use one of {', '.join(sorted(PERMISSIONS))}")
    return name


Permission = Annotated[str, AfterValidator(_known), Field(json_schema_extra={"enum": sorted(PERMISSIONS)})]


class ConjunctAnswer(Output):
    name: str
    allowed: bool
    reason: str


class ExplanationAnswer(Output):
    allowed: bool
    conjuncts: list[ConjunctAnswer]


class ExplanationBody(Input):
    """`user` alone acts in person; a service account alone in its own name; both: it acts for the human."""

    user: Login | None = None
    service_account: AccountName | None = None
    action: Permission
    resource: GroupPath
    scope: Annotated[list[Scope], Field(min_length=1, max_length=50)] | None = None


@explanations.operation(
    "POST", "/explanations", by=By.ANYBODY, answer=ExplanationAnswer, statuses=(200,), opens="reading"
)
def explain(call: Call, body: ExplanationBody) -> Shape:
    """Tell whether an identity may do something; for administrators, auditors and those whom it concerns."""
    if body.user is None and body.service_account is None:
        raise InvalidInput("user: name a user, a service account or both")
    user, account = _parties(call, body)
    place = facts.place_at(call.session, body.resource)
    known = facts.load(call.session, user_id=user, service_account_id=account, place=place, now=call.now)
    question = policy.Question(body.action, body.scope, project_id=call.caller.project_id)
    decision = policy.decide(known, question, call.now)
    if not decision.allowed and not call.may_read(place):
        decision = policy.decide_for_the_blind(known, question, call.now)
    return shapes.decision(decision)


def _parties(call: Call, body: ExplanationBody) -> tuple[int | None, int | None]:
    """A human may ask of all who act in their name, an agent of the pair that it is, in its own name too."""
    caller = call.caller
    if not caller.sees_all and not _is_own(call, body):
        raise Denied("Whether others may do something is for them and for administrators to know.")
    user = account = None
    if body.user is not None:
        with naming("user"):
            user = accounts.find_user(call.session, body.user).id
    if body.service_account is not None:
        with naming("service_account"):
            account = accounts.find_service_account(call.session, body.service_account).id
    return user, account


def _is_own(call: Call, body: ExplanationBody) -> bool:
    """By the caller's own names, so that nobody learns who else there is."""
    caller = call.caller
    known = call.known()
    user = known.human and known.human.name
    account = known.service_account and known.service_account.name
    if caller.in_person:
        return body.user == user
    return (body.user, body.service_account) == (user, account)

"""Starting a flow as the human whose token it is, or as the agent that a human lets start it for them."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from sqlalchemy.orm import Session

from app import representation as shapes
from app.errors import Denied, NotFound
from app.flows.inputs import InputValue
from app.flows.queue import QueueFull
from app.flows.retry import again
from app.flows.runs import find_run
from app.flows.start import StartRequest
from app.identity import facts
from app.identity.accounts import find_service_account
from app.identity.models import ServiceAccount, User
from app.operations.call import Call, Created, Hidden, Refused, naming
from app.operations.operation import By, Resource
from app.operations.places import ProjectPath, readable_project
from app.operations.problem import Problem
from app.operations.runs import FlowName, RunAnswer, visible_run
from app.operations.schemas import AccountName, Input, Number
from app.representation import Shape

starts = Resource("Runs")

_SOURCE = "api"
_LATER = "10"
"""Seconds until there may be room in the queue."""
_KEY = re.compile(r'"([!#-\[\]-~]+)"|([!#-\[\]-~]+)', re.ASCII)
"""A string of RFC 9651 §3.3.3, without what would be escaped in it; or bare, as many clients have it."""


def _one_value(given: Any, read: ValidatorFunctionWrapHandler) -> InputValue:
    """One refusal, not one for each type that it might have had."""
    try:
        value: InputValue = read(given)
    except ValidationError:
        raise ValueError("must be text, a number, `true` or `false`") from None
    return value


class StartBody(Input):
    service_account: Annotated[
        AccountName | None,
        Field(
            description="Who acts for the caller. Without it the human alone, where the project allows that; "
            "an agent starts runs as itself, named or not.",
            examples=["duo"],
        ),
    ] = None
    inputs: Annotated[
        Mapping[str, Annotated[InputValue, WrapValidator(_one_value)]],
        Field(default_factory=dict, max_length=100, description="As the flow declares.", examples=[{}]),
    ]


@starts.operation(
    "POST",
    "/projects/{+path}/flows/{flow}/runs",
    by=By.ANYBODY,
    answer=RunAnswer,
    statuses=(200, 201),
    problems=(409, 429),
    opens="nothing",
    keyed=True,
)
def start_flow(call: Call, path: ProjectPath, flow: FlowName, body: StartBody) -> Shape | Created:
    """Start a flow; a worker process executes it. 200 when the same was started with this key already.

    Needs `flow.start`; of an agent its token's scopes and the delegation that it lives from have to cover it.
    """
    with call.components.database.reading() as session:
        here = call.within(session)
        readable_project(here, path, "flow.start")
        asked = StartRequest(
            project=path,
            flow=flow,
            user=_human(here),
            service_account=_account(here, body.service_account),
            inputs=body.inputs,
            source=_SOURCE,
        )
    return _start(call, asked)


@starts.operation(
    "POST",
    "/runs/{id}/retry",
    by=By.ANYBODY,
    answer=RunAnswer,
    statuses=(200, 201),
    problems=(409, 429),
    opens="nothing",
    keyed=True,
)
def retry_run(call: Call, id: Number) -> Shape | Created:
    """Start the flow of an ended run once more, with its inputs, by the configuration as it is now.

    Needs `flow.start` in its project. It acts for the same human: only that human, or their agent that it ran
    as, retries it.
    """
    with call.components.database.reading() as session:
        here = call.within(session)
        run = visible_run(here, id, "flow.start")
        asked = again(session, id, source=_SOURCE)
        if (asked.user, asked.service_account) != (_human(here), _account(here, asked.service_account)):
            raise Refused(
                "It ran for others: its human retries it, or the agent it ran as.", run.project.path
            )
    return _start(call, asked)


def _start(call: Call, asked: StartRequest) -> Shape | Created:
    """``asked`` was allowed a moment ago; it is decided again in the transaction that saves the run."""
    parts = call.components

    def permit(session: Session) -> None:
        now = call.held(session)
        now.require("flow.start", facts.project_at(session, asked.project))

    wanted = replace(
        asked,
        is_queued=True,
        delegation_id=call.caller.delegation_id,
        idempotency_key=_idempotency_key(call.asking.idempotency_key),
    )
    try:
        started = parts.starting.start(wanted, call.by, permit)
    except QueueFull as full:
        raise Problem(429, "Too Many Requests", str(full), [("Retry-After", _LATER)]) from None
    except Hidden:
        raise NotFound from None
    except Denied as denied:  # the ledger knows already, with its parties
        raise Problem(403, "Forbidden", str(denied)) from None
    with parts.database.reading() as session:
        shape = shapes.run(find_run(session, started.run_id))
    return Created(shape, f"/runs/{started.run_id}") if started.is_new else shape


def _human(call: Call) -> str:
    """The login of whom the caller is, or acts for."""
    if call.caller.run_id is not None:
        raise Refused("A run starts no other.")
    if call.caller.user_id is None:
        raise Refused("A run acts for a human: come as one, or with a token that names one.")
    return call.session.get_one(User, call.caller.user_id).login


def _account(call: Call, named: str | None) -> str | None:
    """An agent could widen what it may do if it could choose another one."""
    if call.caller.service_account_id is None:
        if named is not None:
            with naming("service_account"):
                find_service_account(call.session, named)
        return named
    own = call.session.get_one(ServiceAccount, call.caller.service_account_id).name
    if named not in {None, own}:
        raise Refused("An agent starts runs as itself alone: leave `service_account` out.")
    return own


def _idempotency_key(given: str | None) -> str | None:
    """Of draft-ietf-httpapi-idempotency-key-header §2.1."""
    if given is None:
        return None
    if (found := _KEY.fullmatch(given.strip())) is None:
        raise Problem(400, "Bad Request", 'Idempotency-Key: a string in quotes, such as "8e03978e-40d5".')
    return found[1] or found[2]

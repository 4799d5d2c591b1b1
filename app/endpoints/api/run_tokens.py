"""ID tokens that a run mints anew for itself."""

from typing import Annotated

from flask import request
from pydantic import Field

from app.clock import rfc3339
from app.endpoints.api.call import Call, Hidden
from app.endpoints.api.operations import By, Resource
from app.endpoints.api.schemas import Input, Number, Output, Time
from app.endpoints.problems import Problem
from app.flows.reminting import TooMany
from app.representation import Shape
from app.secret import Secret

run_tokens = Resource("ID tokens of runs")


class IdTokenName(Input):
    name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=255,
            description="As declared in `id_tokens`.",
            examples=["VAULT_ID_TOKEN"],
        ),
    ]


class IdTokenAnswer(Output):
    name: str
    token: Annotated[str, Field(description="Shown once.")]
    expires_at: Time


@run_tokens.operation(
    "POST",
    "/runs/{id}/id_tokens",
    by=By.RUN,
    answer=IdTokenAnswer,
    statuses=(200,),
    problems=(409, 429),
    opens="nothing",
)
def remint_id_token(call: Call, id: Number, body: IdTokenName) -> Shape:
    """Mint one of the run's declared ID tokens anew: same audience and subject, fresh life."""
    if call.caller.run_id != id:
        raise Hidden("the run token of another run")
    try:
        fresh = call.components.reminting.remint(id, body.name, _run_token(), call.by)
    except TooMany as refusal:
        wait = [("Retry-After", str(refusal.seconds))]
        raise Problem(429, "Too Many Requests", str(refusal), wait) from None
    token, expires_at = fresh.token.reveal(), rfc3339(fresh.expires_at)
    return {"name": fresh.name, "token": token, "expires_at": expires_at}


def _run_token() -> Secret:
    """The caller has been found by it."""
    given = request.authorization
    assert given is not None  # noqa: S101
    return Secret(given.token or "")

"""ID tokens that a run mints anew for itself."""

from typing import Annotated

from pydantic import Field

from app.clock import rfc3339
from app.flows.reminting import TooMany
from app.operations.call import Call, Hidden
from app.operations.operation import By, Resource
from app.operations.problem import Problem
from app.operations.schemas import Input, Number, Output, Time
from app.representation import Shape

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
    assert call.asking.credential is not None  # noqa: S101 - the caller has been found by it
    try:
        fresh = call.components.reminting.remint(id, body.name, call.asking.credential, call.by)
    except TooMany as refusal:
        wait = [("Retry-After", str(refusal.seconds))]
        raise Problem(429, "Too Many Requests", str(refusal), wait) from None
    token, expires_at = fresh.token.reveal(), rfc3339(fresh.expires_at)
    return {"name": fresh.name, "token": token, "expires_at": expires_at}

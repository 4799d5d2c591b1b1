"""The kill switch."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from app.endpoints.api.call import Call
from app.endpoints.api.operations import By, Resource
from app.endpoints.api.schemas import AccountName, Input, Login, Number, Output
from app.errors import Denied, InvalidInput, NotFound
from app.flows.kill import LONGEST_REASON, kill, told
from app.identity import facts
from app.identity.cut_offs import CutOffKind
from app.protocol.principals import user_principal
from app.representation import Shape

kills = Resource("Kills")

_NOT_THEIRS = "There is nothing of this number or name that you may kill."


class KillBody(Input):
    """One of the five, and why."""

    token: Annotated[str, Field(min_length=1, max_length=128, description="A `jti`.")] | None = None
    run: Number | None = None
    delegation: Number | None = None
    service_account: AccountName | None = None
    user: Login | None = None
    reason: Annotated[str, Field(min_length=1, max_length=LONGEST_REASON, examples=["laptop stolen"])]


class KilledAnswer(Output):
    """`accepted_offline_until`, `audiences`: what cannot be undone, until when who goes on accepting."""

    kind: str
    target: str
    reason: str
    at: str
    access_tokens: int
    id_tokens: int
    runs: list[int]
    personal_access_tokens: list[int]
    accepted_offline_until: str | None
    audiences: list[str]


@kills.operation("POST", "/kills", by=By.ANYBODY, answer=KilledAnswer, statuses=(200,), problems=(404,))
def kill_everything_of(call: Call, body: KillBody) -> Shape:
    """End what a human, an account, a delegation, a run or a token gave rise to, at once and for ever.

    Administrators may kill anything; a human in person what lives from them, and themselves; whoever has
    `run.cancel` in a project its runs.
    """
    named = body.model_dump(exclude={"reason"}, exclude_none=True)
    if len(named) != 1:
        raise InvalidInput(f"{'token' if not named else min(named)}: name one of {', '.join(CutOffKind)}")
    [(kind, name)] = named.items()

    def permit(kind: CutOffKind, whom: Mapping[str, Any]) -> None:
        if not _may(call, kind, whom):
            raise Denied(_NOT_THEIRS)

    try:
        killed = kill(
            call.session,
            CutOffKind(kind),
            str(name),
            reason=body.reason,
            by=call.by,
            now=call.now,
            permit=permit,
        )
    except NotFound:
        if call.caller.is_admin:
            raise InvalidInput(f"{kind}: names nothing that there is") from None
        raise Denied(_NOT_THEIRS) from None  # who may not kill it must not learn that it is not there
    return told(killed)


def _may(call: Call, kind: CutOffKind, whom: Mapping[str, Any]) -> bool:
    caller = call.caller
    if caller.is_admin:
        return True
    is_own = caller.in_person and whom.get("user") == user_principal(caller.user_id or 0)
    if kind is not CutOffKind.RUN:
        return is_own
    return is_own or call.decide("run.cancel", facts.project_at(call.session, whom["project"])).allowed

"""The kill switch."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Annotated, Any

from pydantic import Field

from app.errors import Denied, InvalidInput, NotFound
from app.flows import kill_impact
from app.flows.kill import LONGEST_REASON, kill, told
from app.identity import facts
from app.identity.cut_offs import CutOffKind
from app.operations.call import Call
from app.operations.operation import By, Resource
from app.operations.schemas import AccountName, Input, Login, Number, Output
from app.protocol.principals import user_principal
from app.representation import Shape

kills = Resource("Kills")

_NOT_THEIRS = "There is nothing of this number or name that you may kill."


class Victim(Input):
    """One of the five."""

    token: Annotated[str, Field(min_length=1, max_length=128, description="A `jti`.")] | None = None
    run: Number | None = None
    delegation: Number | None = None
    service_account: AccountName | None = None
    user: Login | None = None


class KillBody(Victim):
    """One of the five, and why."""

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


class KillImpactAnswer(Output):
    """What is alive now; `accepted_offline_until`, `audiences`: what cannot be undone, until when."""

    kind: str
    target: str
    access_tokens: int
    id_tokens: int
    runs: list[int]
    delegations: int
    personal_access_tokens: int
    sessions: int
    accepted_offline_until: str | None
    audiences: list[str]
    may_kill: Annotated[bool, Field(description="Whether the caller may; who oversees may only look.")]


@kills.operation("GET", "/kills/impact", by=By.ANYBODY, answer=KillImpactAnswer, problems=(404,))
def get_kill_impact(call: Call, query: Victim) -> Shape:
    """Tell what a kill would end and what it could not undo, to whoever may kill it or oversees."""
    kind, name = _named(query)
    may_kill = False

    def permit(kind: CutOffKind, whom: Mapping[str, Any]) -> None:
        nonlocal may_kill
        may_kill = _may(call, kind, whom)
        if not may_kill and not call.caller.sees_all:
            raise Denied(_NOT_THEIRS)

    with _telling_no_stranger(call, kind):
        impact = kill_impact.impact_of(
            call.session,
            kind,
            name,
            limits=call.components.session_limits,
            by=call.by,
            now=call.now,
            permit=permit,
        )
    return kill_impact.shape(impact) | {"may_kill": may_kill}


@kills.operation("POST", "/kills", by=By.ANYBODY, answer=KilledAnswer, statuses=(200,), problems=(404,))
def kill_everything_of(call: Call, body: KillBody) -> Shape:
    """End what a human, an account, a delegation, a run or a token gave rise to, at once and for ever.

    Administrators may kill anything; a human in person what lives from them, and themselves; whoever has
    `run.cancel` in a project its runs.
    """
    kind, name = _named(body)
    with _telling_no_stranger(call, kind):
        killed = kill(
            call.session,
            kind,
            name,
            reason=body.reason,
            by=call.by,
            now=call.now,
            permit=partial(_permit, call),
        )
    return told(killed)


def _named(given: Victim) -> tuple[CutOffKind, str]:
    named = given.model_dump(include={str(kind) for kind in CutOffKind}, exclude_none=True)
    if len(named) != 1:
        raise InvalidInput(f"{'token' if not named else min(named)}: name one of {', '.join(CutOffKind)}")
    [(kind, name)] = named.items()
    return CutOffKind(kind), str(name)


@contextmanager
def _telling_no_stranger(call: Call, kind: CutOffKind) -> Iterator[None]:
    """Who may not kill it must not learn that it is not there."""
    try:
        yield
    except NotFound:
        if call.caller.sees_all:
            raise InvalidInput(f"{kind}: names nothing that there is") from None
        raise Denied(_NOT_THEIRS) from None


def _permit(call: Call, kind: CutOffKind, whom: Mapping[str, Any]) -> None:
    if not _may(call, kind, whom):
        raise Denied(_NOT_THEIRS)


def _may(call: Call, kind: CutOffKind, whom: Mapping[str, Any]) -> bool:
    caller = call.caller
    if caller.is_admin:
        return True
    is_own = caller.in_person and whom.get("user") == user_principal(caller.user_id or 0)
    if kind is not CutOffKind.RUN:
        return is_own
    return is_own or call.decide("run.cancel", facts.project_at(call.session, whom["project"])).allowed

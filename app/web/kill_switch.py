"""The kill switch where a page has one: what would die, and the pull itself with its last words."""

from http import HTTPStatus
from typing import Any

from flask import request

from app.errors import Denied
from app.operations.kills import get_kill_impact, kill_everything_of
from app.web.console import say
from app.web.visit import Outcome, this_visit


def impact(**named: Any) -> Any:
    """``impact(user="alice")``: the counts; ``None`` where whoever looks may not know."""
    outcome = this_visit().attempt(get_kill_impact, query={kind: str(name) for kind, name in named.items()})
    return outcome.answer


def what_dies(**named: Any) -> Any:
    """``impact`` for a page that asks whether to kill: whoever may not is refused, and told so."""
    query = {kind: str(name) for kind, name in named.items()}
    found = this_visit().ask(get_kill_impact, query=query)
    if not found["may_kill"]:
        raise Denied("You may look at it, and not kill it.")
    return found


def pull(typed: str = "", **named: Any) -> Outcome:
    """By the form that is being answered; ``typed``: what must have been typed to confirm."""
    form = request.form
    if typed and form.get("confirmation", "").strip() != typed:
        refusal = f"Type {typed} to confirm: nothing was killed."
        return Outcome(None, refusal, {"confirmation": f"Type {typed}."}, 422)
    outcome = this_visit().attempt(kill_everything_of, body={**named, "reason": form.get("reason", "")})
    if outcome.status == HTTPStatus.FORBIDDEN:
        raise Denied(outcome.refusal or "")
    if outcome.refusal is None:
        say(_last_words(outcome.answer), "warn")
    return outcome


def _last_words(killed: dict[str, Any]) -> str:
    counts = {
        "access token": killed["access_tokens"],
        "ID token": killed["id_tokens"],
        "run": len(killed["runs"]),
        "personal access token": len(killed["personal_access_tokens"]),
    }
    died = ", ".join(f"{number} {name}{'' if number == 1 else 's'}" for name, number in counts.items())
    until = killed["accepted_offline_until"]
    if until is None:
        return f"Killed: {died}. Nothing that was issued is still accepted anywhere."
    audiences = killed["audiences"]
    named = ", ".join(audiences[:3]) + (f" and {len(audiences) - 3} more" if len(audiences) > 3 else "")  # noqa: PLR2004 - a line's worth
    offline = f"whoever verifies offline goes on accepting until {until[:10]} {until[11:19]} UTC: {named}"
    return f"Killed: {died}. This cannot be undone: {offline}."

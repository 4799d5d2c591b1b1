"""Runs: what goes on, what became of it, and what each was given."""

from typing import Any
from urllib.parse import urlencode

from flask import request, url_for

from app.operations import run_receipts, starts
from app.operations import runs as operations
from app.web import kill_switch
from app.web.console import Answer, act, ask_or_none, console, go, page, say
from app.web.pages.names import names_in
from app.web.pages.rights import may
from app.web.pages.run_logs import opening
from app.web.twins import api_request, command
from app.web.visit import Outcome, this_visit

STATES = ("pending", "running", "succeeded", "failed", "cancelled")
UNDER_WAY = frozenset({"pending", "running"})
_FILTERS = ("state", "flow", "user")


@console.get("/runs")
def runs() -> Answer:
    listed = listing(operations.list_all_runs)
    wanted = {name: value for name, value in listed["chosen"].items() if value}
    query = f"?{urlencode(wanted)}" if wanted else ""
    options = (part for name, value in wanted.items() for part in (f"--{name}", value))
    return page(
        "runs/index.html",
        shell=command("run", "list", *options),
        request_of_api=api_request("GET", f"/runs{query}"),
        **listed,
    )


def listing(handler: Any, **path: Any) -> dict[str, Any]:
    """What the page of a list of runs shows: ``faults`` where a filter is none."""
    chosen = {name: request.args.get(name, "") for name in _FILTERS}
    query = {**chosen, "cursor": request.args.get("cursor")}
    asked = this_visit().attempt(handler, query=query, **path)
    if asked.status not in {200, 422}:
        asked = this_visit().attempt(handler, **path)
    answer = asked.answer or {"items": [], "next_cursor": None}
    here = {name: value for name, value in chosen.items() if value}
    return {
        "items": answer["items"],
        "older": answer["next_cursor"] and {**here, "cursor": answer["next_cursor"]},
        "newest": here if request.args.get("cursor") else None,
        "chosen": chosen,
        "is_filtered": bool(here) or bool(request.args.get("cursor")),
        "faults": asked.faults,
        "states": STATES,
    }


@console.get("/runs/<int:number>")
def runs_run(number: int) -> Answer:
    run = this_visit().ask(operations.get_run, id=number)
    return page("runs/run.html", **shown(run), **opening(run))


@console.get("/runs/<int:number>/state")
def runs_state(number: int) -> Answer:
    """The part of the page that changes while it goes on."""
    run = this_visit().ask(operations.get_run, id=number)
    return page("runs/state.html", **shown(run))


@console.post("/runs/<int:number>/cancel")
def runs_cancel(number: int) -> Answer:
    act(operations.cancel_run, said=f"Run {number} was asked to end.", id=number)
    return go("console.runs_run", number=number)


@console.post("/runs/<int:number>/retry")
def runs_retry(number: int) -> Answer:
    outcome = this_visit().attempt(starts.retry_run, once=request.form.get("once"), id=number)
    if outcome.refusal is not None:
        say(outcome.refusal, "bad")
        return go("console.runs_run", number=number)
    started = _number_of(outcome.answer)
    say(f"Run {started} does what run {number} did, by the configuration as it is now.")
    return go("console.runs_run", number=started)


@console.get("/runs/<int:number>/kill")
def runs_kill_form(number: int) -> Answer:
    return _kill_form(number, Outcome())


@console.post("/runs/<int:number>/kill")
def runs_kill(number: int) -> Answer:
    done = kill_switch.pull(run=number)
    if done.refusal is not None:
        return _kill_form(number, done)
    if this_visit().ask(operations.get_run, id=number)["state"] in UNDER_WAY:
        say(f"Run {number} is being ended: its tokens are dead already, its steps end in a moment.")
    return go("console.runs_run", number=number)


def shown(run: dict[str, Any]) -> dict[str, Any]:
    visit = this_visit()
    is_over = run["state"] not in UNDER_WAY
    may_cancel = may("run.cancel", run["project"])
    is_own = run["user_login"] == visit.login
    return {
        "run": run,
        "names": _names(run),
        "receipt": ask_or_none(run_receipts.get_run_receipt, id=run["id"]),
        "goes_on": not is_over,
        "may_cancel": may_cancel and not is_over,
        "may_retry": is_over and is_own and may("flow.start", run["project"]),
        "may_kill": not is_over and (may_cancel or (is_own and visit.role != "auditor")),
    }


def _kill_form(number: int, outcome: Outcome) -> tuple[str, int]:
    visit = this_visit()
    here = url_for("console.runs_kill_form", number=number)
    shown = page(
        "runs/kill.html",
        run=visit.ask(operations.get_run, id=number),
        impact=kill_switch.what_dies(run=number),
        here=here,
        again=url_for("console.sign_in", again=1, next=here),
        reason=request.form.get("reason", ""),
        refusal=outcome.refusal,
        faults=outcome.faults,
    )
    return shown, outcome.status


def _names(run: dict[str, Any]) -> dict[str, str]:
    by, parties = run["started_by"], {run["user"]: run["user_login"]}
    return parties if by is None or by in parties else names_in(run["project"], [by])


def _number_of(run: dict[str, Any]) -> int:
    number: int = run["id"]
    return number

"""Starting a flow: a form made of its typed inputs."""

import uuid
from typing import Any

from flask import abort, request

from app.operations import delegations, starts
from app.operations import flows as operations
from app.web.console import Answer, console, go, page, say, whole
from app.web.pages.projects import framed
from app.web.visit import Outcome, this_visit

_FIELD = "input-"
ALONE = ""


@console.get("/projects/<path:path>/-/flows/<flow>")
def projects_flow(path: str, flow: str) -> Answer:
    return _shown(path, flow)


@console.post("/projects/<path:path>/-/flows/<flow>")
def projects_flow_start(path: str, flow: str) -> Answer:
    """The key in the form makes one run of a button that was pressed twice."""
    form = request.form
    inputs = _given(_declared(path, flow))
    account = form.get("service_account", ALONE)
    body: dict[str, Any] = {"inputs": inputs} | ({"service_account": account} if account else {})
    outcome = this_visit().attempt(
        starts.start_flow, path=path, flow=flow, body=body, once=form.get("once") or None
    )
    if outcome.refusal is not None:
        return _shown(path, flow, outcome)
    say(f"Run {outcome.answer['id']} has been started.")
    return go("console.runs_run", number=outcome.answer["id"])


def _shown(path: str, flow: str, outcome: Outcome | None = None) -> tuple[str, int]:
    framing, declared = framed(path), _declared(path, flow)
    accounts = [
        each["service_account_name"]
        for each in whole(delegations.list_delegations, query={"user": this_visit().login, "live": "true"})
        if each["service_account_active"] and each["project"] in {None, path}
    ]
    shown = page(
        "projects/flow.html",
        **framing,
        flow=declared,
        accounts=sorted(set(accounts)),
        may_run_alone=framing["project"]["workload"] == "user",
        once=request.form.get("once") or str(uuid.uuid4()),
        given=_shown_inputs(declared),
        chosen=request.form.get("service_account", ""),
        refusal=outcome.refusal if outcome else "",
        faults=_by_input(declared, outcome) if outcome else {},
    )
    return shown, outcome.status if outcome else 200


def _declared(path: str, flow: str) -> dict[str, Any]:
    known: list[dict[str, Any]] = this_visit().ask(operations.list_flows, path=path)["flows"]
    found = next((each for each in known if each["name"] == flow), None)
    return found if found is not None else abort(404)


def _given(declared: dict[str, Any]) -> dict[str, str]:
    """An empty field is none given, except for text that would otherwise have its default."""
    texts = {each["name"]: request.form.get(_FIELD + each["name"], "") for each in declared["inputs"]}
    kept = {each["name"] for each in declared["inputs"] if each["type"] == "string" and each["default"]}
    return {name: text for name, text in texts.items() if text or name in kept}


def _shown_inputs(declared: dict[str, Any]) -> dict[str, str]:
    return {
        each["name"]: request.form.get(_FIELD + each["name"], each["default"] or "")
        for each in declared["inputs"]
    }


def _by_input(declared: dict[str, Any], outcome: Outcome) -> dict[str, str]:
    """The refusal of an input, at its field: it begins with ``inputs.NAME``."""
    said = outcome.refusal or ""
    names = [each["name"] for each in declared["inputs"]]
    found = {name: said.partition(": ")[2] or said for name in names if _is_of(said, name)}
    return found | {key: fix for key, fix in outcome.faults.items() if key == "service_account"}


def _is_of(said: str, name: str) -> bool:
    return said.startswith(f"inputs.{name}: ")

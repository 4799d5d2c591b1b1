"""Projects: the list, a new one, and what every page of one has."""

from dataclasses import replace
from typing import Any

from flask import request

from app.operations import flows as flow_operations
from app.operations import projects as operations
from app.operations import runs as run_operations
from app.web.console import Answer, ask_or_none, console, go, page, say
from app.web.pages.rights import may
from app.web.pages.runs import listing
from app.web.visit import Outcome, this_visit

_SHOWN_RUNS = "5"


@console.get("/projects")
def projects() -> Answer:
    query = {"cursor": request.args.get("cursor")}
    answer = this_visit().ask(operations.list_projects, query=query)
    return page("projects/index.html", items=answer["items"], older=answer["next_cursor"], **query)


@console.get("/projects/new")
def projects_new() -> Answer:
    return _new("", Outcome())


@console.post("/projects/new")
def projects_create() -> Answer:
    path = request.form.get("path", "").strip()
    visit = this_visit()
    outcome = visit.attempt(operations.put_project, path=path)
    if outcome.refusal is None:
        say(f"{path} is there.")
        return go("console.projects_project", path=path)
    faults = outcome.faults or {"path": "name a group that is yours to make projects in"}
    return _new(path, replace(outcome, refusal="It was not made.", faults=faults))


@console.get("/projects/<path:path>")
def projects_project(path: str) -> Answer:
    """Its flows first: they are what it is for."""
    runs = ask_or_none(run_operations.list_runs, path=path, query={"limit": _SHOWN_RUNS})
    return page(
        "projects/project.html",
        **framed(path),
        declared=ask_or_none(flow_operations.list_flows, path=path),
        runs=None if runs is None else runs["items"],
        may_start=may("flow.start", path),
        may_write=may("configuration.write", path),
    )


@console.get("/projects/<path:path>/-/runs")
def projects_runs(path: str) -> Answer:
    return page("projects/runs.html", **framed(path), **listing(run_operations.list_runs, path=path))


def _new(path: str, outcome: Outcome) -> Answer:
    may_make = this_visit().role != "auditor"
    given = {"path": path, "refusal": outcome.refusal, "faults": outcome.faults}
    return page("projects/new.html", **given, may_make=may_make), outcome.status


def framed(path: str) -> dict[str, Any]:
    """What the frame of a project's pages shows; refuses as if there were none to whoever may not read it."""
    return {"project": this_visit().ask(operations.get_project, path=path)}

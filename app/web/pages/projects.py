"""Projects: the list, a new one, and what every page of one has."""

from typing import Any

from flask import request

from app.operations import flows as flow_operations
from app.operations import projects as operations
from app.operations import runs as run_operations
from app.web.console import Answer, ask_or_none, console, go, page, say
from app.web.pages.rights import may
from app.web.pages.runs import listing
from app.web.visit import this_visit

_SHOWN_RUNS = "5"


@console.get("/projects")
def projects() -> Answer:
    query = {"cursor": request.args.get("cursor")}
    answer = this_visit().ask(operations.list_projects, query=query)
    return page("projects/index.html", items=answer["items"], older=answer["next_cursor"], **query)


@console.get("/projects/new")
def projects_new() -> Answer:
    return page("projects/new.html", path="", faults={}, refusal="")


@console.post("/projects/new")
def projects_create() -> Answer:
    path = request.form.get("path", "").strip()
    visit = this_visit()
    outcome = visit.attempt(operations.put_project, path=path)
    if outcome.refusal is None:
        say(f"{path} is there.")
        return go("console.projects_project", path=path)
    fix = "Write groups and a name, such as acme/webapp, where a group is yours to make projects in."
    faults = {"path": outcome.faults.get("path", fix)}
    return page("projects/new.html", path=path, faults=faults, refusal=outcome.refusal), outcome.status


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


def framed(path: str) -> dict[str, Any]:
    """What the frame of a project's pages shows; refuses as if there were none to whoever may not read it."""
    return {"project": this_visit().ask(operations.get_project, path=path)}

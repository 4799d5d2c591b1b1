"""Runs: what became of flows that were started."""

from typing import Annotated, Literal

from pydantic import Field

from app import representation as shapes
from app.flows import runs as domain
from app.flows.models import Run
from app.identity import visible
from app.operations.call import Call, Hidden, Refused
from app.operations.operation import By, Resource
from app.operations.paging import page
from app.operations.places import ProjectPath, place_of, readable_project
from app.operations.schemas import Login, Number, Output, Page, Paging
from app.representation import Shape

runs = Resource("Runs")


FlowName = Annotated[
    str, Field(max_length=100, description="A flow of the configuration.", examples=["fix-ci"])
]


class RunAnswer(Output):
    id: int
    state: str
    reason: str | None
    project: str
    flow: str
    configuration: int | None
    commit: str | None
    config_sha: str | None
    user: str
    user_login: str
    service_account: str | None
    service_account_name: str | None
    id_tokens: list[str]
    secrets: list[str]
    exit_code: int | None
    started_by: str | None
    retry_of: int | None
    created_at: str
    started_at: str | None
    ended_at: str | None


class RunQuery(Paging):
    flow: FlowName | None = None
    user: Login | None = None
    state: Literal["pending", "running", "succeeded", "failed", "cancelled"] | None = None


@runs.operation("GET", "/projects/{+path}/runs", by=By.ANYBODY, answer=Page[RunAnswer])
def list_runs(call: Call, path: ProjectPath, query: RunQuery) -> Shape:
    """List the runs of a project, the newest first. Needs `run.read`."""
    project = readable_project(call, path, "run.read")
    rows = domain.matching(flow=query.flow, user=query.user, state=query.state)
    rows = rows.where(Run.project_id == project.id)
    return page(call.session, rows, Run.id, query, shapes.run, newest_first=True)


@runs.operation("GET", "/runs", by=By.ANYBODY, answer=Page[RunAnswer])
def list_all_runs(call: Call, query: RunQuery) -> Shape:
    """List runs of all projects where the caller has `run.read`, the newest first; a page may be short."""
    call.require_scope("run.read")
    rows = domain.matching(flow=query.flow, user=query.user, state=query.state)
    if call.caller.sees_all:
        return page(call.session, rows, Run.id, query, shapes.run, newest_first=True)
    known, question = call.known(), call.caller.question("run.read")
    mine = visible.candidates(known, question)
    shown = page(
        call.session, rows.join(Run.project).where(*mine), Run.id, query, lambda run: run, newest_first=True
    )
    there = {run.project_id: run.project for run in shown["items"]}
    seen = {
        each.id for each in visible.allowed(call.session, list(there.values()), known, question, call.now)
    }
    return {**shown, "items": [shapes.run(run) for run in shown["items"] if run.project_id in seen]}


@runs.operation("GET", "/runs/{id}", by=By.ANYBODY, answer=RunAnswer)
def get_run(call: Call, id: Number) -> Shape:
    """Get a run. Needs `run.read` in its project."""
    return shapes.run(visible_run(call, id, "run.read"))


@runs.operation("POST", "/runs/{id}/cancel", by=By.ANYBODY, answer=RunAnswer, statuses=(200,))
def cancel_run(call: Call, id: Number) -> Shape:
    """End a run and everything that its steps have started. Needs `run.cancel` in its project."""
    visible_run(call, id, "run.cancel")
    return shapes.run(domain.request_cancel(call.session, id, by=call.by, now=call.now))


def visible_run(call: Call, number: int, permission: str) -> Run:
    """Its numbers are consecutive: whoever may not see it learns nothing from asking."""
    run = domain.find_run(call.session, number)
    if run.project.deleted_at is not None and not call.caller.has_everywhere(permission):
        raise (Refused if call.caller.sees_all else Hidden)("The run's project was deleted.")
    if run.project.deleted_at is None:
        call.require(permission, place_of(run.project), known_by="run.read")
    return run

"""What a project says of its runs: subject, workload, how many at once, variables; and its end."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flask import request, url_for

from app.operations import projects as operations
from app.protocol.subjects import COMPONENTS
from app.web.console import Answer, act, by_field, console, go, page, say, whole
from app.web.pages.projects import framed
from app.web.pages.rights import may
from app.web.visit import ABSENT, Outcome, this_visit


@console.get("/projects/<path:path>/-/settings")
def projects_settings(path: str) -> Answer:
    return _shown(path)


@console.post("/projects/<path:path>/-/settings")
def projects_settings_save(path: str) -> Answer:
    form = request.form
    limit = form.get("concurrent_runs", "").strip()
    body = {
        "subject": form.get("subject", "").replace(",", " ").split(),
        "workload": form.get("workload", ""),
        "concurrent_runs": int(limit) if limit.isascii() and limit.isdigit() else limit or None,
    }
    etag = form.get("etag", ABSENT)
    outcome = this_visit().attempt(operations.change_project, path=path, body=body, etag=etag)
    if outcome.refusal is not None:
        return _shown(path, outcome)
    say("Saved: runs that start from now on have it so.")
    return go("console.projects_settings", path=path)


@console.post("/projects/<path:path>/-/settings/path")
def projects_settings_move(path: str) -> Answer:
    new = request.form.get("path", "").strip()
    outcome = this_visit().attempt(operations.change_project, path=path, body={"path": new})
    if outcome.refusal is not None:
        return _shown(path, outcome)
    say(f"{path} is {new} now.")
    return go("console.projects_settings", path=new)


@console.post("/projects/<path:path>/-/variables")
def projects_variables_set(path: str) -> Answer:
    name, value = request.form.get("name", "").strip(), request.form.get("value", "")
    outcome = this_visit().attempt(operations.put_variable, path=path, name=name, body={"value": value})
    if outcome.refusal is not None:
        return _shown(path, replace(outcome, refusal="It was not set.") if outcome.faults else outcome)
    say(f"{name} is set.")
    return go("console.projects_settings", path=path, _anchor="variables")


@console.post("/projects/<path:path>/-/variables/remove")
def projects_variables_remove(path: str) -> Answer:
    name = request.form.get("name", "")
    act(operations.delete_variable, said=f"{name} is gone.", path=path, name=name)
    return go("console.projects_settings", path=path, _anchor="variables")


@console.post("/projects/<path:path>/-/delete")
def projects_delete(path: str) -> Answer:
    if request.form.get("confirmation", "").strip() != path:
        say("Nothing was deleted: what was typed is not the project's path.", "bad")
        return go("console.projects_settings", path=path)
    outcome = act(operations.delete_project, said=f"{path} is deleted.", path=path)
    if outcome.refusal is not None:
        return go("console.projects_settings", path=path)
    return go("console.projects")


def _shown(path: str, outcome: Outcome | None = None) -> tuple[str, int]:
    framing = framed(path)
    given = request.form if outcome is not None and not outcome.is_stale else {}
    shown = page(
        "projects/settings.html",
        **framing,
        **_form(framing["project"], given),
        variables=whole(operations.list_variables, path=path),
        components=COMPONENTS,
        may_write=may("configuration.write", path),
        may_administer=may("project.admin", path),
        refusal=outcome.refusal if outcome else "",
        faults=by_field(outcome) if outcome else {},
        given=given,
        here=url_for("console.projects_settings", path=path),
    )
    return shown, outcome.status if outcome else 200


def _form(project: dict[str, Any], given: Mapping[str, str]) -> dict[str, str]:
    return {
        "subject": given.get("subject", ", ".join(project["subject"])),
        "workload": given.get("workload", project["workload"]),
        "concurrent_runs": given.get("concurrent_runs", project["concurrent_runs"] or ""),
        "made_from": given.get("etag", this_visit().etag(project)),
    }

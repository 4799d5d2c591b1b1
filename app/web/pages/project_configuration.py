"""The ``agent-config.yml`` of a project: as it is, as it was, and where it comes from."""

from collections.abc import Mapping
from typing import Any

from flask import request

from app.operations import configurations as operations
from app.operations import flows as flow_operations
from app.operations import sources
from app.web.console import Answer, act, ask_or_none, console, go, page, say
from app.web.differences import differences
from app.web.pages.names import names_in
from app.web.pages.projects import framed
from app.web.pages.rights import may
from app.web.step_up import SignInAgain
from app.web.visit import ABSENT, Outcome, this_visit

"""Lines of both together: finding out how they differ takes long for more."""
_LAPSED = Outcome(
    None,
    "Nothing was saved: you signed in too long ago. Copy the text, sign in again, and put it back.",
    status=403,
)


@console.get("/projects/<path:path>/-/configuration")
def projects_configuration(path: str) -> Answer:
    query = {"limit": "20", "cursor": request.args.get("cursor")}
    versions = this_visit().ask(operations.list_configuration_versions, path=path, query=query)
    present = _present(path)
    setters = [each["created_by"] for each in versions["items"]]
    setters += [present["source"]["set_by"]] if present["source"] else []
    return page(
        "projects/configuration.html",
        **framed(path),
        **present,
        versions=versions["items"],
        older=versions["next_cursor"],
        names=names_in(path, setters),
    )


@console.get("/projects/<path:path>/-/configuration/edit")
def projects_configuration_edit(path: str) -> Answer:
    current = ask_or_none(operations.get_configuration, path=path)
    content = current["content"] if current else ""
    return _edit(path, content, this_visit().etag(current), Outcome())


@console.post("/projects/<path:path>/-/configuration/edit")
def projects_configuration_save(path: str) -> Answer:
    content = request.form.get("content", "").replace("\r\n", "\n")
    uploaded = request.files.get("file")
    if uploaded is not None and uploaded.filename:
        content = uploaded.stream.read().decode(errors="replace")
    body, etag = {"content": content.encode()}, request.form.get("etag", ABSENT)
    try:
        outcome = this_visit().attempt(operations.put_configuration, path=path, body=body, etag=etag)
    except SignInAgain:
        outcome = _LAPSED
    if outcome.refusal is not None:
        return _edit(path, content, etag, outcome)
    say(f"Version {outcome.answer['id']} is in force.")
    return go("console.projects_configuration", path=path)


@console.get("/projects/<path:path>/-/configuration/<int:number>")
def projects_configuration_version(path: str, number: int) -> Answer:
    version = this_visit().ask(operations.get_configuration_version, path=path, id=number)
    names = names_in(path, [version["created_by"]])
    return page("projects/version.html", **framed(path), version=version, names=names)


@console.get("/projects/<path:path>/-/configuration/differences")
def projects_configuration_differences(path: str) -> Answer:
    visit = this_visit()
    numbers = [request.args.get(name, 0, type=int) for name in ("before", "after")]
    before, after = (visit.ask(operations.get_configuration_version, path=path, id=each) for each in numbers)
    lines = differences(before["content"], after["content"])
    return page("projects/differences.html", **framed(path), before=before, after=after, lines=lines)


@console.post("/projects/<path:path>/-/source")
def projects_source_set(path: str) -> Answer:
    form = request.form
    branches = form.get("protected", "").replace(",", " ").split()
    body: dict[str, Any] = {"git": form.get("git", "").strip(), "branch": form.get("branch", "").strip()}
    body |= {"protected": branches} if branches else {}
    outcome = this_visit().attempt(sources.put_source, path=path, body=body)
    if outcome.refusal is not None:
        return _source_form(path, outcome)
    say(f"The configuration is read from branch {body['branch']} from now on.")
    return go("console.projects_configuration", path=path)


@console.get("/projects/<path:path>/-/source")
def projects_source(path: str) -> Answer:
    return _source_form(path)


@console.post("/projects/<path:path>/-/source/refresh")
def projects_source_refresh(path: str) -> Answer:
    act(sources.refresh_source, said="Read: what is on the branch now is in force.", path=path)
    return go("console.projects_configuration", path=path)


@console.post("/projects/<path:path>/-/source/remove")
def projects_source_remove(path: str) -> Answer:
    said = "It is not read from Git any more; nothing starts until a configuration is set."
    act(sources.delete_source, said=said, path=path)
    return go("console.projects_configuration", path=path)


def _edit(path: str, content: str, etag: str, outcome: Outcome) -> Answer:
    faults = _placed(outcome)
    refusal = "Nothing was saved: the linter refuses it." if faults else outcome.refusal
    typed = {"content": content, "etag": etag, "is_typed": outcome.refusal is not None}
    typed["may_write"] = may("configuration.write", path)
    shown = page("projects/edit.html", **framed(path), **typed, refusal=refusal, faults=faults)
    return shown, outcome.status


def _present(path: str) -> dict[str, Any]:
    declared = ask_or_none(flow_operations.list_flows, path=path)
    return {
        "current": ask_or_none(operations.get_configuration, path=path),
        "source": ask_or_none(sources.get_source, path=path),
        "warnings": declared["warnings"] if declared else [],
        "may_write": may("configuration.write", path),
    }


def _source_form(path: str, outcome: Outcome | None = None) -> tuple[str, int]:
    shown = page(
        "projects/source.html",
        **framed(path),
        source=ask_or_none(sources.get_source, path=path),
        form=request.form,
        refusal=outcome.refusal if outcome else "",
        faults=outcome.faults if outcome else {},
        found=_placed(outcome) if outcome else [],
        may_write=may("configuration.write", path),
    )
    return shown, outcome.status if outcome else 200


def _placed(outcome: Outcome) -> list[Mapping[str, Any]]:
    """What the linter said, by line and column."""
    return [each for each in outcome.errors if "line" in each]

"""Who is in a project, by which role, and what an account may do here for a human."""

from dataclasses import replace
from http import HTTPStatus
from typing import Any

from flask import request

from app.identity.permissions import PERMISSIONS, Role
from app.operations import members as operations
from app.operations.explanations import explain
from app.operations.schemas import NAME_FORM
from app.web.console import Answer, act, console, go, page, say, whole
from app.web.pages.projects import framed
from app.web.pages.rights import may
from app.web.visit import ABSENT, Outcome, this_visit

ROLES = tuple(role.label for role in Role)
_KINDS = {"user": "human", "service_account": "service account"}


@console.get("/projects/<path:path>/-/members")
def projects_members(path: str) -> Answer:
    return _shown(path)


@console.post("/projects/<path:path>/-/members")
def projects_members_add(path: str) -> Answer:
    """Nobody who is one already: their role is changed where it stands."""
    kind, name = request.form.get("kind", ""), request.form.get("name", "").strip()
    role = request.form.get("role", "")
    if kind not in _KINDS:
        return _shown(path, Outcome(None, "Choose what it is.", {"kind": "choose one"}, 422))
    outcome = this_visit().attempt(
        operations.put_project_member, path=path, principal=f"{kind}:{name}", body={"role": role}, etag=ABSENT
    )
    if outcome.refusal is not None:
        fix = _fault_of_name(outcome)
        faults = {"name": fix} if fix else outcome.faults
        return _shown(path, replace(outcome, refusal="" if faults else outcome.refusal, faults=faults))
    say(f"{name} is {role} of {path}.")
    return go("console.projects_members", path=path)


@console.post("/projects/<path:path>/-/members/change")
def projects_members_change(path: str) -> Answer:
    principal, role = request.form.get("principal", ""), request.form.get("role", "")
    said = f"{principal} is {role} of {path}."
    act(operations.put_project_member, said=said, path=path, principal=principal, body={"role": role})
    return go("console.projects_members", path=path)


@console.post("/projects/<path:path>/-/members/remove")
def projects_members_remove(path: str) -> Answer:
    principal = request.form.get("principal", "")
    said = f"{principal} has no role of its own in {path} any more."
    act(operations.delete_project_member, said=said, path=path, principal=principal)
    return go("console.projects_members", path=path)


@console.get("/projects/<path:path>/-/intersection")
def projects_intersection(path: str) -> Answer:
    """An account for a human here, conjunct by conjunct: the one decision, explained."""
    visit = this_visit()
    asked = {
        "user": request.args.get("user", visit.login if visit.role == "member" else "").strip(),
        "service_account": request.args.get("service_account", "").strip(),
        "action": request.args.get("action", "flow.start"),
    }
    body = {name: value for name, value in asked.items() if value} | {"resource": path}
    wanted = asked["user"] or asked["service_account"]
    outcome = visit.attempt(explain, body=body) if "action" in request.args and wanted else None
    members = whole(operations.list_project_members, path=path)
    shown = page(
        "projects/intersection.html",
        **framed(path),
        asked=asked,
        outcome=outcome,
        humans=_names(members, "user"),
        accounts=_names(members, "service_account"),
        permissions=sorted(PERMISSIONS),
        may_choose=visit.role != "member",
    )
    return shown, 200 if outcome is None else outcome.status


def _shown(path: str, outcome: Outcome | None = None) -> tuple[str, int]:
    members = whole(operations.list_project_members, path=path)
    form = request.form if outcome else {}
    shown = page(
        "projects/members.html",
        **framed(path),
        members=members,
        roles=ROLES,
        kinds=_KINDS,
        may_manage=may("member.manage", path),
        form=form,
        refusal=outcome.refusal if outcome else "",
        faults=outcome.faults if outcome else {},
    )
    return shown, outcome.status if outcome else 200


def _fault_of_name(outcome: Outcome) -> str:
    if outcome.is_stale:
        return "is a member already: change the role above"
    if outcome.status == HTTPStatus.NOT_FOUND:
        return "There is none of this name."
    return NAME_FORM if "principal" in outcome.faults else ""


def _names(members: list[dict[str, Any]], kind: str) -> list[str]:
    return sorted({each["name"] for each in members if each["principal"].startswith(f"{kind}:")})

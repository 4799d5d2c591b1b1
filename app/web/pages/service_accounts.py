"""Service accounts: the machines that act, in whose name, with which secrets, and what they may do."""

from collections.abc import Mapping
from typing import Any

from flask import request

from app.identity.permissions import PERMISSIONS
from app.operations.audit_events import list_audit_events
from app.operations.delegations import list_delegations
from app.operations.explanations import explain
from app.operations.memberships import list_service_account_memberships
from app.operations.projects import list_projects
from app.operations.secrets import create_secret, list_secret_standings, list_secrets, revoke_secret
from app.operations.service_accounts import (
    get_service_account,
    list_service_accounts,
    put_service_account,
    put_service_account_active,
)
from app.operations.users import list_users
from app.web import kill_switch, lifetimes
from app.web.console import Answer, act, console, go, make_once, page, say, suggested, whole
from app.web.name_search import asked, searched
from app.web.scopes import MEANINGS
from app.web.twins import api_request
from app.web.visit import ABSENT, Outcome, this_visit

_LIVES = (*lifetimes.CHOICES, lifetimes.FOR_EVER)
_NOTHING_TYPED: Mapping[str, str] = {}
_NONE = Outcome()


@console.get("/service-accounts")
def service_accounts() -> Answer:
    listed, standings = searched(list_service_accounts, "service-account"), {}
    if this_visit().role != "member":
        told = this_visit().ask(list_secret_standings, query=asked())["items"]
        standings = {each["service_account"]: each | {"state": _standing(each)} for each in told}
    return page("service_accounts/index.html", standings=standings, api_request=api_request, **listed)


@console.get("/service-accounts/-/new")
def service_accounts_new() -> Answer:
    return _new(_NOTHING_TYPED, _NONE)


@console.post("/service-accounts/-/new")
def service_accounts_create() -> Answer:
    form, visit = request.form, this_visit()
    name = form.get("name", "").strip()
    if not name or visit.attempt(get_service_account, name=name).refusal is None:
        refusal = "Is taken: choose another name." if name else "Write a name."
        return _new(form, Outcome(None, refusal, {"name": refusal}, 422))
    body = {"composite": form.get("composite") != "false"}
    done = visit.attempt(put_service_account, body=body, name=name, etag=ABSENT)
    if done.refusal is not None:
        return _new(form, done)
    say(f"{name} is created. Make it a secret, and a member of its projects.")
    return go("console.service_accounts_show", name=name)


@console.get("/service-accounts/<name>")
def service_accounts_show(name: str) -> Answer:
    return _show(name, _NOTHING_TYPED, _NONE)


@console.post("/service-accounts/<name>/active")
def service_accounts_active(name: str) -> Answer:
    active = request.form.get("active") == "true"
    said = f"{name} is {'enabled' if active else 'disabled'}."
    act(put_service_account_active, said=said, body={"active": active}, name=name)
    return go("console.service_accounts_show", name=name)


@console.post("/service-accounts/<name>/secrets")
def service_accounts_create_secret(name: str) -> Answer:
    """Answers with the secret itself: it is shown now or never."""
    visit, form = this_visit(), request.form
    if fault := lifetimes.fault(form):
        return _show(name, form, Outcome(None, fault, {"expires_at": fault}, 422))
    body = {"expires_at": lifetimes.chosen(form, visit.now)}
    made = make_once(create_secret, body=body, name=name)
    if made.refusal is not None:
        return _show(name, form, made)
    return page("service_accounts/secret.html", name=name, secret=made.answer)


@console.post("/service-accounts/<name>/secrets/<int:number>/revoke")
def service_accounts_revoke_secret(name: str, number: int) -> Answer:
    act(revoke_secret, said=f"Secret {number} of {name} is revoked.", name=name, id=number)
    return go("console.service_accounts_show", name=name)


@console.get("/service-accounts/<name>/kill")
def service_accounts_kill_form(name: str) -> Answer:
    return _kill_form(name, _NONE)


@console.post("/service-accounts/<name>/kill")
def service_accounts_kill(name: str) -> Answer:
    done = kill_switch.pull(name, service_account=name)
    return go("console.service_accounts_show", name=name) if done.refusal is None else _kill_form(name, done)


def _show(name: str, typed: Mapping[str, str], outcome: Outcome) -> Answer:
    visit = this_visit()
    account = visit.ask(get_service_account, name=name)
    oversees = visit.role != "member"
    shown = page(
        "service_accounts/show.html",
        account=account,
        oversees=oversees,
        secrets=_secrets(name) if oversees else [],
        memberships=whole(list_service_account_memberships, name=name) if oversees else [],
        delegations=visit.ask(list_delegations, query={"service_account": name, "live": "true"}),
        impact=kill_switch.impact(service_account=name) if oversees else None,
        events=visit.ask(list_audit_events, query={"service_account": name, "limit": "10"})
        if oversees
        else None,
        lives=_LIVES,
        typed=typed,
        refusal=outcome.refusal,
        faults=outcome.faults,
        **_effective(account),
    )
    return shown, outcome.status


def _effective(account: Mapping[str, Any]) -> dict[str, Any]:
    """What the account may do here for this human, as asked in the URL."""
    visit, asked = this_visit(), request.args
    user = asked.get("user", "").strip() or visit.login
    where = asked.get("project", "").strip()
    told: dict[str, Any] = {"for_user": user, "where": where, "matrix": [], "not_told": ""}
    told["projects"] = suggested(list_projects, "path")
    is_overseer = visit.role != "member"
    told["users"] = suggested(list_users, "login") if is_overseer else []
    if not where:
        return told
    pair = {"service_account": account["name"], "resource": where}
    if account["composite"]:
        pair["user"] = user
    for permission, needed in PERMISSIONS.items():
        outcome = visit.attempt(explain, body=pair | {"action": permission})
        if outcome.refusal is not None:
            return told | {"matrix": [], "not_told": outcome.refusal}
        told["matrix"].append(_row(permission, needed.label, outcome.answer))
    return told


def _row(permission: str, needed: str, decision: Mapping[str, Any]) -> dict[str, Any]:
    by_name = {each["name"]: each for each in decision["conjuncts"]}
    refusing = [each["reason"] for each in decision["conjuncts"] if not each["allowed"]]
    return {
        "permission": permission,
        "meaning": MEANINGS[permission],
        "needed": needed,
        "allowed": decision["allowed"],
        "conjuncts": by_name,
        "why_not": refusing[0] if refusing else "",
    }


def _secrets(name: str) -> list[dict[str, Any]]:
    """Those that work first, the newest of them first."""
    now = this_visit().now
    told = [
        each | {"state": lifetimes.state(each["expires_at"], each["revoked_at"], now)}
        for each in reversed(whole(list_secrets, name=name))
    ]
    return sorted(told, key=lambda each: each["state"] not in {"live", "expiring"})


def _standing(each: Mapping[str, Any]) -> str:
    if not each["alive"]:
        return "none"
    return lifetimes.state(each["expires_first_at"], None, this_visit().now)


def _new(typed: Mapping[str, str], outcome: Outcome) -> Answer:
    shown = page("service_accounts/new.html", typed=typed, refusal=outcome.refusal, faults=outcome.faults)
    return shown, outcome.status


def _kill_form(name: str, outcome: Outcome) -> Answer:
    shown = page(
        "service_accounts/kill.html",
        account=this_visit().ask(get_service_account, name=name),
        impact=kill_switch.what_dies(service_account=name),
        reason=request.form.get("reason", ""),
        refusal=outcome.refusal,
        faults=outcome.faults,
    )
    return shown, outcome.status

"""Delegations: who may act for whom, given and ended; and who may act for whoever looks."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from flask import request, url_for

from app.identity.permissions import PERMISSIONS
from app.operations.audit_events import list_audit_events
from app.operations.delegations import (
    get_delegation,
    grant_delegation,
    list_delegations,
    list_who_may_act_for_me,
    revoke_delegation,
)
from app.operations.me import list_what_runs_for_me
from app.operations.projects import list_projects
from app.operations.service_accounts import list_service_accounts
from app.operations.users import list_users
from app.web import kill_switch, lifetimes
from app.web.console import Answer, ask_or_none, by_field, console, go, page, say, suggested, whole
from app.web.scopes import MEANINGS
from app.web.visit import Outcome, this_visit

_STATES = (("live", "in force"), ("over", "over"), ("", "all"))
_LIVE = {"live": "true", "over": "false"}
_ALIVE = {"live": "in force", "expiring": "ends soon"}
_REACHES = (("all", "everything that both may"), ("some", "only what is ticked below"))
_SOON = timedelta(days=3)
_AT_ONCE = "50"
_NONE = Outcome()


@console.get("/delegations")
def delegations() -> Answer:
    visit = this_visit()
    asked = {name: request.args.get(name, "").strip() for name in ("user", "service_account")}
    state = request.args.get("state", "live")
    query = {**asked, "live": _LIVE.get(state, "")}
    cursor = request.args.get("cursor", "")
    outcome = visit.attempt(list_delegations, query={**query, "cursor": cursor})
    found = outcome.answer or {"items": [], "next_cursor": None}
    here: dict[str, Any] = {**asked, "state": state}
    shown = page(
        "delegations/index.html",
        delegations=[_judged(each) for each in found["items"]],
        asked=asked,
        query={name: text for name, text in query.items() if text},
        state=state,
        states=_STATES,
        is_narrowed=any(asked.values()) or state != "live",
        refusal=outcome.refusal,
        first_href=url_for("console.delegations", **here) if cursor else "",
        next_href=url_for("console.delegations", **here, cursor=found["next_cursor"])
        if found["next_cursor"]
        else "",
    )
    return shown, outcome.status


@console.get("/delegations/-/new")
def delegations_new() -> Answer:
    return _new(request.args, _NONE)


@console.post("/delegations/-/new")
def delegations_grant() -> Answer:
    visit, form = this_visit(), request.form
    scopes = form.getlist("scopes")
    if faults := _contradictions(form, scopes):
        return _new(form, Outcome(None, next(iter(faults.values())), faults, 422))
    body = {
        "service_account": form.get("service_account", "").strip(),
        "user": form.get("user", "").strip() or None,
        "scopes": scopes if form.get("reach") == "some" else None,
        "project": form.get("project", "").strip() or None,
        "expires_at": lifetimes.chosen(form, visit.now),
    }
    done = visit.attempt(grant_delegation, body=body)
    if done.refusal is not None:
        return _new(form, done)
    given = done.answer
    whom = "you" if given["user_login"] == visit.login else given["user_login"]
    if disabled := _disabled(given):
        say(f"{given['service_account_name']} cannot act for {whom} yet: {disabled}.", "warn")
    else:
        say(f"{given['service_account_name']} may act for {whom} now.")
    return go("console.delegations_mine" if whom == "you" else "console.delegations")


@console.get("/delegations/<int:number>")
def delegations_show(number: int) -> Answer:
    return _show(number, _NONE)


@console.post("/delegations/<int:number>/revoke")
def delegations_revoke(number: int) -> Answer:
    visit = this_visit()
    outcome = visit.attempt(revoke_delegation, id=number)
    if outcome.refusal is not None:
        say(outcome.refusal, "bad")
    else:
        _say_ended(visit.ask(get_delegation, id=number))
    came_from = request.form.get("from")
    return go("console.delegations_mine" if came_from == "mine" else "console.delegations")


@console.get("/delegations/<int:number>/kill")
def delegations_kill_form(number: int) -> Answer:
    this_visit().ask(get_delegation, id=number)
    kill_switch.what_dies(delegation=number)
    return _show(number, _NONE)


@console.post("/delegations/<int:number>/kill")
def delegations_kill(number: int) -> Answer:
    done = kill_switch.pull(delegation=number)
    return go("console.delegations_show", number=number) if done.refusal is None else _show(number, done)


@console.get("/who-may-act-for-me")
def delegations_mine() -> Answer:
    """For a human who has never seen this product."""
    visit, cursor = this_visit(), request.args.get("cursor", "")
    found = visit.ask(list_who_may_act_for_me, query={"limit": _AT_ONCE, "cursor": cursor})
    following = found["next_cursor"]
    return page(
        "delegations/mine.html",
        acting=[_judged(each) for each in found["items"]],
        first_href=url_for("console.delegations_mine") if cursor else "",
        next_href=url_for("console.delegations_mine", cursor=following) if following else "",
        meanings=MEANINGS,
        **_running(),
    )


@console.get("/who-may-act-for-me/runs")
def delegations_running() -> Answer:
    """The part of the page that changes while it is read."""
    return page("delegations/running.html", **_running())


def _running() -> dict[str, Any]:
    return {"runs": this_visit().ask(list_what_runs_for_me)["items"]}


def _contradictions(form: Mapping[str, str], scopes: list[str]) -> dict[str, str]:
    """Nothing that was asked for is passed over: the delegation would reach further than meant."""
    faults = {}
    reach = form.get("reach")
    if reach not in dict(_REACHES):
        faults["reach"] = "Choose one of the two."
    elif reach == "some" and not scopes:
        faults["scopes"] = "Tick one or more, or let it do everything that both may."
    elif reach == "all" and scopes:
        faults["scopes"] = "Choose “only what is ticked below” for these, or clear them."
    if fault := lifetimes.fault(form):
        faults["expires_at"] = fault
    return faults


def _last_event(account: str, login: str) -> Any:
    found = ask_or_none(list_audit_events, query={"service_account": account, "user": login, "limit": "1"})
    return next(iter(found["items"]), None) if found else None


def _say_ended(ended: Mapping[str, Any]) -> None:
    """Whether something else still lets the same agent act is what a human would overlook."""
    login, agent = ended["user_login"], ended["service_account_name"]
    whom = "you" if login == this_visit().login else login
    left = whole(list_delegations, query={"user": login, "service_account": agent, "live": "true"})
    if left:
        numbers = ", ".join(str(each["id"]) for each in left)
        say(f"It has ended. Delegation {numbers} still lets {agent} act for {whom}: end it as well.", "warn")
    else:
        say(f"{agent} may not act for {whom} any more. To undo this, let it act anew.")


def _judged(each: Mapping[str, Any]) -> dict[str, Any]:
    """``disabled``: why it lets nobody act though it is alive; ``badge``: its state, and the words for it."""
    state = lifetimes.state(each["expires_at"], each["revoked_at"], this_visit().now, _SOON)
    is_alive = state in _ALIVE
    disabled = _disabled(each) if is_alive else ""
    badge = ("disabled", "cannot act") if disabled else (state, _ALIVE.get(state, state))
    return {**each, "state": state, "is_alive": is_alive, "disabled": disabled, "badge": badge}


def _disabled(each: Mapping[str, Any]) -> str:
    """``duo is disabled``, ``duo and erin are disabled``, or nothing."""
    sides = (("service_account_name", "service_account_active"), ("user_login", "user_active"))
    names = [each[name] for name, active in sides if not each[active]]
    return f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} disabled" if names else ""


def _show(number: int, outcome: Outcome) -> Answer:
    visit = this_visit()
    delegation = _judged(visit.ask(get_delegation, id=number))
    shown = page(
        "delegations/show.html",
        delegation=delegation,
        meanings=MEANINGS,
        last=_last_event(delegation["service_account_name"], delegation["user_login"]),
        impact=kill_switch.impact(delegation=number),
        reason=request.form.get("reason", ""),
        refusal=outcome.refusal,
        faults=outcome.faults,
    )
    return shown, outcome.status


def _new(typed: Mapping[str, str], outcome: Outcome) -> Answer:
    """``typed``: a form, or the URL's beginning of one."""
    visit = this_visit()
    accounts = whole(list_service_accounts)
    is_admin = visit.role == "administrator"
    shown = page(
        "delegations/new.html",
        typed=typed,
        ticked=typed.getlist("scopes") if hasattr(typed, "getlist") else [],
        accounts=[each["name"] for each in accounts if each["composite"] and each["active"]],
        users=suggested(list_users, "login") if is_admin else [],
        projects=suggested(list_projects, "path"),
        permissions={name: MEANINGS[name] for name in PERMISSIONS},
        reaches=_REACHES,
        lives=lifetimes.CHOICES,
        refusal=outcome.refusal,
        faults=by_field(outcome),
    )
    return shown, outcome.status

"""Users: who there is, and everything that is theirs."""

from collections.abc import Mapping
from typing import Any

from flask import request

from app.operations.audit_events import list_audit_events
from app.operations.delegations import list_delegations
from app.operations.memberships import list_user_memberships
from app.operations.sign_in_links import issue_sign_in_link
from app.operations.tokens import list_tokens
from app.operations.users import get_user, list_users, put_user, put_user_active
from app.web import kill_switch, lifetimes
from app.web.console import Answer, act, console, go, make_once, page, say, whole
from app.web.name_search import searched
from app.web.visit import ABSENT, Outcome, this_visit

_NOTHING_TYPED: Mapping[str, str] = {}
_ROLES = (
    ("member", "member: what is theirs, and what their projects give them"),
    ("auditor", "auditor: reads everything and changes nothing but what is theirs"),
    ("administrator", "administrator: may do everything here"),
)


@console.get("/users")
def users() -> Answer:
    return page("users/index.html", **searched(list_users, "user"))


@console.get("/users/-/new")
def users_new() -> Answer:
    return _form("users/new.html", _NOTHING_TYPED, Outcome())


@console.post("/users/-/new")
def users_create() -> Answer:
    form = request.form
    login = form.get("login", "").strip()
    if not login or this_visit().attempt(get_user, login=login).refusal is None:
        refusal = "Is taken: choose another login." if login else "Write a login."
        return _form("users/new.html", form, Outcome(None, refusal, {"login": refusal}, 422))
    done = this_visit().attempt(put_user, body=_body(form), login=login, etag=ABSENT)
    if done.refusal is not None:
        return _form("users/new.html", form, done)
    if form.get("link") != "true":
        say(f"{login} can be given roles now.")
        return go("console.users_show", login=login)
    return _link(login, is_new=True)


@console.get("/users/<login>")
def users_show(login: str) -> Answer:
    return _show(login, Outcome())


@console.get("/users/<login>/change")
def users_change(login: str) -> Answer:
    return _change(login, Outcome())


@console.post("/users/<login>/change")
def users_change_save(login: str) -> Answer:
    visit, form = this_visit(), request.form
    visit.ask(get_user, login=login)  # a PUT would create
    done = visit.attempt(put_user, body=_body(form), login=login, etag=form.get("etag", ABSENT))
    if done.is_stale:
        return _change(login, done)
    if done.refusal is not None:
        return _form("users/change.html", form, done, login=login)
    say(f"{login} is changed.")
    return go("console.users_show", login=login)


@console.post("/users/<login>/active")
def users_active(login: str) -> Answer:
    active = request.form.get("active") == "true"
    said = f"{login} is enabled." if active else f"{login} is disabled, and signed out everywhere."
    act(put_user_active, said=said, body={"active": active}, login=login)
    return go("console.users_show", login=login)


@console.post("/users/<login>/sign-in-link")
def users_link(login: str) -> Answer:
    """Answers with the link itself: it is shown now or never."""
    return _link(login, is_new=False)


@console.get("/users/<login>/kill")
def users_kill_form(login: str) -> Answer:
    return _kill_form(login, Outcome())


@console.post("/users/<login>/kill")
def users_kill(login: str) -> Answer:
    done = kill_switch.pull(login, user=login)
    return go("console.users_show", login=login) if done.refusal is None else _kill_form(login, done)


def _show(login: str, outcome: Outcome) -> Answer:
    visit = this_visit()
    user = visit.ask(get_user, login=login)
    tokens = whole(list_tokens, login=login)
    shown = page(
        "users/show.html",
        user=user,
        impact=kill_switch.impact(user=login),
        memberships=whole(list_user_memberships, login=login),
        delegations=visit.ask(list_delegations, query={"user": login, "live": "true"}),
        tokens=[each | {"state": _state(each)} for each in tokens if _state(each) in {"live", "expiring"}],
        events=visit.ask(list_audit_events, query={"user": login, "limit": "10"}),
    )
    return shown, outcome.status


def _state(token: Mapping[str, Any]) -> str:
    return lifetimes.state(token["expires_at"], token["revoked_at"], this_visit().now)


def _link(login: str, *, is_new: bool) -> Answer:
    issued = make_once(issue_sign_in_link, login=login)
    if issued.refusal is not None:
        say(issued.refusal, "bad")
        return go("console.users_show", login=login)
    return page("users/link.html", login=login, link=issued.answer, is_new=is_new)


def _kill_form(login: str, outcome: Outcome) -> Answer:
    user = this_visit().ask(get_user, login=login)
    shown = page(
        "users/kill.html",
        user=user,
        impact=kill_switch.what_dies(user=login),
        reason=request.form.get("reason", ""),
        refusal=outcome.refusal,
        faults=outcome.faults,
    )
    return shown, outcome.status


def _change(login: str, outcome: Outcome) -> Answer:
    """As they are now."""
    visit = this_visit()
    user = visit.ask(get_user, login=login)
    role = "administrator" if user["admin"] else "auditor" if user["auditor"] else "member"
    present = {"email": user["email"], "role": role, "etag": visit.etag(user)}
    return _form("users/change.html", present, outcome, login=login)


def _form(template: str, typed: Mapping[str, str], outcome: Outcome, **values: Any) -> Answer:
    shown = page(
        template, typed=typed, roles=_ROLES, refusal=outcome.refusal, faults=outcome.faults, **values
    )
    return shown, outcome.status


def _body(form: Mapping[str, str]) -> dict[str, Any]:
    return {
        "email": form.get("email", "").strip(),
        "admin": form.get("role") == "administrator",
        "auditor": form.get("role") == "auditor",
    }

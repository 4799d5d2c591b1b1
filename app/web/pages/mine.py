"""Sessions, personal access tokens and the password of whoever looks."""

from collections.abc import Mapping
from typing import Any

from flask import request
from werkzeug.wrappers import Response as BaseResponse

from app.identity.credentials import LONGEST_NAME
from app.identity.password_rules import LONGEST, SHORTEST
from app.operations.passwords import get_password, set_password
from app.operations.sessions import end_other_sessions, end_session, list_sessions
from app.operations.tokens import create_token, list_tokens, revoke_token
from app.web import lifetimes
from app.web.agents import named
from app.web.console import Answer, act, by_field, console, counted, go, make_once, page, say, whole
from app.web.scopes import MEANINGS
from app.web.visit import Outcome, this_visit

_LIVES = (*(each for each in lifetimes.CHOICES if each[0].isdecimal()), lifetimes.FOR_EVER)
_LIVING = frozenset({"live", "expiring"})


@console.get("/mine")
def mine() -> Answer:
    visit = this_visit()
    sessions = whole(list_sessions, login=visit.login)
    tokens = [_judged(each) for each in reversed(whole(list_tokens, login=visit.login))]
    return page(
        "mine/index.html",
        sessions=[each | {"browser": named(each["agent"])} for each in _this_one_first(sessions)],
        living=[each for each in tokens if each["state"] in _LIVING],
        ended=[each for each in tokens if each["state"] not in _LIVING],
        password=visit.ask(get_password, login=visit.login),
    )


@console.post("/mine/sessions/<int:number>/end")
def mine_end_session(number: int) -> Answer:
    act(end_session, said="That session has ended.", login=this_visit().login, id=number)
    return go("console.mine")


@console.post("/mine/sessions/end-others")
def mine_end_other_sessions() -> Answer:
    act(end_other_sessions, said="You are signed in here alone now.", login=this_visit().login)
    return go("console.mine")


@console.get("/mine/tokens/new")
def mine_new_token() -> Answer:
    return _token_form({}, Outcome())


@console.post("/mine/tokens")
def mine_create_token() -> Answer:
    """Answers with the token itself: it is shown now or never."""
    visit, form = this_visit(), request.form
    body: dict[str, Any] = {"name": form.get("name", "").strip() or None, "scopes": form.getlist("scopes")}
    if until := lifetimes.chosen(form, visit.now):
        body["expires_at"] = until
    made = make_once(create_token, body=body, login=visit.login)
    if made.refusal is not None:
        return _token_form(form, made)
    return page("mine/token.html", token=made.answer)


@console.post("/mine/tokens/<int:number>/revoke")
def mine_revoke_token(number: int) -> Answer:
    act(revoke_token, said=f"Token {number} is revoked.", login=this_visit().login, id=number)
    return go("console.mine")


@console.get("/mine/password")
def mine_password() -> Answer:
    return _password_form(Outcome())


@console.post("/mine/password")
def mine_set_password() -> Answer:
    visit, form = this_visit(), request.form
    new = form.get("password", "")
    if new != form.get("again", ""):
        refusal = "The two are not the same: type the new password twice."
        return _password_form(Outcome(None, refusal, {"again": refusal}, 422))
    body = {"password": new, "present": form.get("present") or None}
    done = visit.attempt(set_password, body=body, login=visit.login)
    if done.refusal is not None:
        return _password_form(done)
    ended = len(done.answer["sessions_ended"])
    say(f"Your password is set. {counted(ended, 'other session')} ended.")
    return go("console.mine")


def _token_form(form: Mapping[str, str], outcome: Outcome) -> tuple[str, int] | BaseResponse:
    scopes = form.getlist("scopes") if hasattr(form, "getlist") else ["api"]
    shown = page(
        "mine/new_token.html",
        scopes=MEANINGS,
        chosen=scopes,
        choices=_LIVES,
        lives=form.get("lives", "30"),
        name=form.get("name", ""),
        longest=LONGEST_NAME,
        refusal=outcome.refusal,
        faults=_sentences(outcome),
    )
    return shown, outcome.status


def _password_form(outcome: Outcome) -> tuple[str, int]:
    """Never with what was typed."""
    visit = this_visit()
    shown = page(
        "mine/password.html",
        has_one=visit.ask(get_password, login=visit.login)["set"],
        shortest=SHORTEST,
        longest=LONGEST,
        refusal=outcome.refusal,
        faults=_sentences(outcome),
    )
    return shown, outcome.status


def _sentences(outcome: Outcome) -> dict[str, str]:
    return {name: fix[:1].upper() + fix[1:] for name, fix in by_field(outcome).items()}


def _this_one_first(sessions: list[Any]) -> list[Any]:
    by_use = sorted(sessions, key=lambda each: str(each["last_seen_at"]), reverse=True)
    return sorted(by_use, key=lambda each: not each["current"])


def _judged(token: Mapping[str, Any]) -> dict[str, Any]:
    state = lifetimes.state(token["expires_at"], token["revoked_at"], this_visit().now)
    return {**token, "state": state}

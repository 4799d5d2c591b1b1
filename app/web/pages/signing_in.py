"""Signing in, with a password or a one-time link, and out."""

from http import HTTPStatus
from urllib.parse import urlsplit

from flask import Response, current_app, g, get_flashed_messages, redirect, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from app.errors import Denied
from app.identity import session_ends, sessions, sign_in_links
from app.identity.guesses import TooManyGuesses
from app.identity.sessions import Begun, Browser, Holder, Method
from app.ledger.record import Actor
from app.protocol.principals import user_principal
from app.secret import Secret
from app.web.console import Answer, console, go, page, say
from app.web.cookies import SessionCookie
from app.web.visit import this_visit
from app.wiring import Components

_DEAD_LINK = "This link is no good any more: it works once, for 15 minutes, and only the newest one."


@console.get("/sign-in")
def sign_in() -> Answer:
    """Also for whoever is signed in, and has to show again that it is them."""
    return _form()


@console.post("/sign-in")
def sign_in_by_password() -> Answer:
    login, password = request.form.get("login", ""), Secret(request.form.get("password", ""))
    try:
        begun = _components().password_sign_in.sign_in(login, password, _browser(), _present())
    except TooManyGuesses as refusal:
        answer = _form(str(refusal), 429)
        response = Response(*answer)
        response.headers["Retry-After"] = str(refusal.seconds)
        return response
    except Denied as refusal:
        return _form(str(refusal), 403)
    return _admit(begun)


@console.post("/sign-in/link")
def sign_in_by_link() -> Answer:
    """The secret comes from the fragment, by a script: no log on the way holds it."""
    parts, browser = _components(), _browser()
    now = parts.clock()
    begun = None
    with parts.database.writing() as session:
        text = request.form.get("secret", "")
        secret = Secret(text if text.isascii() else "")  # ours are
        user = sign_in_links.redeem(session, secret, now, request_id=g.request_id)
        if user is not None:
            begun = sessions.sign_in(
                session,
                user,
                method=Method.LINK,
                browser=browser,
                now=now,
                limits=parts.session_limits,
                present=_present(),
            )
    return _form(_DEAD_LINK, 403) if begun is None else _admit(begun)


@console.post("/sign-out")
def sign_out() -> Answer:
    visit = this_visit()
    holder, parts = visit.holder, visit.components
    by = Actor(name=user_principal(holder.user_id), request_id=visit.request_id)
    with parts.database.writing() as session:
        session_ends.sign_out(session, holder.user_id, holder.session_id, by=by, now=visit.now)
    response = go("console.sign_in")
    _cookie().take(response)
    say("You are signed out.", "info")
    return response


def _form(refusal: str = "", status: int = 200) -> tuple[str, int]:
    again = request.values.get("again") == "1" and g.visit is not None
    where = local(request.values.get("next", ""))
    shown = page(
        "signing_in/sign_in.html",
        visit=None,  # the door has no navigation, whoever stands before it
        refusal=refusal,
        next=where,
        again=again,
        ended=not refusal and request.args.get("ended") == "1",
        login=g.visit.login if again else request.form.get("login", ""),
        is_told=status == HTTPStatus.FORBIDDEN,
        present=g.visit.login if g.visit else "",
    )
    return shown, status


def _admit(begun: Begun) -> BaseResponse:
    get_flashed_messages()  # taken away: they were for whoever was here before
    where = local(request.form.get("next", "")) or url_for("console.overview")
    response = redirect(where, 303)
    _cookie().give(response, begun.secret)
    return response


def local(where: str) -> str:
    """A page of the console, or nothing: a sign-in is no way to send somebody elsewhere (CWE-601)."""
    inside = url_for("console.overview")
    if not where.startswith(inside):
        where = request.script_root + where  # a page knows its path below the issuer's
    parts = urlsplit(where)
    is_inside = where.startswith(inside) and "//" not in parts.path
    is_plain = not parts.scheme and not parts.netloc and "\\" not in where and where.isprintable()
    return where if is_inside and is_plain else ""


def _present() -> Holder | None:
    return g.visit.holder if g.visit else None


def _browser() -> Browser:
    agent = request.headers.get("User-Agent", "")
    return Browser(agent=agent, address=g.address, request_id=g.request_id)


def _components() -> Components:
    components: Components = current_app.extensions["countersign"]
    return components


def _cookie() -> SessionCookie:
    cookie: SessionCookie = current_app.extensions["session_cookie"]
    return cookie

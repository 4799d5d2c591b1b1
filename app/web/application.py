"""The console as an application of its own, which a web worker loads when the first browser comes."""

import gzip
import logging
from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import urlsplit, urlunsplit

from flask import (
    Flask,
    Response,
    current_app,
    g,
    get_flashed_messages,
    redirect,
    render_template,
    request,
    url_for,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as BaseResponse

from app.identity import sessions
from app.signing.keystores import KeystoreError
from app.web import assets, pages
from app.web.console import console, is_fragment
from app.web.content_security_policy import HEADER, content_security_policy, new_nonce
from app.web.cookies import SessionCookie
from app.web.forgery import is_forged, is_from_here
from app.web.navigation import navigation
from app.web.pages.signing_in import local
from app.web.step_up import SignInAgain
from app.web.twins import command
from app.web.visit import REFUSALS, SignedOut, Visit, refused
from app.wiring import Components

_log = logging.getLogger(__name__)
OPEN = frozenset({"console.sign_in", "console.sign_in_by_password", "console.sign_in_by_link"})
"""Pages for whoever is not signed in; ``static`` files are an application's part of their own."""
UNATTENDED = frozenset(
    {"console.runs_state", "console.runs_log", "console.keys_conditions", "console.delegations_running"}
)
"""What pages ask for by themselves, which keeps no session alive: a tab is nobody's presence (ASVS 7.3.1)."""
_QUICKLY = 5
_LARGEST_FORM = 2 * 1024 * 1024


def create(components: Components, frame: Callable[[Flask], None]) -> Flask:
    """``frame``: what every request meets first and last, here as elsewhere."""
    settings = components.settings
    app = Flask("app.web", template_folder="templates", static_folder=None)
    app.config.update(
        SECRET_KEY=components.secret_key.reveal(),
        MAX_CONTENT_LENGTH=_LARGEST_FORM,
        MAX_FORM_MEMORY_SIZE=_LARGEST_FORM,
        MAX_FORM_PARTS=200,
        SESSION_COOKIE_NAME="__Host-countersign-said" if settings.production else "countersign-said",
        SESSION_COOKIE_PATH="/",
        SESSION_COOKIE_SECURE=settings.production,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
    )
    app.extensions["countersign"] = components
    frame(app)
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
    app.add_template_global(command)
    pages.load()
    app.register_blueprint(assets.blueprint(assets.Assets()))
    app.register_blueprint(console)
    _sign_in_first(app, components, SessionCookie(secure=settings.production))
    _answer_refusals(app)
    _dress(app)
    return app


def _sign_in_first(app: Flask, components: Components, cookie: SessionCookie) -> None:
    app.extensions["session_cookie"] = cookie

    @app.before_request
    def know_the_visitor() -> BaseResponse | None:
        g.nonce, g.visit = new_nonce(), None
        if request.blueprint == "assets":
            return None
        g.visit = visit = _visit(components, cookie)
        is_open = request.endpoint in OPEN
        if is_forged(components.settings.issuer, visit.secret if visit and not is_open else None):
            return _forged(components.settings.issuer)
        if visit is None and not is_open:
            raise SignedOut
        return None


def _visit(components: Components, cookie: SessionCookie) -> Visit | None:
    secret = cookie.read()
    if secret is None:
        return None
    now = components.clock()
    with components.database.reading_connection() as connection:
        holder = sessions.authenticate(connection, secret, now, components.session_limits)
    if holder is None:
        return None
    if holder.use_is_due and request.endpoint not in UNATTENDED:
        with components.database.writing_connection() as connection:
            sessions.touch(connection, holder.session_id, now)
    return Visit(components, holder, secret, g.request_id)


def _forged(issuer: str) -> BaseResponse:
    fix = "Go back, reload the page, and send it again."
    if is_from_here(issuer):
        return _page(403, "That form is too old", "It is older than your sign-in: nothing was changed.", fix)
    return _page(403, "That form was not sent from here", "The request came from another site.", fix)


def _answer_refusals(app: Flask) -> None:
    @app.errorhandler(SignedOut)
    def signed_out(_: SignedOut) -> BaseResponse:
        return _to_sign_in(again=False)

    @app.errorhandler(SignInAgain)
    def again(_: SignInAgain) -> BaseResponse:
        return _to_sign_in(again=True)

    for kind in REFUSALS:
        app.register_error_handler(kind, _refusal)

    @app.errorhandler(HTTPException)
    def known(error: HTTPException) -> BaseResponse:
        cause = (
            "There is no such page."
            if error.code == HTTPStatus.NOT_FOUND
            else error.description or error.name
        )
        return _page(error.code or 500, error.name, cause, "Go to the overview, and from there on.")

    @app.errorhandler(DBAPIError)
    @app.errorhandler(PoolTimeout)
    def unavailable(error: Exception) -> BaseResponse:
        _log.error("%s database: %s", g.request_id, type(error).__name__)
        return _page(
            503, "The database does not answer", "Nothing was changed.", "Try again in a few seconds.", "log"
        )

    @app.errorhandler(KeystoreError)
    def keyless(error: KeystoreError) -> BaseResponse:
        _log.error("%s %s", g.request_id, error)
        fix = "An operator finds the reason in the log, and with countersign doctor."
        return _page(503, "The signing keys cannot be had", "The keystore refuses or is away.", fix, "log")

    @app.errorhandler(Exception)
    def unknown(error: Exception) -> BaseResponse:
        _log.error("%s %s %s", g.request_id, request.method, request.path, exc_info=error)
        cause = "This is a fault of the software, not of what you did."
        fix = "Tell an operator the request id: it finds the cause."
        return _page(500, "Something broke", cause, fix, "log")


_TITLES = {
    403: "This is not for you",
    404: "Nothing here",
    409: "It cannot be done as it is",
    412: "It is not as it was",
}
_FIXES = {
    403: "Ask an administrator: they can see in the ledger what was refused, and give you the right to it.",
    404: "Look for it from the overview: it may be gone, or not yours to see.",
    409: "Go back, reload the page to see how things stand now, and decide anew.",
    412: "Go back, reload the page to see how things stand now, and decide anew.",
    422: "Go back and change what is named here, or begin anew from the overview.",
}


def _refusal(error: Exception) -> BaseResponse:
    outcome = refused(error)
    status, title = outcome.status, _TITLES.get(outcome.status, "It was refused")
    trace = "ledger" if status == HTTPStatus.FORBIDDEN else ""
    return _page(status, title, outcome.refusal or "", _FIXES.get(status, ""), trace)


def _to_sign_in(*, again: bool) -> BaseResponse:
    """Back to the page that was asked for, or to that of the form; never to what changes something."""
    is_form = request.method != "GET"
    wanted = (request.form.get("next") or _form_page()) if is_form else _asked_page()
    ended = "1" if is_form else None
    where = url_for("console.sign_in", next=wanted or None, again="1" if again else None, ended=ended)
    if is_fragment():
        return Response(status=401, headers={"HX-Redirect": where})
    return redirect(where, 303)


def _asked_page() -> str:
    """Of a fragment, the page that it would have been a part of."""
    if not is_fragment():
        return request.full_path.rstrip("?")
    parts = urlsplit(request.headers.get("HX-Current-URL", ""))
    return urlunsplit(("", "", parts.path, parts.query, ""))


def _form_page() -> str:
    """Where the form stood: a page of ours, or nothing."""
    parts = urlsplit(request.referrer or "")
    issuer = urlsplit(current_app.extensions["countersign"].settings.issuer)  # TLS may end before us
    is_ours = (parts.scheme, parts.netloc) == (issuer.scheme, issuer.netloc)
    return local(urlunsplit(("", "", parts.path, parts.query, ""))) if is_ours else ""


def _page(status: int, title: str, cause: str, fix: str = "", trace: str = "") -> BaseResponse:
    """``trace``: where the request id is found, ``ledger`` or ``log``."""
    told = {"title": title, "cause": cause, "fix": fix, "trace": trace}
    return Response(render_template("error.html", status=status, **told), status)


def _message(kind: str, text: str) -> dict[str, str]:
    tone, _, request_id = kind.partition(" ")
    return {"kind": tone, "text": text, "request_id": request_id}


def _dress(app: Flask) -> None:
    @app.context_processor
    def for_every_template() -> dict[str, object]:
        visit = g.get("visit")
        said = [] if is_fragment() else get_flashed_messages(with_categories=True)
        return {
            "visit": visit,
            "navigation": navigation(visit) if visit else [],
            "messages": [_message(*each) for each in said],
            "nonce": g.nonce,
            "request_id": g.request_id,
        }

    @app.after_request
    def compress(response: Response) -> Response:
        """Pages that are read: what shows a secret once answers a POST, and stays as it is (BREACH)."""
        if request.method == "GET" and response.mimetype == "text/html":
            response.vary.add("Accept-Encoding")
            if request.accept_encodings.quality("gzip") > 0:
                response.data = gzip.compress(response.data, _QUICKLY, mtime=0)
                response.content_encoding = "gzip"
        return response

    @app.after_request
    def add_policy(response: Response) -> Response:
        if request.blueprint != "assets" or response.mimetype == "text/html":
            response.headers[HEADER] = content_security_policy(g.nonce)
            # with no-referrer a form of ours would come with "Origin: null", which is anybody's
            response.headers["Referrer-Policy"] = "same-origin"
        return response

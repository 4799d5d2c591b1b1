"""create_app: what a request meets, from the outside in."""

import ctypes
import logging
import multiprocessing
import os
import re
import secrets
import signal
from collections.abc import Callable, Iterable
from functools import cache
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import Flask, Response, g, redirect, request
from sqlalchemy.exc import SQLAlchemyError

from app import log
from app.clock import Clock, system_clock
from app.db import IN_A_REQUEST
from app.endpoints import authzen, health, oauth, problems
from app.endpoints.api.blueprint import blueprint as api
from app.endpoints.well_known import WellKnown
from app.errors import Refusal
from app.settings import Settings
from app.wiring import Components

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_log = logging.getLogger(__name__)
_LARGEST_BODY = 1024 * 1024
_LARGEST_FORM = 64 * 1024
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}", re.ASCII)
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def create_app(settings: Settings, clock: Clock = system_clock) -> Flask:
    components = Components(settings, clock, IN_A_REQUEST)
    app = Flask(__name__, static_folder=None)
    app.config.update(
        SECRET_KEY=components.secret_key.reveal(),
        MAX_CONTENT_LENGTH=_LARGEST_BODY,
        MAX_FORM_MEMORY_SIZE=_LARGEST_FORM,
        MAX_FORM_PARTS=100,
    )
    _name_requests(app, settings)
    _add_headers(app, settings)
    health.count_requests(app)
    problems.register(app)
    app.register_blueprint(oauth.blueprint(components))
    app.register_blueprint(authzen.blueprint(components))
    app.register_blueprint(api(components))
    app.register_blueprint(health.blueprint(components))
    path = urlsplit(settings.issuer).path
    app.add_url_rule("/", "home", lambda: redirect(f"{path}/console/", 303))
    browsers = _Console(app.wsgi_app, lambda: _console(settings, components))
    inner = _UnderIssuerPath(browsers, path)
    count = _fetch_counter(settings, components)
    well_known = WellKnown(inner, settings.issuer, components.keyring, settings.jwks_max_age, count)
    app.wsgi_app = well_known  # type: ignore[method-assign]
    app.extensions["countersign"] = components
    return app


def _console(settings: Settings, components: Components) -> Flask:
    from app.web import application

    def frame(app: Flask) -> None:
        _name_requests(app, settings)
        _add_headers(app, settings)
        health.count_requests(app)

    return application.create(components, frame)


def from_environment() -> Flask:
    """What the web workers load; the keys are in memory before the first request.

    Without its database it starts all the same, answers 503, and recovers when that does.
    """
    _die_with_parent()
    settings = Settings.from_env()
    log.configure(settings.log_level)
    app = create_app(settings)
    try:
        app.extensions["countersign"].keyring.current()
    except (Refusal, SQLAlchemyError) as error:
        _log.error("no signing keys: %s", error if isinstance(error, Refusal) else type(error).__name__)
    app.extensions["countersign"].follow_keys()
    return app


def _die_with_parent() -> None:
    """Granian's main process, killed, would leave workers on the port that nobody stops or replaces.

    By SIGKILL, for nobody is left who would insist (prctl(2), PR_SET_PDEATHSIG).
    """
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    parent = multiprocessing.parent_process()
    if parent is not None and os.getppid() != parent.pid:
        raise SystemExit("granian's main process is gone")  # it died before it could be promised to


class _UnderIssuerPath:
    """Takes the issuer's path off, whether or not the proxy in front did."""

    def __init__(self, inner: "WSGIApplication", path: str) -> None:
        self._inner = inner
        self._path = path

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if self._path and path.startswith(self._path + "/"):
            environ["PATH_INFO"] = path.removeprefix(self._path)
        environ["SCRIPT_NAME"] = self._path
        return self._inner(environ, start_response)


class _Console:
    """Hands browsers over to the console, which is loaded when the first one comes."""

    def __init__(self, inner: "WSGIApplication", make: Callable[[], Flask]) -> None:
        self._inner = inner
        self._make = cache(make)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/console" or path.startswith("/console/"):
            return self._make()(environ, start_response)
        return self._inner(environ, start_response)


def _name_requests(app: Flask, settings: Settings) -> None:
    @app.before_request
    def name_request() -> None:
        given = request.headers.get("X-Request-Id", "")
        trusted = _is_proxy(settings, request.remote_addr) and _REQUEST_ID.fullmatch(given)
        g.request_id = given if trusted else secrets.token_hex(8)
        g.address = _address(settings, request.environ)


def _is_proxy(settings: Settings, address: str | None) -> bool:
    try:
        return any(ip_address(address or "") in network for network in settings.trusted_proxies)
    except ValueError:
        return False


def _fetch_counter(settings: Settings, components: Components) -> Callable[[str, "WSGIEnvironment"], None]:
    def count(newest: str, environ: "WSGIEnvironment") -> None:
        if environ.get("HTTP_SEC_FETCH_SITE") == "same-origin":
            return  # the console's token inspector, which is no verifier
        address = _address(settings, environ)
        components.fetches.note(newest, environ.get("HTTP_USER_AGENT", ""), address)

    return count


def _address(settings: Settings, environ: "WSGIEnvironment") -> str:
    """Of whoever asks: behind a trusted proxy, the address that it names last (the one it saw itself)."""
    address = str(environ.get("REMOTE_ADDR", ""))
    forwarded = environ.get("HTTP_X_FORWARDED_FOR", "")
    if forwarded and _is_proxy(settings, address):
        return str(forwarded.rpartition(",")[2].strip())
    return address


def _add_headers(app: Flask, settings: Settings) -> None:
    headers = dict(_HEADERS)
    if settings.production:
        headers["Strict-Transport-Security"] = "max-age=63072000"

    @app.after_request
    def add_headers(response: Response) -> Response:
        response.headers.setdefault("X-Request-Id", g.request_id)
        for name, value in headers.items():
            response.headers.setdefault(name, value)
        return response

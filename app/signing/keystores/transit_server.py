"""The Vault or OpenBao behind the ``transit`` keystore: logged in when need be, and never waited for long."""

import json
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import hvac
import requests
from hvac.adapters import RawAdapter

from app.errors import Refusal
from app.forks import renewed_in_children
from app.secret import Secret
from app.signing.keystores.base import KeystoreError
from app.signing.keystores.transit_login import Login

Connect = Callable[[str], requests.Session]
"""A session for a URL; its time and its answers' size are bounded, and a ``Refusal`` says what went wrong."""
Question = Callable[[hvac.Client], requests.Response]

_FORBIDDEN, _NOT_FOUND = 403, 404
_BREATH = 2.0
"""Seconds in which a server that did not answer is not asked again: each question holds up a web worker."""
_LATER = 10.0
"""Seconds until a renewal that failed is tried again, while the token still lives."""
_QUOTED = 200


@dataclass(frozen=True)
class _Token:
    """``renew_at`` and ``expires_at`` are seconds of the monotonic clock."""

    value: Secret
    renew_at: float
    expires_at: float


class TransitServer:
    def __init__(
        self,
        url: str,
        login: Login,
        connect: Connect,
        *,
        namespace: str | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.url = url
        self._login = login
        self._connect = connect
        self._namespace = namespace
        self._monotonic = monotonic
        renewed_in_children(self, TransitServer._unlock)
        self._unlock()
        self._token: _Token | None = None
        self._closed_until = -math.inf

    def _unlock(self) -> None:
        self._lock = threading.Lock()

    def ask(self, step: str, question: Question) -> Mapping[str, Any] | None:
        """The answer's ``data``, ``None`` if there is no such thing there; ``step`` completes "cannot …".

        A token that is refused may have been revoked, or replaced in its file: one new login is tried.
        """
        token = self._usable_token()
        response = self._put(step, token, question)
        if response.status_code == _FORBIDDEN:
            token = self._usable_token(refused=token)
            response = self._put(step, token, question)
        if response.status_code == _NOT_FOUND and not _words(response):
            return None
        if not response.ok:
            raise self._fault(step, _said(response, token))
        data = _object(response).get("data")
        return data if isinstance(data, Mapping) else {}

    def _usable_token(self, refused: Secret | None = None) -> Secret:
        with self._lock:
            now, token = self._monotonic(), self._token
            if token is None or token.value == refused or now >= token.expires_at:
                token = self._logged_in()
            elif now >= token.renew_at:
                token = self._renewed(token, now)
            self._token = token
            return token.value

    def _renewed(self, token: _Token, now: float) -> _Token:
        try:
            return self._logged_in()
        except KeystoreError:
            return _Token(token.value, now + _LATER, token.expires_at)

    def _logged_in(self) -> _Token:
        step, secret, now = "log in", self._secret(), self._monotonic()
        response = self._put(step, secret, lambda client: self._login.present(client, secret), anonymous=True)
        if not response.ok:
            if self._login.serves(response):
                return _Token(secret, math.inf, math.inf)
            raise self._fault(step, _said(response, secret))
        auth = _object(response).get("auth")
        token, life = (auth.get("client_token"), auth.get("lease_duration")) if auth else (None, None)
        if not isinstance(token, str) or not isinstance(life, int):
            raise self._fault(step, "its answer has no token")
        return _Token(Secret(token), now + (life / 2 or math.inf), now + (life or math.inf))

    def _secret(self) -> Secret:
        try:
            return self._login.secret()
        except ValueError as error:
            raise self._fault("log in", f"its credential {error}") from None

    def _put(
        self, step: str, secret: Secret, question: Question, *, anonymous: bool = False
    ) -> requests.Response:
        """The answer, whatever it says, unless the server itself is not well. ``secret`` is never quoted; it
        is the token, unless the question is ``anonymous``.
        """
        if self._monotonic() < self._closed_until:
            raise self._fault(step, "it did not answer a moment ago, and is asked again in seconds")
        try:
            response = question(self._client(Secret("") if anonymous else secret))
            why = _said(response, secret) if response.status_code >= 500 else None  # noqa: PLR2004 - RFC 9110 §15.6
        except (Refusal, requests.RequestException) as fault:
            why = str(fault) if isinstance(fault, Refusal) else "the connection failed"
        if why is not None:
            self._closed_until = self._monotonic() + _BREATH
            raise self._fault(step, why)
        return response

    def _client(self, token: Secret) -> hvac.Client:
        """For paths and headers: whatever hvac would take from the environment is given here instead."""
        return hvac.Client(
            url=self.url,
            token=token.reveal(),
            verify=True,
            timeout=None,
            allow_redirects=False,
            session=self._session(),
            adapter=RawAdapter,
            namespace=self._namespace,
            ignore_exceptions=True,
        )

    def _session(self) -> requests.Session:
        try:
            return self._connect(self.url)
        except OSError as error:
            why = (
                f"COUNTERSIGN_TRANSIT_CA_FILE is no readable PEM file of certificates: {type(error).__name__}"
            )
            raise KeystoreError(why) from None

    def _fault(self, step: str, why: str) -> KeystoreError:
        return KeystoreError(f"transit keystore: cannot {step} at {self.url}: {why}")


def _object(response: requests.Response) -> Mapping[str, Any]:
    try:
        found = json.loads(response.content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, Mapping) else {}


def _said(response: requests.Response, secret: Secret) -> str:
    """Its status and its own words, if they can be shown: some echo the request, as it is or in JSON."""
    text, value = _words(response), secret.reveal()
    hidden = value in text or json.dumps(value)[1:-1] in text
    shown = " ".join("".join(c if c.isprintable() else " " for c in text).split())[:_QUOTED]
    return f"it answers {response.status_code}" + (f" ({shown})" if shown and not hidden else "")


def _words(response: requests.Response) -> str:
    errors = _object(response).get("errors")
    return "; ".join(each for each in errors if isinstance(each, str)) if isinstance(errors, list) else ""

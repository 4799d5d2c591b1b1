"""Discovery and JWKS, answered from memory in front of everything else: no database, no framework.

Anonymous, never redirected, never limited, with a strong ``ETag`` (VERIFIERS.md 2 to 6; RFC 9110 §8.8.3).
"""

import hashlib
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import orjson
from sqlalchemy.exc import SQLAlchemyError

from app.errors import Refusal
from app.identity.permissions import SCOPES
from app.operations.problem import RETRY_AFTER
from app.protocol.metadata import JWKS, OAUTH_AUTHORIZATION_SERVER, OPENID_CONFIGURATION, provider_metadata
from app.signing.keyring import Keyring, KeySnapshot

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Document:
    body: bytes
    etag: str


class WellKnown:
    def __init__(
        self,
        inner: "WSGIApplication",
        issuer: str,
        keyring: Keyring,
        max_age: timedelta,
        count: Callable[[str, "WSGIEnvironment"], None],
    ) -> None:
        """``count`` is told of each fetch of the JWKS, with the ``kid`` of its newest key."""
        self._inner = inner
        self._issuer = issuer
        self._keyring = keyring
        self._count = count
        self._cache_control = f"public, max-age={int(max_age.total_seconds())}"
        path = urlsplit(issuer).path
        self._metadata_paths = {
            prefix + name + suffix
            for name in (OPENID_CONFIGURATION, OAUTH_AUTHORIZATION_SERVER)
            for prefix, suffix in {(path, ""), ("", path), ("", "")}
        }
        self._jwks_paths = {JWKS, path + JWKS}
        self._seen: KeySnapshot | None = None
        self._documents: dict[str, _Document] = {}

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path not in self._metadata_paths and path not in self._jwks_paths:
            return self._inner(environ, start_response)
        if environ["REQUEST_METHOD"] not in {"GET", "HEAD"}:
            start_response("405 Method Not Allowed", [("Allow", "GET, HEAD"), ("Content-Length", "0")])
            return []
        try:
            document = self._document(path)
        except (Refusal, SQLAlchemyError) as error:
            return _unavailable(error, start_response)
        if path in self._jwks_paths and self._seen is not None:
            self._count(self._seen.newest, environ)
        return self._answer(document, environ, start_response)

    def _document(self, path: str) -> _Document:
        snapshot = self._keyring.current()
        if snapshot is not self._seen:
            self._documents = self._written(snapshot)
            self._seen = snapshot
        return self._documents["jwks" if path in self._jwks_paths else "metadata"]

    def _written(self, snapshot: KeySnapshot) -> dict[str, _Document]:
        algorithms = {key["alg"] for key in snapshot.public_jwks}
        return {
            "jwks": _document({"keys": snapshot.public_jwks}),
            "metadata": _document(provider_metadata(self._issuer, algorithms, SCOPES)),
        }

    def _answer(
        self, document: _Document, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        headers = [
            ("ETag", document.etag),
            ("Cache-Control", self._cache_control),
            ("Access-Control-Allow-Origin", "*"),  # public documents; verifiers run in browsers too
            ("X-Content-Type-Options", "nosniff"),
        ]
        if _matches(environ.get("HTTP_IF_NONE_MATCH", ""), document.etag):
            start_response("304 Not Modified", headers)
            return []
        length = str(len(document.body))
        start_response("200 OK", [*headers, ("Content-Type", "application/json"), ("Content-Length", length)])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [document.body]


def _unavailable(error: Exception, start_response: "StartResponse") -> Iterable[bytes]:
    """The keys were never read yet, and cannot be now; once read, they need nobody."""
    _log.error("no signing keys: %s", error if isinstance(error, Refusal) else type(error).__name__)
    headers = [("Retry-After", RETRY_AFTER), ("Cache-Control", "no-store"), ("Content-Length", "0")]
    start_response("503 Service Unavailable", headers)
    return []


def _document(content: object) -> _Document:
    body = orjson.dumps(content)
    return _Document(body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')


def _matches(if_none_match: str, etag: str) -> bool:
    """Weak comparison over the list (RFC 9110 §13.1.2)."""
    offered = {each.strip().removeprefix("W/") for each in if_none_match.split(",")}
    return etag in offered or "*" in offered

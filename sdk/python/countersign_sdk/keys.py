"""The issuer's published keys, fetched when they are needed and no more often than the issuer allows."""

import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

_TIMEOUT_SECONDS = 5.0
_DEFAULT_MAX_AGE_SECONDS = 300.0
_LONGEST_MAX_AGE_SECONDS = 86_400.0
_LARGEST_ANSWER = 1_048_576
_STRANGER_COOLDOWN_SECONDS = 10.0
_FAILURE_COOLDOWN_SECONDS = 2.0


class KeysUnavailable(Exception):  # noqa: N818 - says nothing about the token
    """There are no fresh keys to verify with."""


@dataclass(frozen=True)
class _Published:
    keys: KeySet
    kids: frozenset[str | None]
    fresh_until: float


class PublishedKeys:
    """Keeps keys for their ``max-age``, never longer: a revoked key must not live on here.

    A ``kid`` that is not among them has them fetched anew, once in ten seconds at most. After a failure
    nothing is tried for two seconds, so that an issuer that hangs does not hang every request. Who finds
    the key in a fresh set waits for nobody.
    """

    def __init__(
        self, issuer: str, session: requests.Session, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._issuer = issuer
        self._session = session
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._published: _Published | None = None
        self._strangers_from = self._retry_from = float("-inf")

    def holding(self, kid: str) -> KeySet:
        """Fresh keys, with the ``kid`` if the issuer publishes it; raises ``KeysUnavailable``."""
        held = self._fresh()
        if held is None or kid not in held.kids:
            with self._lock:
                held = self._fresh()
                if held is None or (kid not in held.kids and self._monotonic() >= self._strangers_from):
                    held = self._fetched()
        return held.keys

    def _fresh(self) -> _Published | None:
        held = self._published
        return held if held is not None and self._monotonic() < held.fresh_until else None

    def _fetched(self) -> _Published:
        if self._monotonic() < self._retry_from:
            raise KeysUnavailable("the issuer's keys could not be fetched a moment ago")
        try:
            self._published = self._fetch()
        except (requests.RequestException, JoseError, ValueError, TypeError, KeyError) as error:
            self._retry_from = self._monotonic() + _FAILURE_COOLDOWN_SECONDS
            raise KeysUnavailable(f"the issuer's keys cannot be fetched: {type(error).__name__}") from error
        finally:
            self._strangers_from = self._monotonic() + _STRANGER_COOLDOWN_SECONDS
        return self._published

    def _fetch(self) -> _Published:
        asked_at = self._monotonic()
        metadata, _ = self._get(f"{self._issuer}/.well-known/openid-configuration")
        if metadata["issuer"] != self._issuer:
            raise ValueError("the metadata names another issuer")
        if urlsplit(metadata["jwks_uri"])[:2] != urlsplit(self._issuer)[:2]:
            raise ValueError("the metadata names keys on another host than the issuer's")
        content, cached = self._get(metadata["jwks_uri"])
        keys = KeySet.import_key_set(content)
        told = re.search(r"max-age=(\d+)", cached)
        max_age = min(float(told[1]), _LONGEST_MAX_AGE_SECONDS) if told else _DEFAULT_MAX_AGE_SECONDS
        return _Published(keys, frozenset(key.kid for key in keys.keys), asked_at + max_age)

    def _get(self, url: str) -> tuple[Any, str]:
        """The JSON there, and its ``Cache-Control``."""
        with self._session.get(url, timeout=_TIMEOUT_SECONDS, allow_redirects=False, stream=True) as answer:
            if answer.status_code != requests.codes.ok:
                raise requests.HTTPError(f"{url} answered {answer.status_code}")
            content = b""
            for part in answer.iter_content(65_536):
                content += part
                if len(content) > _LARGEST_ANSWER:
                    raise ValueError("the issuer's answer is too large")
            return json.loads(content), answer.headers.get("Cache-Control", "")

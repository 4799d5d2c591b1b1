"""The issuer's published keys, fetched when they are needed and no more often than the issuer allows."""

import re
import threading
import time
from collections.abc import Callable

import requests
from joserfc.jwk import KeySet

_TIMEOUT_SECONDS = 5.0
_UNKNOWN_KID_COOLDOWN_SECONDS = 10.0
_DEFAULT_MAX_AGE_SECONDS = 300.0


class PublishedKeys:
    """Caches for ``max-age``; an unknown ``kid`` may refetch earlier, once in ten seconds at most."""

    def __init__(
        self, issuer: str, session: requests.Session, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._issuer = issuer
        self._session = session
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._keys: KeySet | None = None
        self._fetched_at = self._fresh_until = float("-inf")

    def holding(self, kid: str) -> KeySet:
        """The key set, made sure to be fresh, and fetched anew if it does not know the ``kid``."""
        with self._lock:
            now = self._monotonic()
            known = self._keys is not None and any(key.kid == kid for key in self._keys.keys)
            cooled = now - self._fetched_at >= _UNKNOWN_KID_COOLDOWN_SECONDS
            if self._keys is None or now >= self._fresh_until or (not known and cooled):
                self._fetch(now)
            assert self._keys is not None  # noqa: S101 - fetched above
            return self._keys

    def _fetch(self, now: float) -> None:
        metadata = self._get(f"{self._issuer}/.well-known/openid-configuration").json()
        if metadata["issuer"] != self._issuer:
            raise ValueError("the metadata names another issuer")
        answer = self._get(metadata["jwks_uri"])
        self._keys = KeySet.import_key_set(answer.json())
        max_age = re.search(r"max-age=(\d+)", answer.headers.get("Cache-Control", ""))
        self._fetched_at = now
        self._fresh_until = now + (float(max_age[1]) if max_age else _DEFAULT_MAX_AGE_SECONDS)

    def _get(self, url: str) -> requests.Response:
        answer = self._session.get(url, timeout=_TIMEOUT_SECONDS, allow_redirects=False)
        if answer.status_code != requests.codes.ok:
            raise requests.HTTPError(f"{url} answered {answer.status_code}")
        return answer

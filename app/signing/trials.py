"""Whether the keys that should sign can, tried seldom: a keystore may be far away, and a web worker waits."""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from time import monotonic

from app.clock import Clock
from app.signing.keystores import KeystoreError, Keystores
from app.signing.keystores.checking import check_signs
from app.signing.models import SigningKey

_log = logging.getLogger(__name__)
_REMEMBERED = timedelta(minutes=1)
_SECONDS = 5.0
"""For all of them together: what is tried last may take its own time beyond."""

_Place = tuple[str, str, str | None]


class Trials:
    """Of one process; ``elapsed`` is in seconds, from whenever."""

    def __init__(self, keystores: Keystores, clock: Clock, elapsed: Callable[[], float] = monotonic) -> None:
        self._keystores, self._clock, self._elapsed = keystores, clock, elapsed
        self._found: dict[_Place, tuple[datetime, bool]] = {}

    def of(self, keys: Sequence[SigningKey]) -> dict[str, bool | None]:
        """By ``kid``, as found within the last minute; ``None`` of those that there was no time for."""
        until, now = self._elapsed() + _SECONDS, self._clock()
        places = {key.kid: (key.kid, key.keystore, key.reference) for key in keys}
        alive = {*places.values()}
        self._found = {
            place: found
            for place, found in self._found.items()
            if place in alive and now - _REMEMBERED < found[0] <= now
        }
        for key in keys:
            if places[key.kid] not in self._found and self._elapsed() < until:
                self._found[places[key.kid]] = now, self._can_sign(key)
        return {kid: self._found.get(place, (now, None))[1] for kid, place in places.items()}

    def _can_sign(self, key: SigningKey) -> bool:
        """What a keystore says is for operators."""
        try:
            check_signs(key, self._keystores)
        except KeystoreError as error:
            _log.error("%s cannot sign: %s", key.kid, error)
            return False
        return True

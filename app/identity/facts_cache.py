"""Facts kept for a moment, for answers about decisions only.

Nothing that issues, introspects or exchanges comes here: those read the database each time.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from app.clock import Clock
from app.identity.facts import Facts
from app.identity.paths import is_path

BOUND = timedelta(seconds=1)
"""How long, in one process, a decision may still rest on what has been revoked."""
_MOST = 4096


@dataclass(frozen=True, slots=True)
class Key:
    user_id: int | None
    service_account_id: int | None
    resource_type: str
    resource_id: str


@dataclass
class FactsCache:
    clock: Clock
    bound: timedelta = BOUND
    _kept: dict[Key, tuple[datetime, Facts]] = field(default_factory=dict)
    _swept_at: datetime | None = None

    def get(self, key: Key, load: Callable[[], Facts]) -> Facts:
        """Facts no older than the bound, counted from before they are read; none are kept of what is not
        there.
        """
        if not is_path(key.resource_id):
            return load()  # nothing is there, and what a caller typed may be a megabyte long
        now = self.clock()
        if (kept := self._kept.get(key)) and self._is_fresh(kept[0], now):
            return kept[1]
        facts = load()
        if facts.place is not None and facts.place.exists:
            self._make_room(now)
            self._kept[key] = (now, facts)
        return facts

    def _make_room(self, now: datetime) -> None:
        if self._swept_at is None or not self._is_fresh(self._swept_at, now):
            self._kept = {key: kept for key, kept in [*self._kept.items()] if self._is_fresh(kept[0], now)}
            self._swept_at = now
        if len(self._kept) >= _MOST:
            self._kept.clear()

    def _is_fresh(self, since: datetime, now: datetime) -> bool:
        return since <= now < since + self.bound

"""Who has fetched the JWKS, and so which keys: counted in memory by user agent and network, then flushed.

Strangers choose their user agents, so both the memory and the table are bounded; what is beyond is ``other``.
What a process counted since its last flush dies with it.
"""

import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial

from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session, aliased

from app.clock import Clock
from app.db import Database
from app.forks import renewed_in_children
from app.protocol.visitor import OTHER, agent_of, network_of
from app.signing.checks import find_key
from app.signing.models import JwksFetches, SigningKey

_MOST_IN_MEMORY = 1000
_MOST_OF_A_KEY = 2000
_MOST_OF_A_NETWORK = 50
"""Agents: who makes up names in one place fills no table with them."""
_LONGEST_AGENT = 120


@dataclass
class _Count:
    count: int
    first_at: datetime
    last_at: datetime


_Name = tuple[str, str, str]
"""The newest key's ``kid``, agent, network."""
_Counts = dict[_Name, _Count]


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """How often an agent from a network has fetched a JWKS with the key in it."""

    agent: str
    network: str
    count: int
    first_at: datetime
    last_at: datetime


class FetchLog:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        renewed_in_children(self, FetchLog._begin)
        self._begin()

    def _begin(self) -> None:
        """What a parent has counted it flushes itself."""
        self._lock = threading.Lock()
        self._counts: _Counts = {}
        self._names = _Names(_MOST_IN_MEMORY)

    def note(self, newest: str, agent: str, address: str) -> None:
        """A JWKS went out, or was found to be unchanged, whose newest key is ``newest``."""
        now, name = self._clock(), (newest, _agent(agent), _network(address))
        with self._lock:
            _count(self._counts, self._names.admitted(name), _Count(1, now, now))

    def flush(self) -> None:
        """Adds what was counted to the table; what cannot be written now is kept for the next time."""
        with self._lock:
            counts, self._counts = self._counts, {}
            self._names = _Names(_MOST_IN_MEMORY)
        if not counts:
            return
        try:
            self._write(self._with_room(counts))
        except BaseException:
            with self._lock:
                for name, each in self._counts.items():
                    _count(counts, name, each)
                self._counts, self._names = counts, _Names(_MOST_IN_MEMORY, counts)
            raise

    def _with_room(self, counts: _Counts) -> _Counts:
        """Under names that the table has room for; read before SQLite's only writer lock is held."""
        placed: _Counts = {}
        with self._database.reading_connection() as connection:
            for kid in {kid for kid, _, _ in counts}:
                query = select(JwksFetches.kid, JwksFetches.agent, JwksFetches.network)
                known = connection.execute(query.where(JwksFetches.kid == kid))
                names = _Names(_MOST_OF_A_KEY, ((row.kid, row.agent, row.network) for row in known))
                for name in (name for name in counts if name[0] == kid):
                    _count(placed, names.admitted(name), counts[name])
        return placed

    def _write(self, counts: _Counts) -> None:
        insert = sqlite.insert(JwksFetches) if self._database.is_sqlite else postgresql.insert(JwksFetches)
        more = {"count": JwksFetches.count + insert.excluded.count, "last_at": insert.excluded.last_at}
        upsert = insert.on_conflict_do_update(index_elements=["kid", "agent", "network"], set_=more)
        rows = [
            {"kid": kid, "agent": agent, "network": network, **vars(each)}
            for (kid, agent, network), each in sorted(counts.items())  # in one order: two nodes never cross
        ]
        with self._database.writing_connection() as connection:
            connection.execute(upsert, rows)


def fetched_since(session: Session, kid: str) -> Sequence[Fetched]:
    """Since the key was published, the last one first."""
    key = find_key(session, kid)
    newest = aliased(SigningKey)
    last = func.max(JwksFetches.last_at).label("last_at")
    query = (
        select(
            JwksFetches.agent,
            JwksFetches.network,
            func.sum(JwksFetches.count).label("times"),
            func.min(JwksFetches.first_at).label("first_at"),
            last,
        )
        .join(newest, newest.kid == JwksFetches.kid)
        .where(newest.published_at >= key.published_at)
        .group_by(JwksFetches.agent, JwksFetches.network)
        .order_by(last.desc(), JwksFetches.agent, JwksFetches.network)
    )
    return [
        Fetched(
            agent=row.agent,
            network=row.network,
            count=int(row.times),
            first_at=row.first_at,
            last_at=row.last_at,
        )
        for row in session.execute(query)
    ]


class _Names:
    """Which are known; one that is beyond ``most``, or one agent too many of its network, counts as other."""

    def __init__(self, most: int, known: Iterable[_Name] = ()) -> None:
        self._most = most
        self._known: set[_Name] = set()
        self._agents: Counter[tuple[str, str]] = Counter()
        for name in known:
            self._know(name)

    def admitted(self, name: _Name) -> _Name:
        """The name to count it under."""
        kid, _, network = name
        if name in self._known:
            return name
        if len(self._known) >= self._most:
            name = (kid, OTHER, OTHER)
        elif self._agents[kid, network] >= _MOST_OF_A_NETWORK:
            name = (kid, OTHER, network)
        self._know(name)
        return name

    def _know(self, name: _Name) -> None:
        if name not in self._known:
            self._known.add(name)
            self._agents[name[0], name[2]] += 1


def _count(counts: _Counts, name: _Name, more: _Count) -> None:
    found = counts.setdefault(name, _Count(0, more.first_at, more.last_at))
    found.count += more.count
    found.last_at = more.last_at


_agent = lru_cache(maxsize=_MOST_IN_MEMORY)(partial(agent_of, longest=_LONGEST_AGENT))
_network = lru_cache(maxsize=_MOST_IN_MEMORY)(network_of)

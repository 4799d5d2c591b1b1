"""Who has fetched the JWKS, and so which keys: counted in memory by user agent and network, then flushed.

Strangers choose their user agents, so both the memory and the table are bounded; what is beyond is ``other``.
What a process counted since its last flush dies with it.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from ipaddress import ip_address, ip_network

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session, aliased

from app.clock import Clock
from app.db import Database
from app.errors import NotFound
from app.signing.models import JwksFetches, SigningKey

_MOST_IN_MEMORY = 1000
_MOST_OF_A_KEY = 2000
_LONGEST_AGENT = 120
_OTHER = "other"
_BITS = {4: 24, 6: 48}


@dataclass
class _Count:
    count: int
    first_at: datetime
    last_at: datetime


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
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, str, str], _Count] = {}

    def note(self, newest: str, agent: str, address: str) -> None:
        """A JWKS went out, or was found to be unchanged, whose newest key is ``newest``."""
        now, name = self._clock(), (newest, _agent(agent), _network(address))
        with self._lock:
            if name not in self._counts and len(self._counts) >= _MOST_IN_MEMORY:
                name = (newest, _OTHER, _OTHER)
            found = self._counts.setdefault(name, _Count(0, now, now))
            found.count += 1
            found.last_at = now

    def flush(self) -> None:
        """Adds what was counted to the table; what cannot be written now is kept for the next time."""
        with self._lock:
            counts, self._counts = self._counts, {}
        if not counts:
            return
        try:
            with self._database.writing_connection() as connection:
                self._write(connection, counts)
        except BaseException:
            with self._lock:
                self._counts = _together(counts, self._counts)
            raise

    def _write(self, connection: Connection, counts: dict[tuple[str, str, str], _Count]) -> None:
        insert = sqlite.insert if self._database.is_sqlite else postgresql.insert
        for (kid, agent, network), each in sorted(counts.items()):  # in one order: two nodes never cross
            who = (agent, network) if _has_room(connection, kid, agent, network) else (_OTHER, _OTHER)
            row = {"kid": kid, "agent": who[0], "network": who[1], **vars(each)}
            statement = insert(JwksFetches).values(row)
            more = {"count": JwksFetches.count + each.count, "last_at": each.last_at}
            connection.execute(
                statement.on_conflict_do_update(index_elements=["kid", "agent", "network"], set_=more)
            )


def fetched_since(session: Session, kid: str) -> Sequence[Fetched]:
    """Since the key was published, the last one first."""
    key = session.get(SigningKey, kid)
    if key is None:
        raise NotFound("there is no signing key with this kid: countersign keys list")
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


def _has_room(connection: Connection, kid: str, agent: str, network: str) -> bool:
    theirs = select(JwksFetches.count).where(JwksFetches.kid == kid)
    there = theirs.where(JwksFetches.agent == agent, JwksFetches.network == network)
    if connection.execute(there).first() is not None:
        return True
    rows = select(func.count()).select_from(JwksFetches).where(JwksFetches.kid == kid)
    return connection.execute(rows).scalar_one() < _MOST_OF_A_KEY


def _together(
    older: dict[tuple[str, str, str], _Count], newer: dict[tuple[str, str, str], _Count]
) -> dict[tuple[str, str, str], _Count]:
    for name, each in newer.items():
        found = older.setdefault(name, _Count(0, each.first_at, each.last_at))
        found.count += each.count
        found.last_at = each.last_at
    return older


@lru_cache(maxsize=_MOST_IN_MEMORY)
def _agent(text: str) -> str:
    return "".join(each for each in text if " " <= each <= "~")[:_LONGEST_AGENT] or "none"


@lru_cache(maxsize=_MOST_IN_MEMORY)
def _network(address: str) -> str:
    """What is kept of an address: its /24, or its /48."""
    try:
        known = ip_address(address)
    except ValueError:
        return _OTHER
    mapped = getattr(known, "ipv4_mapped", None) or known
    return str(ip_network((mapped, _BITS[mapped.version]), strict=False))

"""Guessing passwords: how often for a login and from a network, on all nodes, and how fast in a process.

A login may be tried so rarely that no password within the rules is found; a network more often, for many
humans may share it. What is counted against a login shuts its human out of the password alone, never out of a
sign-in link, nor out of a session of theirs: there that session alone is counted, which no stranger has.
Everybody's login is counted alike, known or not; what is stored of it is keyed, for people type passwords
there.
"""

import hmac
import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock

from sqlalchemy import Connection, case, delete, update
from sqlalchemy.dialects import postgresql, sqlite

from app.db import Database
from app.errors import Refusal
from app.identity.session_models import Guesses
from app.protocol.visitor import network_of

WINDOW = timedelta(minutes=15)
OF_A_LOGIN = 10
OF_A_NETWORK = 100
OF_A_SESSION = 10
BURST = 10
PER_SECOND = 1.0


class TooManyGuesses(Refusal):
    """``seconds``: when to ask again; ``is_first``: nobody has been told so in this window."""

    def __init__(self, message: str, seconds: int, *, is_first: bool = False) -> None:
        super().__init__(message)
        self.seconds = seconds
        self.is_first = is_first


@dataclass(frozen=True)
class Subjects:
    """What a guess is counted against, as it is stored: who it may be, and for strangers their network."""

    who: str
    most: int
    network: str | None = None

    @classmethod
    def of(cls, key: bytes, login: str, address: str) -> "Subjects":
        keyed = hmac.digest(key, login.encode(errors="replace"), "sha256").hex()
        return cls(f"login:{keyed}", OF_A_LOGIN, f"network:{network_of(address)}")

    @classmethod
    def of_session(cls, number: int) -> "Subjects":
        """For the very human who is signed in there."""
        return cls(f"session:{number}", OF_A_SESSION)

    @property
    def limits(self) -> tuple[tuple[str, int], ...]:
        """In the order in which they are counted, and locked."""
        network = () if self.network is None else ((self.network, OF_A_NETWORK),)
        return (*network, (self.who, self.most))


class Guessing:
    """The counters that all nodes share."""

    def __init__(self, database: Database, key: bytes) -> None:
        self._database = database
        self._key = key

    def take(self, login: str, address: str, now: datetime, session_id: int | None = None) -> Subjects:
        """Counts a guess before it is checked, so that no number at once is more; or ``TooManyGuesses``.

        What a network sends beyond its limit touches no login. ``session_id``: of the login's very human.
        """
        subjects = (
            Subjects.of(self._key, login, address) if session_id is None else Subjects.of_session(session_id)
        )
        with self._database.writing_connection() as connection:
            refusal = self._count_all(connection, subjects, now)
        if refusal is not None:  # which is counted as well
            raise refusal
        return subjects

    def _count_all(self, connection: Connection, subjects: Subjects, now: datetime) -> TooManyGuesses | None:
        for subject, most in subjects.limits:
            tries, until = self._count(connection, subject, now)
            if tries > most:
                return _too_many(until, now, is_first=tries == most + 1)
        return None

    def _count(self, connection: Connection, subject: str, now: datetime) -> tuple[int, datetime]:
        """With this one, and until when."""
        insert = (sqlite if self._database.is_sqlite else postgresql).insert(Guesses)
        is_over = Guesses.since <= now - WINDOW
        counted = insert.values(subject=subject, tries=1, since=now).on_conflict_do_update(
            index_elements=["subject"],
            set_={
                "tries": case((is_over, 1), else_=Guesses.tries + 1),
                "since": case((is_over, now), else_=Guesses.since),
            },
        )
        tries, since = connection.execute(counted.returning(Guesses.tries, Guesses.since)).one()
        return tries, since + WINDOW

    def give_back(self, subjects: Subjects) -> None:
        """What was not checked was no guess."""
        with self._database.writing_connection() as connection:
            for subject, _ in subjects.limits:
                _take_back(connection, subject)


def forgive(connection: Connection, subjects: Subjects) -> None:
    """It was right: their failures are forgotten, and to the network this was none."""
    if subjects.network is not None:
        _take_back(connection, subjects.network)
    connection.execute(delete(Guesses).where(Guesses.subject == subjects.who))


def _take_back(connection: Connection, subject: str) -> None:
    counted = update(Guesses).where(Guesses.subject == subject, Guesses.tries > 0)
    connection.execute(counted.values(tries=Guesses.tries - 1))


class Pace:
    """How many passwords a process checks: ten at once, then one a second.

    Each costs a web worker a tenth of a second and more, in which it answers nobody: whoever sends passwords
    as fast as they can takes a tenth of its time, and tokens go on being issued.
    """

    def __init__(self, burst: int = BURST, per_second: float = PER_SECOND) -> None:
        self._burst, self._per_second = burst, per_second
        self._left = float(burst)
        self._at: datetime | None = None
        self._lock = Lock()

    def take(self, now: datetime) -> None:
        with self._lock:
            passed = 0.0 if self._at is None else max(0.0, (now - self._at).total_seconds())
            self._at = now
            self._left = min(self._burst, self._left + passed * self._per_second)
            if self._left < 1:
                wait = math.ceil((1 - self._left) / self._per_second)
                raise TooManyGuesses("Many sign in at this moment: try again in a few seconds.", wait)
            self._left -= 1


def _too_many(until: datetime, now: datetime, *, is_first: bool) -> TooManyGuesses:
    message = (
        f"Too many passwords were tried: wait until {until:%H:%M} UTC, or ask an administrator for a sign-in "
        "link, which works at once."
    )
    return TooManyGuesses(message, max(1, math.ceil((until - now).total_seconds())), is_first=is_first)

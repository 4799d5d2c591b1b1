"""Pages of the console, as an administrator asks for them over an installation that has grown; no HTTP."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from werkzeug.test import Client

from app.factory import create_app
from app.identity import accounts, sessions
from app.identity.sessions import Browser, Method
from app.settings import Settings
from app.wiring import Components
from bench.asking import UnexpectedAnswerError

PAGES = {
    "overview": "/console/",
    "audit": "/console/audit",
    "audit of one human": "/console/audit?user=alice",
}
ROWS = 100_000
_TWENTIETHS = 20


def p95_seconds(environment: Mapping[str, str], times: int) -> dict[str, float]:
    """Of each page, by its name."""
    visit = Visit.of(environment)
    return {f"{name}, {ROWS:,} rows": visit.p95_seconds(path, times) for name, path in PAGES.items()}


@dataclass(frozen=True)
class Visit:
    client: Client

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Visit":
        """Of alice, who administers it from now on."""
        app = create_app(Settings.from_env(environment))
        parts: Components = app.extensions["countersign"]
        client = app.test_client()
        with parts.database.writing() as session:
            alice = accounts.find_user(session, "alice")
            alice.is_admin = True
            here = Browser(agent="bench", address="127.0.0.1")
            begun = sessions.begin(session, alice, method=Method.LINK, browser=here, now=parts.clock())
        client.set_cookie("countersign", begun.secret.reveal())
        return cls(client)

    def p95_seconds(self, path: str, times: int) -> float:
        """What 19 of 20 are shown within."""
        self._seconds(path)
        taken = sorted(self._seconds(path) for _ in range(times))
        return taken[-(len(taken) // _TWENTIETHS) - 1]

    def _seconds(self, path: str) -> float:
        began = time.perf_counter()
        answer = self.client.get(path)
        taken = time.perf_counter() - began
        if answer.status_code != 200:
            raise UnexpectedAnswerError
        return taken

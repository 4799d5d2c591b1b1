"""Refusals of requests that have proved no identity: in the ledger, and no way to make it grow at will."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from threading import Lock

from app.ledger.actions import AuditAction, Outcome
from app.ledger.record import Actor, AuditEvent
from app.protocol.oauth_errors import OAuthError

_MINUTE = timedelta(minutes=1)
_KINDS = 100


@dataclass(frozen=True)
class Stranger:
    """A kind of refusal of a request that has proved no identity; ``client_id`` is what it claims."""

    error: str
    cause: str
    client_id: str
    asked: AuditAction = AuditAction.ACCESS_TOKEN_ISSUE
    """What the request was for."""

    def told(self, now: datetime, request_id: str | None = None, **more: object) -> AuditEvent:
        failed_to_prove = self.error == OAuthError.INVALID_CLIENT.code
        action = AuditAction.CLIENT_AUTHENTICATE if failed_to_prove else self.asked
        by = Actor(name="anonymous", request_id=request_id)
        told = {"error": self.error, "cause": self.cause, "client_id": self.client_id}
        return by.did(action, now, outcome=Outcome.DENIED, detail=told | more)


class Strangers:
    """What the ledger is told of strangers, so that none can make it grow at will.

    The first of a kind has its row at once. Its repeats within the minute are counted in this process, and
    one row tells their number at the first request after it; a process that ends before takes the
    number with it. A minute knows 100 client ids and causes; all further ids count as one.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._began: datetime | None = None
        self._repeats: dict[Stranger, int] = {}

    def told(self, stranger: Stranger, now: datetime, request_id: str) -> list[AuditEvent]:
        """The rows to write now: of the last minute's repeats, and of this one if it is news."""
        events = [each.told(now, repeated=count) for each, count in self.repeated(now).items()]
        return [*events, stranger.told(now, request_id)] if self.is_news(stranger, now) else events

    def is_news(self, stranger: Stranger, now: datetime) -> bool:
        with self._lock:
            self._began = self._began or now
            if stranger not in self._repeats and len(self._repeats) >= _KINDS:
                stranger = replace(stranger, client_id="others")
            self._repeats[stranger] = self._repeats.get(stranger, -1) + 1
            return self._repeats[stranger] == 0

    def repeated(self, now: datetime) -> dict[Stranger, int]:
        """How often each kind came again, when the minute is over; then forgotten."""
        with self._lock:
            if self._began is None or abs(now - self._began) < _MINUTE:
                return {}
            over, self._began, self._repeats = self._repeats, None, {}
        return {stranger: count for stranger, count in over.items() if count}

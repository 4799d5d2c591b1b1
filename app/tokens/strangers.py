"""Refusals that whoever is refused can repeat at will: in the ledger, and no way to make it grow so."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from threading import Lock
from typing import Any, Protocol

from app.ledger.actions import AuditAction, Outcome
from app.ledger.record import Actor, AuditEvent
from app.protocol.oauth_errors import OAuthError

_MINUTE = timedelta(minutes=1)
_KINDS = 100
_ANONYMOUS = "anonymous"


class Kind(Protocol):
    """Refusals that are alike; compared by value."""

    @property
    def source(self) -> str:
        """Who makes them."""

    @property
    def rest(self) -> "Kind":
        """What all further kinds of this source count as."""

    def told(self, now: datetime, request_id: str | None = None, **more: object) -> AuditEvent: ...


@dataclass(frozen=True)
class Stranger:
    """A kind of refusal of a request that has proved no identity; ``client_id`` is what it claims."""

    error: str
    cause: str
    client_id: str
    asked: AuditAction = AuditAction.ACCESS_TOKEN_ISSUE
    """What the request was for."""

    source = _ANONYMOUS

    @property
    def rest(self) -> "Stranger":
        return replace(self, client_id="others")

    def told(self, now: datetime, request_id: str | None = None, **more: object) -> AuditEvent:
        failed_to_prove = self.error == OAuthError.INVALID_CLIENT.code
        action = AuditAction.CLIENT_AUTHENTICATE if failed_to_prove else self.asked
        by = Actor(name=_ANONYMOUS, request_id=request_id)
        told = {"error": self.error, "cause": self.cause, "client_id": self.client_id}
        return by.did(action, now, outcome=Outcome.DENIED, detail=told | more)


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A kind of refusal of somebody who is known, or of a dead token, whose parties are known: the columns.

    ``by`` without its request, so that two requests are of one kind.
    """

    by: Actor
    action: AuditAction
    cause: str
    user: str | None = None
    service_account: str | None = None
    project: str | None = None
    run: int | None = None
    jti: str | None = None
    permission: str | None = None

    @property
    def source(self) -> str:
        return self.by.name

    @property
    def rest(self) -> "Refusal":
        return Refusal(by=self.by, action=self.action, cause="others")

    def told(self, now: datetime, request_id: str | None = None, **more: object) -> AuditEvent:
        """Under the names of whom it is about; a pair that asked is named itself."""
        permission = {"permission": self.permission} if self.permission else {}
        columns: dict[str, Any] = {
            "outcome": Outcome.DENIED,
            "user": self.user,
            "service_account": self.service_account,
            "project": self.project,
            "run": self.run,
            "jti": self.jti,
            "detail": {"cause": self.cause, **permission, **more},
        }
        by = replace(self.by, request_id=request_id)
        return (by.tells if by.on_behalf_of is None else by.did)(self.action, now, **columns)


def dead_token(cause: str, parties: Mapping[str, Any]) -> Refusal:
    """Shown as a credential: whoever shows it has proved nothing."""
    by = Actor(name=_ANONYMOUS)
    return Refusal(by=by, action=AuditAction.CLIENT_AUTHENTICATE, cause=cause, **parties)


class Strangers:
    """What the ledger is told of such refusals, so that none can make it grow at will.

    The first of a kind has its row at once. Its repeats within the minute are counted in this process, and
    one row tells their number at the first request after it; a process that ends before takes the
    number with it. A minute knows 100 kinds of each source; all further ones count as one.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._began: datetime | None = None
        self._repeats: dict[Kind, int] = {}
        self._kinds: dict[str, int] = {}

    def told(self, kind: Kind, now: datetime, request_id: str) -> list[AuditEvent]:
        """The rows to write now: of the last minute's repeats, and of this one if it is news."""
        return [*self.repeated(now), *([kind.told(now, request_id)] if self.is_news(kind, now) else [])]

    def is_news(self, kind: Kind, now: datetime) -> bool:
        with self._lock:
            self._began = self._began or now
            if kind not in self._repeats and self._kinds.get(kind.source, 0) >= _KINDS:
                kind = kind.rest
            if kind not in self._repeats:
                self._kinds[kind.source] = self._kinds.get(kind.source, 0) + 1
            self._repeats[kind] = self._repeats.get(kind, -1) + 1
            return self._repeats[kind] == 0

    def repeated(self, now: datetime) -> list[AuditEvent]:
        """How often each kind came again, when the minute is over; then forgotten."""
        with self._lock:
            if self._began is None or abs(now - self._began) < _MINUTE:
                return []
            over, self._began, self._repeats, self._kinds = self._repeats, None, {}, {}
        return [kind.told(now, repeated=count) for kind, count in over.items() if count]

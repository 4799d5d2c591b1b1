"""Writing to the ledger: in the caller's transaction, so that nothing happens untold."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert
from sqlalchemy.orm import Session

from app.ledger.actions import AuditAction, Outcome
from app.ledger.chain import append
from app.ledger.models import AuditRow
from app.prepared import Prepared
from app.protocol.principals import PrincipalKind


@dataclass(frozen=True, kw_only=True)
class AuditEvent:
    """One row. ``user`` and ``service_account`` are principals (``user:42``), ``project`` is its path."""

    at: datetime
    action: AuditAction
    outcome: Outcome = Outcome.SUCCESS
    actor: str
    user: str | None = None
    service_account: str | None = None
    project: str | None = None
    run: int | None = None
    jti: str | None = None
    kid: str | None = None
    request_id: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


_SERVICE_ACCOUNT = f"{PrincipalKind.SERVICE_ACCOUNT}:"


@dataclass(frozen=True, kw_only=True)
class Actor:
    """Who does it: ``user:42``, ``service_account:7`` or ``operator:<login name>``, in which request.

    ``on_behalf_of``: the human whom a service account acts for.
    """

    name: str
    on_behalf_of: str | None = None
    request_id: str | None = None

    def did(self, action: AuditAction, at: datetime, **fields: Any) -> AuditEvent:
        """The event that tells of it; ``fields`` are the event's other columns.

        What a service account does names it as a column, and the human whom it does it for; whom else it
        concerned is in the detail. One that is a party itself, as when its own token is issued, names both.
        """
        is_party = self.on_behalf_of is None and fields.get("service_account") == self.name
        if self.name.startswith(_SERVICE_ACCOUNT) and not is_party:
            parties = {"user": self.on_behalf_of, "service_account": self.name}
            others = {name: fields[name] for name in parties if fields.get(name) not in {None, parties[name]}}
            fields |= parties
            if others:
                fields["detail"] = {**fields.get("detail", {}), "concerned": others}
        return self.tells(action, at, **fields)

    def tells(self, action: AuditAction, at: datetime, **fields: Any) -> AuditEvent:
        """The event of what is about others, such as a token that was shown: the columns are as given."""
        return AuditEvent(action=action, at=at, actor=self.name, request_id=self.request_id, **fields)


_INSERT = Prepared(insert(AuditRow.__table__))  # type: ignore[arg-type]  # declared as what all tables have in common


def record(connection: Connection | Session, *events: AuditEvent) -> None:
    """Adds the events to the transaction; they are durable when it commits, or never happened."""
    if isinstance(connection, Session):
        connection.flush()
        connection = connection.connection()
    if not connection.in_transaction():
        connection.begin()  # before the chain advances, which a beginning would undo
    _INSERT.execute(connection, *append(connection, map(_columns, events)))


def _columns(event: AuditEvent) -> dict[str, Any]:
    return vars(event) | {"action": event.action.value, "outcome": event.outcome.value}

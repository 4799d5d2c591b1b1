"""Requests for a signature of which nobody has told the outcome: whoever asked has died in between."""

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from app.clock import Clock
from app.db import Database
from app.ledger.actions import AuditAction, Outcome
from app.ledger.models import AuditRow
from app.ledger.record import Actor, AuditEvent, record
from app.signing import transitions

_PATIENCE = timedelta(minutes=10)
"""Far more than a signature takes and clocks differ: who is slow has not died."""
_OVERLAP = timedelta(minutes=5)
"""For nodes whose clocks differ even more, rows come in out of order."""
_ERROR = "the outcome was never told: a signature may exist, the token was given to nobody"


class Unanswered:
    """Remembers how far it has come: the first time it looks at all of the ledger's requests."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._seen_until: datetime | None = None

    def settle(self, actor: Actor) -> None:
        """Each gets one row ``failed``, under its own ``jti``."""
        until = self._clock() - _PATIENCE
        with self._database.reading() as session:
            found = self._find(session, until)
        if found:
            with self._database.writing() as session:
                transitions.hold(session)  # where two workers come at once, one finds nothing left
                record(session, *(self._failed(row, actor) for row in self._find(session, until)))
        self._seen_until = until

    def _find(self, session: Session, until: datetime) -> list[AuditRow]:
        outcome = aliased(AuditRow)
        is_request = outcome.action == AuditAction.SIGNATURE_REQUEST
        told = select(outcome.seq).where(
            outcome.jti == AuditRow.jti, ~(is_request & (outcome.outcome == Outcome.SUCCESS))
        )
        query = select(AuditRow).where(
            AuditRow.action == AuditAction.SIGNATURE_REQUEST,
            AuditRow.outcome == Outcome.SUCCESS,
            AuditRow.at <= until,
            ~told.exists(),
        )
        if self._seen_until is not None:
            query = query.where(AuditRow.at > self._seen_until - _OVERLAP)
        return list(session.scalars(query.order_by(AuditRow.at, AuditRow.writer, AuditRow.seq)))

    def _failed(self, row: AuditRow, actor: Actor) -> AuditEvent:
        return AuditEvent(
            at=self._clock(),
            action=AuditAction.SIGNATURE_REQUEST,
            outcome=Outcome.FAILED,
            actor=actor.name,
            user=row.user,
            service_account=row.service_account,
            project=row.project,
            run=row.run,
            jti=row.jti,
            kid=row.kid,
            request_id=row.request_id,
            detail={**row.detail, "error": _ERROR},
        )

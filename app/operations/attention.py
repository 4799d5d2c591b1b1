"""What somebody should look at, each with what it is about: found by index, or in tables that are short."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Boolean, ColumnElement, Select, func, literal_column, null, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.errors import Refusal
from app.flows.models import Run, RunState
from app.identity.models import ClientSecret, Delegation, PersonalAccessToken, Principal, ServiceAccount, User
from app.ledger.actions import AuditAction, Outcome
from app.ledger.checkpoints import last_checkpoint
from app.ledger.models import AuditRow
from app.operations.audit_positions import LATE, is_late, waiting_since
from app.operations.call import Call
from app.protocol.principals import user_principal
from app.signing.transitions import without_next

TOLD = 5
"""Of one kind by name; of more the number."""
SECRET_EXPIRES_WITHIN = timedelta(days=14)
DELEGATION_EXPIRES_WITHIN = TOKEN_EXPIRES_WITHIN = timedelta(days=7)
UNUSED_AFTER = timedelta(days=7)
FAILED_WITHIN = timedelta(days=1)

_EVERY_ROW = literal_column("1 = 1", Boolean)
_Rows = Select[Any, Any, Any, Any]
"""Of ``About``'s columns."""


class Kind(StrEnum):
    KEY_CANNOT_SIGN = "key_cannot_sign"
    KEY_OVERDUE = "key_overdue"
    KEY_WITHOUT_NEXT = "key_without_next"
    LEDGER_UNSEALED = "ledger_unsealed"
    RUN_WAITING = "run_waiting"
    RUN_FAILED = "run_failed"
    SECRET_EXPIRING = "secret_expiring"  # noqa: S105 - a kind
    DELEGATION_EXPIRING = "delegation_expiring"
    TOKEN_EXPIRING = "token_expiring"  # noqa: S105 - a kind
    SECRET_UNUSED = "secret_unused"  # noqa: S105 - a kind


@dataclass(frozen=True)
class About:
    """``id`` and ``name`` as the kind's own operations have them; ``at``: since when, or when it will be."""

    id: str | int | None = None
    name: str | None = None
    at: datetime | None = None
    cause: str | None = None


@dataclass(frozen=True)
class Need:
    """``about``: the first ``TOLD`` of ``count``."""

    kind: Kind
    count: int
    about: Sequence[About]


def of_all(call: Call) -> list[Need]:
    """The most urgent first."""
    session, now = call.session, call.now
    needs = (
        *_of_keys(call),
        _of_ledger(session, now),
        _told(session, Kind.RUN_WAITING, _waiting(now)),
        _told(session, Kind.RUN_FAILED, _failed(now)),
        _told(session, Kind.SECRET_EXPIRING, _expiring_secrets(now)),
        _told(session, Kind.DELEGATION_EXPIRING, _expiring_delegations(now)),
        _of_tokens(call),
        _told(session, Kind.SECRET_UNUSED, _unused_secrets(now)),
    )
    return [need for need in needs if need.count]


def of_own(call: Call) -> list[Need]:
    session, now, user = call.session, call.now, call.caller.user_id or 0
    needs = (
        _told(session, Kind.RUN_FAILED, _failed(now, AuditRow.user == user_principal(user))),
        _told(session, Kind.DELEGATION_EXPIRING, _expiring_delegations(now, Delegation.user_id == user)),
        _of_tokens(call),
    )
    return [need for need in needs if need.count]


def _of_keys(call: Call) -> Iterator[Need]:
    """As far as this process has seen; what a keystore says is for operators."""
    parts = call.components
    try:
        actives = parts.keyring.current().actives
    except (Refusal, SQLAlchemyError):
        yield Need(Kind.KEY_CANNOT_SIGN, 1, [About()])
        return
    before, period = parts.overdue_before(), parts.settings.key_rotation_period
    broken = [About(key.kid, alg) for alg, key in actives.items() if key.cannot_sign]
    overdue = [About(key.kid, alg, key.since + period) for alg, key in actives.items() if key.since < before]
    lacking = [About(None, alg.value) for alg in without_next(call.session)]
    yield Need(Kind.KEY_CANNOT_SIGN, len(broken), broken)
    yield Need(Kind.KEY_OVERDUE, len(overdue), overdue)
    yield Need(Kind.KEY_WITHOUT_NEXT, len(lacking), lacking)


def _of_ledger(session: Session, now: datetime) -> Need:
    """Every worker signs it once a minute: nobody does, so perhaps there is none."""
    since = waiting_since(session, last_checkpoint(session))
    late = is_late(since, now)
    return Need(Kind.LEDGER_UNSEALED, int(late), [About(at=since)] if late else [])


def _waiting(now: datetime) -> _Rows:
    waits = (Run.state == RunState.PENDING) & Run.is_queued & (Run.created_at < now - LATE)
    return _about(Run.id, Run.flow, Run.created_at).where(waits).order_by(Run.id)


def _failed(now: datetime, whose: ColumnElement[bool] = _EVERY_ROW) -> _Rows:
    """From the ledger, for runs have no index by their end."""
    ended = (AuditRow.action == AuditAction.RUN_FINISH.value) & (AuditRow.at >= now - FAILED_WITHIN)
    failed = (AuditRow.outcome == Outcome.FAILED.value) & (_word("state") == RunState.FAILED.value)
    rows = _about(AuditRow.run, AuditRow.project, AuditRow.at, _word("reason"))
    return rows.where(whose, ended, failed).order_by(AuditRow.at.desc())


def _word(name: str) -> ColumnElement[str]:
    word: ColumnElement[str] = AuditRow.detail[name].as_string()
    return word


def _expiring_secrets(now: datetime) -> _Rows:
    soon = ClientSecret.expires_at.between(now, now + SECRET_EXPIRES_WITHIN)
    return _secrets(ClientSecret.expires_at).where(soon).order_by(ClientSecret.expires_at)


def _unused_secrets(now: datetime) -> _Rows:
    unused = ClientSecret.last_used_at.is_(None) & (ClientSecret.created_at < now - UNUSED_AFTER)
    alive = ClientSecret.expires_at.is_(None) | (ClientSecret.expires_at > now)
    return _secrets(ClientSecret.created_at).where(unused, alive).order_by(ClientSecret.created_at)


def _secrets(at: Any) -> _Rows:
    """Those that are not revoked, of accounts that are enabled."""
    rows = _about(ClientSecret.id, ServiceAccount.name, at)
    rows = rows.join(ServiceAccount, ServiceAccount.id == ClientSecret.service_account_id)
    rows = rows.join(Principal, Principal.id == ServiceAccount.id)
    return rows.where(ClientSecret.revoked_at.is_(None), Principal.disabled_at.is_(None))


def _expiring_delegations(now: datetime, whose: ColumnElement[bool] = _EVERY_ROW) -> _Rows:
    soon = Delegation.expires_at.between(now, now + DELEGATION_EXPIRES_WITHIN)
    rows = _about(Delegation.id, ServiceAccount.name, Delegation.expires_at, User.login)
    rows = rows.join(ServiceAccount, ServiceAccount.id == Delegation.service_account_id)
    rows = rows.join(User, User.id == Delegation.user_id)
    return rows.where(whose, Delegation.revoked_at.is_(None), soon).order_by(Delegation.expires_at)


def _of_tokens(call: Call) -> Need:
    """The caller's own: nobody sees another's."""
    token, now = PersonalAccessToken, call.now
    soon = token.revoked_at.is_(None) & token.expires_at.between(now, now + TOKEN_EXPIRES_WITHIN)
    rows = _about(token.id, null(), token.expires_at).where(token.user_id == call.caller.user_id, soon)
    return _told(call.session, Kind.TOKEN_EXPIRING, rows.order_by(token.expires_at))


def _about(id: Any, name: Any, at: Any, cause: Any = None) -> _Rows:
    return select(id, name, at, null() if cause is None else cause)


def _told(session: Session, kind: Kind, rows: _Rows) -> Need:
    found = session.execute(rows.add_columns(func.count().over()).limit(TOLD)).all()
    return Need(kind, found[0][-1] if found else 0, [About(*row[:-1]) for row in found])

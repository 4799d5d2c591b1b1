"""The kill switch: one act that ends what a human, an account, a delegation, a run or a token gave rise to.

The cut-off kills the tokens. Beside it a human or an account is disabled, a delegation revoked, and runs
are cancelled, all in the caller's transaction with its ledger rows. Enabling undoes the disabling alone.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from app.clock import rfc3339
from app.errors import InvalidInput, NotFound
from app.flows import runs
from app.flows.models import Run
from app.identity import accounts, delegations
from app.identity.cut_offs import CutOffKind
from app.identity.models import Delegation, PersonalAccessToken
from app.ledger.actions import AuditAction
from app.ledger.record import Actor, record
from app.protocol.principals import parties, service_account_principal, user_principal
from app.tokens.aftermath import Aftermath, cut_off
from app.tokens.models import IssuedToken

LONGEST_REASON = 500
_NUMBER = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Killed:
    """``runs`` and ``personal_access_tokens`` are numbers of what ended besides the tokens."""

    kind: CutOffKind
    target: str
    reason: str
    aftermath: Aftermath
    runs: tuple[int, ...]
    personal_access_tokens: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Victim:
    """What is killed: its number, its text, its parties in the ledger, its runs, and what ends with it.
    ``hold`` it first, against what is being issued for it.
    """

    number: int | str
    target: str
    columns: Mapping[str, Any]
    runs: ColumnElement[bool] | None = None
    hold: Callable[[], object] = lambda: None
    end: Callable[[], object] = lambda: None


Permit = Callable[[CutOffKind, Mapping[str, Any]], None]
"""Told the kind and whom it concerns, as columns of the ledger; ``Denied`` for what may not be killed."""


def kill(
    session: Session,
    kind: CutOffKind,
    named: str,
    *,
    reason: str,
    by: Actor,
    now: datetime,
    permit: Permit = lambda _kind, _whom: None,
) -> Killed:
    """``named``: a login, an account's name, a number, or a ``jti``. May be done again; never undone."""
    if not reason.strip() or len(reason) > LONGEST_REASON or not reason.isprintable():
        raise InvalidInput(f"reason: say why, in one line of at most {LONGEST_REASON} printable characters")
    victim = find_victim(session, kind, named, by, now)
    permit(kind, victim.columns)
    victim.hold()
    aftermath = cut_off(session, kind, victim.number, reason=reason, actor=by.name, now=now)
    # Held before the first ledger row, in the order in which a run that ends by itself takes them.
    found = runs.under_way(session, victim.runs) if victim.runs is not None else ()
    victim.end()
    for run in found:
        runs.cancel(session, run, f"killed before it began: {reason}", by=by, now=now)
    killed = Killed(
        kind=kind,
        target=victim.target,
        reason=reason,
        aftermath=aftermath,
        runs=tuple(run.id for run in found),
        personal_access_tokens=_revoke_tokens(session, victim, now) if kind is CutOffKind.USER else (),
    )
    record(session, by.did(AuditAction.CUT_OFF_CREATE, now, detail=told(killed), **victim.columns))
    return killed


def find_victim(session: Session, kind: CutOffKind, named: str, by: Actor, now: datetime) -> Victim:
    """``NotFound`` where there is none."""
    return _FIND[kind](session, named, by, now)


def told(killed: Killed) -> dict[str, Any]:
    """What ended, in JSON: for the ledger and for whoever killed."""
    aftermath = killed.aftermath
    return {
        "kind": killed.kind.value,
        "target": killed.target,
        "reason": killed.reason,
        "at": rfc3339(aftermath.at),
        "access_tokens": aftermath.access_tokens,
        "id_tokens": aftermath.id_tokens,
        "runs": list(killed.runs),
        "personal_access_tokens": list(killed.personal_access_tokens),
        "accepted_offline_until": rfc3339(aftermath.accepted_offline_until),
        "audiences": list(aftermath.audiences),
    }


def _revoke_tokens(session: Session, victim: Victim, now: datetime) -> tuple[int, ...]:
    theirs = (PersonalAccessToken.user_id == victim.number) & PersonalAccessToken.revoked_at.is_(None)
    revoked = update(PersonalAccessToken).where(theirs).values(revoked_at=now)
    return tuple(sorted(session.scalars(revoked.returning(PersonalAccessToken.id))))


def _user(session: Session, named: str, by: Actor, now: datetime) -> Victim:
    user = accounts.find_user(session, named)
    return Victim(
        number=user.id,
        target=user_principal(user.id),
        columns={"user": user_principal(user.id)},
        runs=Run.user_id == user.id,
        end=lambda: accounts.set_user_active(session, user, active=False, by=by, now=now),
    )


def _service_account(session: Session, named: str, by: Actor, now: datetime) -> Victim:
    account = accounts.find_service_account(session, named)
    return Victim(
        number=account.id,
        target=service_account_principal(account.id),
        columns={"service_account": service_account_principal(account.id)},
        runs=Run.service_account_id == account.id,
        end=lambda: accounts.set_service_account_active(session, account, active=False, by=by, now=now),
    )


def _delegation(session: Session, named: str, by: Actor, now: datetime) -> Victim:
    number = _number("delegation", named)
    delegation = session.get(Delegation, number)
    if delegation is None:
        raise NotFound(f"there is no delegation {number}")
    tokens = select(IssuedToken.run_id).where(IssuedToken.delegation_id == number)
    return Victim(
        number=number,
        target=str(number),
        columns=_pair(delegation) | {"project": delegation.project and delegation.project.path},
        runs=(Run.delegation_id == number) | Run.id.in_(tokens),
        end=lambda: delegations.revoke(session, number, by=by, now=now),
    )


def _run(session: Session, named: str, _by: Actor, _now: datetime) -> Victim:
    run = runs.find_run(session, _number("run", named))
    return Victim(
        number=run.id,
        target=str(run.id),
        columns=_pair(run) | {"project": run.project.path, "run": run.id},
        runs=Run.id == run.id,
        hold=lambda: runs.held_run(session, run.id),  # a mint for it has committed, or is refused
    )


def _token(session: Session, named: str, _by: Actor, _now: datetime) -> Victim:
    token = session.get(IssuedToken, named) if named.isprintable() else None
    if token is None:
        raise NotFound("token: there is none with this jti")
    return Victim(
        number=named,
        target=named,
        columns=_pair(token) | {"run": token.run_id, "jti": named},
    )


_FIND: Mapping[CutOffKind, Callable[[Session, str, Actor, datetime], Victim]] = {
    CutOffKind.USER: _user,
    CutOffKind.SERVICE_ACCOUNT: _service_account,
    CutOffKind.DELEGATION: _delegation,
    CutOffKind.RUN: _run,
    CutOffKind.TOKEN: _token,
}


def _pair(row: Delegation | Run | IssuedToken) -> dict[str, Any]:
    return {**parties(row.user_id, row.service_account_id)}


def _number(what: str, text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise InvalidInput(f"{what}: is a number")
    return int(text)

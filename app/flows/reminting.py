"""A run mints one of its declared ID tokens anew, with its run token: for as long as it lives, and no more.

The way is that of its first tokens: decided from what is there now, signed, and committed in a transaction
that holds the run and asks again. Whoever ends the run, or what it lives from, comes before or after.
"""

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from math import ceil

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.clock import Clock
from app.db import Database
from app.errors import Denied, InvalidInput, Overtaken, Refusal
from app.flows import runs, unseen_tokens
from app.flows.id_tokens import RunFacts, plan
from app.flows.liveness import TimeIsOver, require_unchanged, time_left, why_end
from app.flows.names import NAME_PATTERN
from app.flows.run_facts import facts_of, variables_for
from app.ledger.actions import AuditAction, Outcome
from app.ledger.models import AuditRow
from app.ledger.record import Actor
from app.secret import Secret
from app.tokens.assembly import IdTokenGrant, Signed
from app.tokens.audiences import Openness
from app.tokens.commit import KeyOvertaken
from app.tokens.mint import Mint
from app.tokens.models import IssuedToken

BURST = 10
EVERY = timedelta(minutes=3)
"""A run may mint ``BURST`` tokens anew and one more of each declared name each ``EVERY``: the masker looks
for them until they are long expired, which takes some 5 MB each, and the ledger has a row of each.
"""


@dataclass(frozen=True)
class Reminted:
    name: str
    token: Secret
    expires_at: datetime


class TooMany(Refusal):
    """The run has minted too often; ``seconds`` later it may again."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"This run has minted too many ID tokens; in {seconds} seconds it may mint another.")
        self.seconds = seconds


@dataclass(frozen=True)
class Reminting:
    database: Database
    clock: Clock
    mint: Mint
    openness: Openness
    default_life: timedelta

    def remint(self, run_id: int, name: str, run_token: Secret, by: Actor) -> Reminted:
        """``run_token`` is the run's, as ``bearer_of`` says. ``Denied`` if the run must end, or if the token
        would have another subject or audience than its first one.
        """
        try:
            facts, grant = self._decide(run_id, name)
            signed = self.mint.id_token(grant, by, _Conditions(self.clock, facts, run_token))
        except KeyOvertaken:
            raise
        except Overtaken as overtaken:
            raise Denied(str(overtaken)) from None
        return Reminted(name, signed.token, datetime.fromtimestamp(signed.claims["exp"], UTC))

    def _decide(self, run_id: int, name: str) -> tuple[RunFacts, IdTokenGrant]:
        now = self.clock()
        with self.database.reading() as session:
            run = runs.find_run(session, run_id)
            if (reason := why_end(session, run_id, now)) is not None:
                raise Denied(reason)
            facts = facts_of(session, run, now)
            if time_left(run, facts.flow, now) <= timedelta(0):
                raise TimeIsOver
            if name not in facts.flow.id_tokens:
                told = name if re.fullmatch(NAME_PATTERN, name) else "this"
                raise InvalidInput(f"name: {told} is no ID token of the flow, which declares {_names(facts)}")
            grant = self._planned(session, facts, name)
            _require_as_first(session, run_id, grant)
            _require_patience(session, facts, now)  # before anything is signed
        return facts, grant

    def _planned(self, session: Session, facts: RunFacts, name: str) -> IdTokenGrant:
        only = replace(facts.flow, id_tokens={name: facts.flow.id_tokens[name]})
        try:
            [grant] = plan(
                session,
                replace(facts, flow=only),
                variables_for(session, facts),
                issuer=self.mint.issuer,
                openness=self.openness,
                default_life=self.default_life,
            )
        except InvalidInput as refusal:  # nothing that the request could say otherwise
            raise Denied(str(refusal)) from None
        return grant


@dataclass(frozen=True)
class _Conditions:
    """Asked in the transaction that mints; leaves the token there for whoever masks the run's output."""

    clock: Clock
    facts: RunFacts
    run_token: Secret

    def __call__(self, session: Session, signed: Signed) -> None:
        run_id, now = self.facts.run_id, self.clock()
        require_unchanged(session, self.facts, now)
        _require_patience(session, self.facts, now)
        unseen_tokens.leave(session, run_id, self.run_token, signed.token)


def _names(facts: RunFacts) -> str:
    return ", ".join(sorted(facts.flow.id_tokens)) or "no ID tokens"


def _require_as_first(session: Session, run_id: int, grant: IdTokenGrant) -> None:
    """Variables and subject of a project may change while a run goes on; what its tokens are for may not."""
    first = (
        select(AuditRow.detail)
        .where(
            AuditRow.run == run_id,
            AuditRow.action == AuditAction.ID_TOKEN_ISSUE.value,
            AuditRow.outcome == Outcome.SUCCESS.value,
            AuditRow.detail["name"].as_string() == grant.name,
        )
        .order_by(AuditRow.at, AuditRow.writer, AuditRow.seq)
    )
    said = session.scalar(first.limit(1))
    audience = said and ((said["aud"],) if isinstance(said["aud"], str) else tuple(said["aud"]))
    if said is None or (said["sub"], audience) != (grant.subject, grant.audience):
        raise Denied(f"{grant.name}: its subject or audience is not the one that this run began with")


def _require_patience(session: Session, facts: RunFacts, now: datetime) -> None:
    """Counted from its first tokens, one of each name, and without them."""
    its_own = (IssuedToken.run_id == facts.run_id) & (IssuedToken.kind == "id")
    minted, began = session.execute(
        select(func.count(), func.min(IssuedToken.issued_at)).where(its_own)
    ).one()
    names = len(facts.flow.id_tokens)
    asked, every = minted - names + 1, EVERY / names
    may = BURST + (now - began) / every if began else BURST
    if asked > may:
        raise TooMany(ceil((asked - may) * every.total_seconds()))

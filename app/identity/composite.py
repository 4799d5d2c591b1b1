"""The pair: one service account acting for one user, by a live delegation."""

from dataclasses import dataclass
from datetime import datetime

from app.identity.facts import Facts
from app.identity.policy import Conjunct, Question, decide


@dataclass(frozen=True)
class Composite:
    """Both parties of a composite identity, and the delegation it lives from."""

    service_account_id: int
    service_account: str
    user_id: int
    user_login: str
    user_email: str
    delegation_id: int
    delegation_scopes: tuple[str, ...] | None
    delegation_expires_at: datetime


def pair(facts: Facts, question: Question, now: datetime) -> Composite | Conjunct:
    """The pair that may do what is asked, or the conjunct that refuses."""
    decision = decide(facts, question, now)
    human, account, delegation = facts.human, facts.service_account, decision.delegation
    if (refusal := decision.refusal) is not None:
        return refusal
    assert human is not None  # noqa: S101 - what an allowed pair has
    assert account is not None  # noqa: S101
    assert delegation is not None  # noqa: S101
    return Composite(
        account.id,
        account.name,
        human.id,
        human.name,
        human.email or "",
        delegation.id,
        delegation.scopes,
        delegation.expires_at,
    )

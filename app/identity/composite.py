"""Who a token names: a human alone, or the pair, one service account acting for one by a live delegation."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from app.identity.facts import Facts
from app.identity.policy import Conjunct, Question, decide


@dataclass(frozen=True, kw_only=True)
class Person:
    """A human whom nobody acts for."""

    user_id: int
    user_login: str
    user_email: str


@dataclass(frozen=True, kw_only=True)
class Composite(Person):
    """The human, the service account that acts for them, and the delegation it lives from."""

    service_account_id: int
    service_account: str
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
        user_id=human.id,
        user_login=human.name,
        user_email=human.email or "",
        service_account_id=account.id,
        service_account=account.name,
        delegation_id=delegation.id,
        delegation_scopes=delegation.scopes,
        delegation_expires_at=delegation.expires_at,
    )


def alone(facts: Facts, permissions: Iterable[str], now: datetime) -> Person | Conjunct:
    """The human of these facts, which name no account, who has each of the permissions there; or the
    conjunct that refuses.
    """
    for permission in permissions:
        if (refusal := decide(facts, Question(permission), now).refusal) is not None:
            return refusal
    human = facts.human
    assert human is not None  # noqa: S101 - an allowed human is one
    return Person(user_id=human.id, user_login=human.name, user_email=human.email or "")

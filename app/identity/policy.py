"""Every allow and deny: one pure function over facts, whose outcome carries the reason of each conjunct.

Human allows AND service account allows AND delegation covers AND the token's scopes cover AND both active.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from app.identity.facts import DelegationFact, Facts, Party, Place
from app.identity.permissions import ADMINISTERING, PERMISSIONS, SCOPES, allows
from app.protocol.principals import service_account_principal, user_principal
from app.protocol.scopes import covers


class ConjunctName(StrEnum):
    HUMAN = "human"
    SERVICE_ACCOUNT = "service_account"
    DELEGATION = "delegation"
    SCOPE = "scope"
    ACTIVE = "active"


@dataclass(frozen=True, slots=True)
class Conjunct:
    name: ConjunctName
    allowed: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Question:
    """May this identity do this here. ``permission`` of ``None``: may it act at all, with these scopes;
    ``scopes`` of ``None``: no token is looked at. A token lives from one delegation, ``delegation_id``, and
    from no other that may exist beside it. A run's token, ``is_of_run``, administers nothing; that of a human
    alone, whom no delegation bounds, is for the run's project, ``project_id``, and allows nothing elsewhere.
    """

    permission: str | None
    scopes: Collection[str] | None = None
    delegation_id: int | None = None
    project_id: int | None = None
    is_of_run: bool = False

    @property
    def needed(self) -> Collection[str]:
        """What a delegation has to cover."""
        return (self.permission,) if self.permission is not None else (self.scopes or ())


@dataclass(frozen=True, slots=True)
class Decision:
    conjuncts: tuple[Conjunct, ...]
    delegation: DelegationFact | None

    @property
    def allowed(self) -> bool:
        return all(each.allowed for each in self.conjuncts)

    @property
    def refusal(self) -> Conjunct | None:
        """The first conjunct that refuses; for the ledger and for callers who may know."""
        return next((each for each in self.conjuncts if not each.allowed), None)


def decide(facts: Facts, question: Question, now: datetime) -> Decision:
    """The intersection. Each conjunct is answered by itself, so that all reasons can be told."""
    delegation, delegated = _delegation(facts, question, now)
    human, account, scope = _human(facts, question), _account(facts, question), _scope(facts, question)
    return Decision((human, account, delegated, scope, _active(facts)), delegation)


def decide_for_the_blind(facts: Facts, question: Question, now: datetime) -> Decision:
    """A denial in words for whoever may not know the place: the same whether anything is there or not."""
    place = facts.place and Place(facts.place.path, None, exists=False)
    return decide(replace(facts, place=place), question, now)


def _human(facts: Facts, question: Question) -> Conjunct:
    if facts.user_id is None:
        account = facts.service_account
        if account is not None and not account.is_composite:
            return _yes(ConjunctName.HUMAN, f"{account.name} acts in its own name")
        return _no(ConjunctName.HUMAN, "there is no human to act for")
    if facts.human is None:
        return _no(ConjunctName.HUMAN, f"{user_principal(facts.user_id)} is no human")
    return _role(ConjunctName.HUMAN, facts.human, facts, question)


def _account(facts: Facts, question: Question) -> Conjunct:
    name = ConjunctName.SERVICE_ACCOUNT
    if facts.service_account_id is None:
        return _yes(name, "no service account takes part")
    account = facts.service_account
    if account is None:
        return _no(name, f"{service_account_principal(facts.service_account_id)} is no service account")
    if facts.user_id is not None and not account.is_composite:
        return _no(name, f"{account.name} acts in its own name, for no human")
    return _role(name, account, facts, question)


def _role(name: ConjunctName, party: Party, facts: Facts, question: Question) -> Conjunct:
    permission, place = question.permission, facts.place
    if place is not None and not place.exists:
        return _no(name, "there is no such project or group, or none that may be seen")
    if permission is None:
        return _yes(name, f"{party.name} is known")
    if permission not in PERMISSIONS:
        return _no(name, "there is no such permission")
    held = f"{party.name} is {party.role.label}" if party.role else f"{party.name} is no member"
    where = f"{held} in {place.path}" if place else held
    if allows(party.role, permission):
        return _yes(name, f"{where}, which has {permission}")
    return _no(name, f"{where}; {permission} needs {PERMISSIONS[permission].label}")


def _delegation(facts: Facts, question: Question, now: datetime) -> tuple[DelegationFact | None, Conjunct]:
    """One delegation must pass every test; the reason is the first test that none passes."""
    name = ConjunctName.DELEGATION
    if facts.user_id is None or facts.service_account_id is None:
        return None, _yes(name, "nobody acts for another")
    left = list(facts.delegations)
    for refusal, test in _delegation_tests(facts, question, now).items():
        left = [each for each in left if test(each)]
        if not left:
            return None, _no(name, refusal)
    return left[0], _yes(name, f"delegation {left[0].id} covers it")


def _delegation_tests(
    facts: Facts, question: Question, now: datetime
) -> dict[str, Callable[[DelegationFact], bool]]:
    """A delegation for one project never covers what is asked about no project."""
    here, needed = {None, facts.place and facts.place.project_id}, question.needed
    known = [each for each in needed if each in PERMISSIONS or each in SCOPES]
    return {
        "there is no delegation": lambda _: True,
        "the delegation that the token lives from is over": lambda each: (
            question.delegation_id in {None, each.id}
        ),
        "the delegation was revoked": lambda each: each.revoked_at is None,
        "the delegation has expired": lambda each: each.expires_at > now,
        "the delegation is for one project, and not for this": lambda each: each.project_id in here,
        f"no delegation covers {' '.join(known) or 'it'}": lambda each: covers(each.scopes, needed),
    }


def _scope(facts: Facts, question: Question) -> Conjunct:
    here = facts.place and facts.place.project_id
    if question.project_id not in {None, here}:
        return _no(ConjunctName.SCOPE, "the token is for the project of its run, and not for this")
    if question.is_of_run and question.permission in ADMINISTERING:
        return _no(ConjunctName.SCOPE, f"no token of a run has {question.permission}")
    if question.permission is None or question.scopes is None:
        return _yes(ConjunctName.SCOPE, "no token's scopes are asked about")
    if covers(question.scopes, (question.permission,)):
        return _yes(ConjunctName.SCOPE, "the token's scopes cover it")
    return _no(ConjunctName.SCOPE, "the token's scopes do not cover it")


def _active(facts: Facts) -> Conjunct:
    parties = [party for party in (facts.human, facts.service_account) if party is not None]
    if dead := [party.name for party in parties if not party.is_active]:
        return _no(ConjunctName.ACTIVE, f"{' and '.join(dead)} {'is' if len(dead) == 1 else 'are'} disabled")
    return _yes(ConjunctName.ACTIVE, "nobody who takes part is disabled")


def _yes(name: ConjunctName, reason: str) -> Conjunct:
    return Conjunct(name, allowed=True, reason=reason)


def _no(name: ConjunctName, reason: str) -> Conjunct:
    return Conjunct(name, allowed=False, reason=reason)

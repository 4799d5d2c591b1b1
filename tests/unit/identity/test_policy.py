"""The intersection: each conjunct by itself refuses, and nothing that one of them refuses is allowed."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import InvalidInput, NotFound
from app.identity import delegations, members, projects
from app.identity.composite import Composite, pair
from app.identity.facts import DelegationFact, Facts, Party, Place, load
from app.identity.permissions import PERMISSIONS, Role, allows
from app.identity.policy import Conjunct, ConjunctName, Question, decide
from tests.support.components import NOW, OPERATOR
from tests.support.effort import count

ROLES = [None, *Role]
ALICE = Party(42, "alice", "alice@example.com", is_active=True, is_composite=False, role=Role.DEVELOPER)
DUO = Party(7, "duo", None, is_active=True, is_composite=True, role=Role.DEVELOPER)
DELEGATION = DelegationFact(3, None, None, NOW + timedelta(days=1), None)
HERE = Place("acme/webapp", 5)
FACTS = Facts(42, 7, ALICE, DUO, (DELEGATION,), HERE)
WRITE = Question("code.write", ("code.write",), 3)


def delegated(**changes):
    return replace(FACTS, delegations=(replace(DELEGATION, **changes),))


def human(**changes):
    return replace(FACTS, human=replace(ALICE, **changes))


def account(**changes):
    return replace(FACTS, service_account=replace(DUO, **changes))


def refusing(decision):
    return [each.name for each in decision.conjuncts if not each.allowed]


def test_all_five_allow():
    decision = decide(FACTS, WRITE, NOW)
    assert decision.allowed
    assert [each.name for each in decision.conjuncts] == list(ConjunctName)
    assert decision.delegation == DELEGATION


ONLY_IT = [
    ("human", human(role=None), WRITE, "alice is no member in acme/webapp; code.write needs developer"),
    (
        "human",
        human(role=Role.REPORTER),
        WRITE,
        "alice is reporter in acme/webapp; code.write needs developer",
    ),
    ("human", replace(FACTS, human=None), WRITE, "user:42 is no human"),
    ("human", replace(FACTS, user_id=None, human=None), WRITE, "there is no human to act for"),
    (
        "service_account",
        account(role=None),
        WRITE,
        "duo is no member in acme/webapp; code.write needs developer",
    ),
    (
        "service_account",
        replace(FACTS, service_account=None),
        WRITE,
        "service_account:7 is no service account",
    ),
    ("service_account", account(is_composite=False), WRITE, "duo acts in its own name, for no human"),
    ("delegation", replace(FACTS, delegations=()), WRITE, "there is no delegation"),
    ("delegation", delegated(revoked_at=NOW), WRITE, "the delegation was revoked"),
    ("delegation", delegated(expires_at=NOW), WRITE, "the delegation has expired"),
    ("delegation", delegated(project_id=6), WRITE, "the delegation is for one project, and not for this"),
    ("delegation", delegated(scopes=("code.read",)), WRITE, "no delegation covers code.write"),
    ("delegation", delegated(id=4), WRITE, "the delegation that the token lives from is over"),
    ("scope", FACTS, replace(WRITE, scopes=("code.read",)), "the token's scopes do not cover it"),
    ("scope", FACTS, replace(WRITE, scopes=()), "the token's scopes do not cover it"),
    ("active", human(is_active=False), WRITE, "alice is disabled"),
    ("active", account(is_active=False), WRITE, "duo is disabled"),
]


@pytest.mark.parametrize(("name", "facts", "question", "reason"), ONLY_IT)
def test_one_conjunct_and_only_it_refuses_and_says_why(name, facts, question, reason):
    decision = decide(facts, question, NOW)
    assert refusing(decision) == [name]
    assert decision.refusal.reason == reason
    assert not decision.allowed


def test_each_conjunct_is_in_the_table():
    assert {name for name, *_ in ONLY_IT} == set(ConjunctName)


@pytest.mark.parametrize("question", [WRITE, Question(None), Question(None, ("code.write",))])
def test_nothing_is_allowed_where_nothing_exists(question):
    gone = replace(FACTS, place=replace(HERE, exists=False))
    assert not decide(gone, question, NOW).allowed
    alone = replace(gone, service_account_id=None, service_account=None)
    assert not decide(alone, question, NOW).allowed


@pytest.mark.parametrize("permission", ["code.delete", "api", ""])
def test_a_permission_that_does_not_exist_is_refused_and_not_repeated(permission):
    decision = decide(replace(FACTS, human=replace(ALICE, role=Role.OWNER)), Question(permission), NOW)
    assert decision.refusal.reason == "there is no such permission"


def test_without_a_place_no_permission_is_anybodys():
    nowhere = replace(
        FACTS, place=None, human=replace(ALICE, role=None), service_account=replace(DUO, role=None)
    )
    assert refusing(decide(nowhere, WRITE, NOW)) == ["human", "service_account"]


def test_a_delegation_for_one_project_does_not_reach_the_group_around_it():
    in_group = replace(delegated(project_id=5), place=Place("acme", None))
    assert refusing(decide(in_group, WRITE, NOW)) == ["delegation"]


def test_a_delegation_that_covers_is_found_beside_those_that_do_not():
    others = [
        replace(DELEGATION, id=10, revoked_at=NOW),
        replace(DELEGATION, id=11, project_id=6),
        replace(DELEGATION, id=12, scopes=("code.read",)),
    ]
    facts = replace(FACTS, delegations=(*others, DELEGATION))
    assert decide(facts, Question("code.write"), NOW).delegation.id == 3


def test_two_delegations_do_not_add_up():
    halves = (replace(DELEGATION, id=10, project_id=6), replace(DELEGATION, id=11, scopes=("code.read",)))
    assert refusing(decide(replace(FACTS, delegations=halves), Question("code.write"), NOW)) == ["delegation"]


def test_an_account_of_its_own_name_needs_no_human_and_no_delegation():
    alone = replace(account(is_composite=False), user_id=None, human=None, delegations=())
    assert decide(alone, Question("code.write", ("api",)), NOW).allowed


def test_a_human_alone_needs_no_delegation():
    alone = replace(FACTS, service_account_id=None, service_account=None, delegations=())
    assert decide(alone, Question("code.write", ("api",)), NOW).allowed


def test_what_is_allowed_is_allowed_to_both(world):
    """Every pair of roles and every permission: allowed(S, U) = allowed(S) and allowed(U)."""
    database = world.components.database
    with database.reading() as session:
        place = Place(world.project, projects.find_project(session, world.project).id)
    for human, account in product(ROLES, ROLES):
        with database.writing() as session:
            project = projects.find_project(session, world.project)
            for named, role in (("user:alice", human), ("service_account:duo", account)):
                members.add_member(session, project, named, (role or Role.GUEST).label, by=OPERATOR, now=NOW)
                session.flush()
                if role is None:
                    members.remove_member(session, project, named, by=OPERATOR, now=NOW)
        with database.reading_connection() as connection:
            facts = load(connection, user_id=world.alice, service_account_id=world.duo, place=place)
        for permission in (*PERMISSIONS, "no.such"):
            decided = decide(facts, Question(permission), NOW)
            may = {"human": allows(human, permission), "service_account": allows(account, permission)}
            assert decided.allowed == all(may.values())
            assert refusing(decided) == [name for name, allowed in may.items() if not allowed]
            assert all(each.reason for each in decided.conjuncts)


# Everything that can be different, drawn from tables: ten thousand examples should not take minutes.
SCOPE_SETS = [None, (), ("api",), *((name,) for name in sorted(PERMISSIONS)), ("code.read", "code.write")]
STANDINGS = list(product([None, *Role], [True, False]))
HUMANS = [None, *(replace(ALICE, role=role, is_active=active) for role, active in STANDINGS)]
ACCOUNTS = [
    None,
    *(
        replace(DUO, role=role, is_active=active, is_composite=composite)
        for (role, active), composite in product(STANDINGS, [True, True, False])
    ),
]
PAST, FUTURE = NOW - timedelta(hours=1), NOW + timedelta(hours=1)
DELEGATIONS = [
    DelegationFact(*fields)
    for fields in product([1, 2], SCOPE_SETS, [None, 5, 6], [PAST, NOW, FUTURE, FUTURE], [None, None, PAST])
]
PLACES = [HERE, HERE, replace(HERE, exists=False), Place("acme", None)]
OWNERS = replace(ALICE, role=Role.OWNER), replace(DUO, role=Role.OWNER)


def mostly(good, others):
    """Four in five are good, so that one fault alone decides often enough."""
    return st.sampled_from([good] * (4 * len(others)) + others)


all_facts = st.builds(
    Facts,
    st.just(42),
    st.just(7),
    mostly(OWNERS[0], HUMANS),
    mostly(OWNERS[1], ACCOUNTS),
    st.lists(mostly(DELEGATION, DELEGATIONS), max_size=2).map(tuple),
    mostly(HERE, PLACES),
)
questions = st.builds(
    Question,
    st.sampled_from([*PERMISSIONS, "code.delete"]),
    mostly(("api",), SCOPE_SETS),
    mostly(None, [1, 2, 3]),
)


def by_the_law(facts, question):
    """The intersection, written down again from the tables alone."""

    def may(party):
        needed = PERMISSIONS.get(question.permission)
        return bool(party and party.is_active and needed and party.role and party.role >= needed)

    def covered(scopes):
        return scopes is None or bool({"api", question.permission} & set(scopes))

    return (
        facts.place.exists
        and may(facts.human)
        and may(facts.service_account)
        and facts.service_account.is_composite
        and covered(question.scopes)
        and any(
            each.revoked_at is None
            and each.expires_at > NOW
            and each.project_id in {None, facts.place.project_id}
            and covered(each.scopes)
            and question.delegation_id in {None, each.id}
            for each in facts.delegations
        )
    )


def test_the_pair_may_no_more_than_its_human_and_no_more_than_its_account():
    answers = Counter()

    @settings(max_examples=count(ci=1000, proof=10_000))
    @given(facts=all_facts, question=questions)
    def law(facts, question):
        allowed = decide(facts, question, NOW).allowed
        answers[allowed] += 1
        assert allowed is by_the_law(facts, question)
        alone = replace(facts, service_account_id=None, service_account=None)
        assert not allowed or decide(alone, replace(question, delegation_id=None), NOW).allowed

    law()
    assert min(answers[True], answers[False]) > sum(answers.values()) / 10


@settings(max_examples=count(ci=200, proof=2000))
@given(facts=all_facts, question=questions)
def test_taking_something_away_never_allows_more(facts, question):
    if decide(facts, question, NOW).allowed:
        return
    for less in (
        replace(facts, human=None),
        replace(facts, service_account=None),
        replace(facts, delegations=facts.delegations[:-1]),
        replace(facts, place=replace(facts.place, exists=False)),
    ):
        assert not decide(less, question, NOW).allowed
    assert not decide(facts, replace(question, scopes=()), NOW).allowed


@settings(max_examples=count(ci=200, proof=2000))
@given(facts=all_facts, question=questions)
def test_every_conjunct_is_answered_once_and_with_a_reason(facts, question):
    decision = decide(facts, question, NOW)
    assert [each.name for each in decision.conjuncts] == list(ConjunctName)
    assert all(each.reason for each in decision.conjuncts)
    assert (decision.refusal is None) is decision.allowed


class TestThePair:
    @pytest.fixture
    def found(self, world):
        def found(*, scopes=(), project=None):
            with world.components.database.reading_connection() as connection:
                facts = load(connection, user_id=world.alice, service_account_id=world.duo, place=project)
            return pair(facts, Question(None, scopes), world.clock())

        return found

    @pytest.fixture
    def revoked(self, world):
        world.change(delegations.revoke, world.delegation)

    def delegate(self, world, *, project=None, scopes=None, life=timedelta(days=1)):
        with world.components.database.writing() as session:
            users, accounts = delegations.User, delegations.ServiceAccount
            return delegations.grant(
                session,
                session.get(users, world.alice),
                session.get(accounts, world.duo),
                scopes=scopes,
                project=project and projects.find_project(session, project),
                expires_at=world.clock() + life,
                by=OPERATOR,
                now=world.clock(),
            ).id

    def test_knows_both_by_name(self, world, found):
        assert found() == Composite(
            service_account_id=world.duo,
            service_account="duo",
            user_id=world.alice,
            user_login="alice",
            user_email="alice@example.com",
            delegation_id=world.delegation,
            delegation_scopes=None,
            delegation_expires_at=NOW + timedelta(days=30),
        )

    @pytest.mark.usefixtures("revoked")
    def test_acts_in_the_delegations_project_alone(self, world, found):
        with world.components.database.writing() as session:
            other = Place(
                "acme/other", projects.create_project(session, "acme/other", by=OPERATOR, now=NOW).id
            )
            own = Place(world.project, projects.find_project(session, world.project).id)
        granted = self.delegate(world, project=world.project)
        assert found(project=own).delegation_id == granted
        assert found(project=other) == Conjunct(
            ConjunctName.DELEGATION,
            allowed=False,
            reason="the delegation is for one project, and not for this",
        )

    @pytest.mark.usefixtures("revoked")
    def test_has_no_project_to_act_in_where_none_is_asked_about(self, world, found):
        self.delegate(world, project=world.project)
        assert found().name is ConjunctName.DELEGATION

    def test_takes_the_widest_delegation_that_covers(self, world, found):
        self.delegate(world, project=world.project, life=timedelta(days=90))
        assert found().delegation_id == world.delegation
        longer = self.delegate(world, life=timedelta(days=60))
        assert found().delegation_id == longer
        self.delegate(world, life=timedelta(days=90), scopes=["code.read"])
        assert found(scopes=["code.write"]).delegation_id == longer

    @pytest.mark.parametrize("scopes", [[], ["everything"], ["api", "user:1"]])
    def test_is_delegated_what_exists(self, world, scopes):
        with pytest.raises(InvalidInput, match="scope: use one or more of"):
            self.delegate(world, scopes=scopes)

    @pytest.mark.parametrize("life", [timedelta(0), -timedelta(seconds=1)])
    def test_is_delegated_for_a_future(self, world, life):
        with pytest.raises(InvalidInput, match="expires: lies in the past"):
            self.delegate(world, life=life)

    def test_is_not_delegated_to_an_account_that_acts_in_its_own_name(self, world):
        world.new_account("robot", is_composite=False)
        with pytest.raises(InvalidInput, match="takes no delegation"):
            world.delegate(account="robot")

    def test_ends_once(self, world):
        first = world.change(delegations.revoke, world.delegation).revoked_at
        world.clock.advance(days=1)
        assert world.change(delegations.revoke, world.delegation).revoked_at == first
        with pytest.raises(NotFound):
            world.change(delegations.revoke, 4711)

    def test_is_told_of_under_both_names(self, world):
        world.change(delegations.revoke, world.delegation)
        for event in (
            *world.events("identity:delegation:grant"),
            *world.events("identity:delegation:revoke"),
        ):
            assert event.user == f"user:{world.alice}"
            assert event.service_account == f"service_account:{world.duo}"
            assert event.detail == {"delegation": world.delegation, "scopes": None}

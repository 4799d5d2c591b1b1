"""The intersection: what both parties may, and nothing else; each denial says whose it is."""

from datetime import timedelta
from itertools import product

import pytest

from app.errors import InvalidInput, NotFound
from app.identity import delegations, policy, projects
from app.identity.composite import Composite, act_for
from app.identity.permissions import PERMISSIONS, Role, allows, role_named
from app.identity.policy import Allowed, Conjunct, Denied
from tests.support.components import NOW, OPERATOR

ROLES = [None, *Role]


@pytest.mark.parametrize("role", Role)
def test_a_role_has_each_permission_from_its_own_up(role):
    for permission, needed in PERMISSIONS.items():
        assert allows(role, permission) == (role >= needed)


@pytest.mark.parametrize("role", ROLES)
def test_an_unknown_permission_is_nobodys(role):
    for permission in ("", "api", "code", "code.*", "*", "code.read "):
        assert not allows(role, permission)
    assert not any(allows(None, permission) for permission in PERMISSIONS)


def test_a_role_is_found_by_its_label():
    assert [role_named(role.label) for role in Role] == list(Role)
    assert role_named("Owner") is None


def test_what_is_allowed_is_allowed_to_both(world):
    """Every pair of roles and every permission: allowed(S, U) = allowed(S) and allowed(U)."""
    database = world.components.database
    with database.reading() as session:
        number = projects.find_project(session, world.project).id
    for human, account in product(ROLES, ROLES):
        with database.writing() as session:
            project = projects.find_project(session, world.project)
            for named, role in (("user:alice", human), ("service_account:duo", account)):
                projects.add_member(session, project, named, (role or Role.GUEST).label, by=OPERATOR, now=NOW)
                session.flush()
                if role is None:
                    projects.remove_member(session, project, named, by=OPERATOR, now=NOW)
        with database.reading_connection() as connection:
            for permission in (*PERMISSIONS, "no.such"):
                decided = policy.decide(
                    connection,
                    permission,
                    project_id=number,
                    user_id=world.alice,
                    service_account_id=world.duo,
                )
                expected = allows(human, permission) and allows(account, permission)
                assert isinstance(decided, Allowed) == expected
                if isinstance(decided, Denied):
                    guilty = Conjunct.SERVICE_ACCOUNT if allows(human, permission) else Conjunct.HUMAN
                    assert decided.conjunct is guilty
                    assert decided.reason


class TestThePair:
    @pytest.fixture
    def pair(self, world):
        def pair(*, user=None, scopes=(), project=None):
            with world.components.database.reading_connection() as connection:
                return act_for(
                    connection,
                    service_account_id=world.duo,
                    service_account="duo",
                    user_id=user or world.alice,
                    scopes=scopes,
                    project_id=project,
                    now=world.clock(),
                )

        return pair

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

    def test_knows_both_by_name(self, world, pair):
        assert pair() == Composite(
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
    def test_acts_in_the_delegations_project_alone(self, world, pair):
        with world.components.database.writing() as session:
            other = projects.create_project(session, "acme/other", by=OPERATOR, now=NOW).id
            own = projects.find_project(session, world.project).id
        granted = self.delegate(world, project=world.project)
        assert pair(project=own).delegation_id == granted
        assert pair(project=other).conjunct is Conjunct.DELEGATION

    def test_takes_the_widest_delegation_that_covers(self, world, pair):
        self.delegate(world, project=world.project, life=timedelta(days=90))
        assert pair().delegation_id == world.delegation
        longer = self.delegate(world, life=timedelta(days=60))
        assert pair().delegation_id == longer
        self.delegate(world, life=timedelta(days=90), scopes=["code.read"])
        assert pair(scopes=["code.write"]).delegation_id == longer

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

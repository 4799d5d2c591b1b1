"""Users, service accounts, their credentials, projects and members; each change told in the ledger."""

import re
from datetime import timedelta

import pytest

from app.errors import Conflict, InvalidInput, NotFound
from app.identity import accounts, credentials, members, projects
from app.ledger.models import AuditRow
from app.ledger.search import ORDER
from tests.support.components import NOW, OPERATOR

BY_NOW = {"by": OPERATOR, "now": NOW}
GOOD_NAMES = ["a", "alice", "alice.b", "a_b", "a-b", "0a", "a" * 63, "sa_x", "sa_0"]
BAD_NAMES = ["", "Alice", ".a", "-a", "_a", "a b", "a/b", "a:b", "ä", "a\n", "a" * 64, "a@b", "\u0661"]
GOOD_PATHS = ["a/b", "acme/webapp", "acme/team/webapp", "a.b/c_d", "a" * 49 + "/" + "b" * 50]
BAD_PATHS = [
    *("", "a", "/a", "a/", "a//b", "A/b", "a/B", "a/.b", "a/b.", "a/b/..", "a/b:c", "a/ b", "ä/b", "a/b\n"),
    "a" * 50 + "/" + "b" * 50,
    "a/" + "b" * 64,
]


@pytest.fixture
def session(shared_components):
    """Nothing of it stays."""
    with shared_components.database.writing() as session:
        yield session
        session.rollback()


def told(session):
    return [
        (row.action, row.user, row.service_account, row.project)
        for row in session.query(AuditRow).order_by(*ORDER)
        if not row.action.startswith("keys:")
    ]


class TestAName:
    @pytest.mark.parametrize("name", GOOD_NAMES)
    def test_is_short_and_plain(self, session, name):
        assert accounts.create_user(session, name, "a@example.com", is_admin=False, **BY_NOW).login == name
        assert accounts.create_service_account(session, name, is_composite=True, **BY_NOW).name == name

    @pytest.mark.parametrize("name", BAD_NAMES)
    def test_of_any_other_kind_is_refused(self, session, name):
        with pytest.raises(InvalidInput, match="login: use"):
            accounts.create_user(session, name, "a@example.com", is_admin=False, **BY_NOW)
        with pytest.raises(InvalidInput, match="name: use"):
            accounts.create_service_account(session, name, is_composite=True, **BY_NOW)
        assert told(session) == []

    @pytest.mark.parametrize("name", ["0", "42", "sa_3"])
    def test_is_never_what_a_number_or_a_client_id_looks_like(self, session, name):
        with pytest.raises(InvalidInput, match=r"login: reads as a number or a client id: choose"):
            accounts.create_user(session, name, "a@example.com", is_admin=False, **BY_NOW)
        with pytest.raises(InvalidInput, match=r"name: reads as a number or a client id: choose"):
            accounts.create_service_account(session, name, is_composite=True, **BY_NOW)

    def test_that_is_taken_is_refused(self, components):
        with components.database.writing() as session:
            accounts.create_user(session, "alice", "a@example.com", is_admin=False, **BY_NOW)
        with pytest.raises(Conflict, match="login: is taken"), components.database.writing() as session:
            accounts.create_user(session, "alice", "b@example.com", is_admin=False, **BY_NOW)
        with components.database.reading() as session:
            assert len(told(session)) == 1


@pytest.mark.parametrize(
    "email", ["", "a", "a@", "@b", "a b@c", "ä@example.com", "a@b@c", "a@exämple.com", "a\n@b.c"]
)
def test_an_email_is_an_address_in_ascii(session, email):
    with pytest.raises(InvalidInput, match="email: write"):
        accounts.create_user(session, "alice", email, is_admin=False, **BY_NOW)


class TestFinding:
    @pytest.fixture
    def people(self, session):
        alice = accounts.create_user(session, "alice", "a@example.com", is_admin=False, **BY_NOW)
        duo = accounts.create_service_account(session, "duo", is_composite=True, **BY_NOW)
        return session, alice.id, duo.id

    def test_a_user_by_login_or_number(self, people):
        session, alice, _ = people
        assert accounts.find_user(session, "alice").id == accounts.find_user(session, f"user:{alice}").id

    def test_an_account_by_name_number_or_client_id(self, people):
        session, _, duo = people
        for named in ("duo", f"service_account:{duo}", f"sa_{duo}"):
            assert accounts.find_service_account(session, named).id == duo

    def test_nobody_by_the_others_number(self, people):
        session, alice, duo = people
        for named in (f"user:{duo}", f"service_account:{alice}", "bob", str(alice), "user:0", ""):
            with pytest.raises(NotFound):
                accounts.find_user(session, named)
        for named in (f"service_account:{alice}", f"user:{duo}", f"sa_{alice}", "alice"):
            with pytest.raises(NotFound):
                accounts.find_service_account(session, named)


class TestASecret:
    @pytest.fixture
    def duo(self, session):
        return accounts.create_service_account(session, "duo", is_composite=True, **BY_NOW)

    def test_has_256_random_bits_behind_a_prefix_that_scanners_know(self, session, duo):
        made = [credentials.create_client_secret(session, duo, expires_at=None, **BY_NOW) for _ in range(5)]
        values = {value.reveal() for _, value in made}
        assert len(values) == 5
        assert all(re.fullmatch(r"cssa_[A-Za-z0-9_-]{43}", value) for value in values)

    def test_is_stored_as_a_hash(self, session, duo):
        row, value = credentials.create_client_secret(session, duo, expires_at=None, **BY_NOW)
        assert re.fullmatch(r"[0-9a-f]{64}", row.sha256)
        assert value.reveal() not in repr(vars(row))

    def test_of_another_account_cannot_be_revoked(self, session, duo):
        other = accounts.create_service_account(session, "other", is_composite=True, **BY_NOW)
        row, _ = credentials.create_client_secret(session, other, expires_at=None, **BY_NOW)
        with pytest.raises(NotFound):
            credentials.revoke_client_secret(session, duo, row.id, **BY_NOW)
        with pytest.raises(NotFound):
            credentials.revoke_client_secret(session, duo, 4711, **BY_NOW)

    def test_is_told_of_by_its_number_alone(self, session, duo):
        row, _ = credentials.create_client_secret(session, duo, expires_at=None, **BY_NOW)
        credentials.revoke_client_secret(session, duo, row.id, **BY_NOW)
        events = session.query(AuditRow).filter(AuditRow.action.like("%client_secret%")).all()
        assert [event.action.rpartition(":")[2] for event in events] == ["create", "revoke"]
        assert all(event.detail == {"secret": row.id} for event in events)
        assert {event.service_account for event in events} == {f"service_account:{duo.id}"}

    def test_is_revoked_once(self, session, duo):
        row, _ = credentials.create_client_secret(session, duo, expires_at=None, **BY_NOW)
        credentials.revoke_client_secret(session, duo, row.id, **BY_NOW)
        later = NOW.replace(year=2027)
        assert (
            credentials.revoke_client_secret(session, duo, row.id, by=OPERATOR, now=later).revoked_at == NOW
        )


@pytest.mark.parametrize("ago", [timedelta(), timedelta(seconds=1)])
def test_no_credential_is_born_expired(session, ago):
    alice = accounts.create_user(session, "alice", "a@example.com", is_admin=False, **BY_NOW)
    duo = accounts.create_service_account(session, "duo", is_composite=True, **BY_NOW)
    with pytest.raises(InvalidInput, match="expires: does not lie in the future"):
        credentials.create_personal_access_token(session, alice, ["api"], expires_at=NOW - ago, **BY_NOW)
    with pytest.raises(InvalidInput, match="expires: does not lie in the future"):
        credentials.create_client_secret(session, duo, expires_at=NOW - ago, **BY_NOW)


class TestAPersonalAccessToken:
    @pytest.fixture
    def alice(self, session):
        return accounts.create_user(session, "alice", "a@example.com", is_admin=False, **BY_NOW)

    def test_has_its_own_prefix_and_sorted_scopes(self, session, alice):
        row, value = credentials.create_personal_access_token(
            session, alice, ["flow.start", "code.read", "code.read"], expires_at=None, **BY_NOW
        )
        assert re.fullmatch(r"cspat_[A-Za-z0-9_-]{43}", value.reveal())
        assert row.scopes == ["code.read", "flow.start"]

    @pytest.mark.parametrize("scopes", [[], ["everything"], ["api", "user:1"], ["API"]])
    def test_has_scopes_that_exist(self, session, alice, scopes):
        with pytest.raises(InvalidInput, match="scope: use one or more of api"):
            credentials.create_personal_access_token(session, alice, scopes, expires_at=None, **BY_NOW)

    def test_is_revoked_by_number(self, session, alice):
        row, _ = credentials.create_personal_access_token(session, alice, ["api"], expires_at=None, **BY_NOW)
        assert credentials.revoke_personal_access_token(session, row.id, **BY_NOW).revoked_at == NOW
        with pytest.raises(NotFound):
            credentials.revoke_personal_access_token(session, 4711, **BY_NOW)


class TestAProject:
    @pytest.mark.parametrize("path", GOOD_PATHS)
    def test_lies_in_a_group(self, session, path):
        project = projects.create_project(session, path, **BY_NOW)
        assert (project.path, project.group.path) == (path, path.rpartition("/")[0])

    @pytest.mark.parametrize("path", BAD_PATHS)
    def test_has_a_path_of_plain_segments(self, session, path):
        with pytest.raises(InvalidInput, match="path: write GROUP/PROJECT"):
            projects.create_project(session, path, **BY_NOW)

    def test_shares_its_group_and_not_its_path(self, session):
        one = projects.create_project(session, "acme/one", **BY_NOW)
        two = projects.create_project(session, "acme/two", **BY_NOW)
        assert one.group.id == two.group.id
        with pytest.raises(Conflict, match="path: is taken by a project"):
            projects.create_project(session, "acme/one", **BY_NOW)

    def test_has_variables_whose_names_alone_are_told(self, session):
        project = projects.create_project(session, "acme/one", **BY_NOW)
        projects.set_variables(session, project, {"B": "canary", "A": "1"}, **BY_NOW)
        projects.set_variables(session, project, {"A": "2"}, **BY_NOW)
        session.flush()
        assert projects.variables_of(session, project.id) == {"A": "2", "B": "canary"}
        details = [row.detail for row in session.query(AuditRow).filter(AuditRow.action.like("%variable%"))]
        assert details == [{"names": ["A", "B"]}, {"names": ["A"]}]


class TestAMember:
    @pytest.fixture
    def project(self, session):
        accounts.create_user(session, "alice", "a@example.com", is_admin=False, **BY_NOW)
        accounts.create_service_account(session, "duo", is_composite=True, **BY_NOW)
        return projects.create_project(session, "acme/one", **BY_NOW)

    @pytest.mark.parametrize("named", ["user:alice", "service_account:duo"])
    def test_added_again_has_the_new_role(self, session, project, named):
        for role in ("guest", "developer"):
            member = members.add_member(session, project, named, role, **BY_NOW)
        assert member.role == "developer"
        session.flush()
        members.remove_member(session, project, named, **BY_NOW)
        session.flush()
        with pytest.raises(NotFound, match="is not a member"):
            members.remove_member(session, project, named, **BY_NOW)
        assert [action.rpartition(":")[2] for action, *_ in told(session)[-3:]] == ["add", "add", "remove"]

    @pytest.mark.parametrize("named", ["alice", "robot:duo", "", ":", "group:1"])
    def test_is_named_with_its_kind(self, session, project, named):
        with pytest.raises(InvalidInput, match="principal: write"):
            members.add_member(session, project, named, "developer", **BY_NOW)

    @pytest.mark.parametrize(
        "named", ["user:duo", "service_account:alice", "user:", "user:4711", "user:\u0667"]
    )
    def test_exists(self, session, project, named):
        with pytest.raises(NotFound):
            members.add_member(session, project, named, "developer", **BY_NOW)

    @pytest.mark.parametrize("role", ["", "Developer", "admin", "developer "])
    def test_has_a_role_that_exists(self, session, project, role):
        with pytest.raises(InvalidInput, match="role: use one of guest, reporter, developer"):
            members.add_member(session, project, "user:alice", role, **BY_NOW)

"""How an operator lets a human in: links, passwords, sessions, and who reads without changing."""

import re
from datetime import datetime, timedelta

import pytest

from app.cli import console
from app.identity import accounts, sessions, sign_in_links
from app.identity.sessions import Browser, Method
from app.secret import Secret
from app.settings import Settings
from tests.support.server import Installation

GOOD = "four random words"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    installation = Installation(tmp_path_factory.mktemp("installation"))
    installation.invoke("init")
    installation.invoke("user", "create", "alice", "--email", "alice@example.com")
    return installation


@pytest.fixture
def command(installed):
    return installed.invoke


@pytest.fixture
def here(installed):
    opened = console.Installation(Settings.from_env(installed.environment))
    yield opened
    opened.components.database.dispose()


def sign_in(here, password):
    browser = Browser(agent="Firefox", address="192.0.2.1")
    return here.components.password_sign_in.sign_in("alice", Secret(password), browser)


class TestASignInLink:
    def test_is_printed_alone(self, command):
        shown = command("user", "sign-in-link", "alice")
        assert re.fullmatch(r"http://localhost:[0-9]+/console/sign-in#[A-Za-z0-9_-]{43}\n", shown.stdout)
        assert shown.stderr == ""

    def test_signs_in_who_it_names_for_a_quarter_of_an_hour(self, command, here):
        shown = command("user", "sign-in-link", "alice", json=True).data
        assert shown.keys() == {"url", "expires_at"}
        left = datetime.fromisoformat(shown["expires_at"]) - here.now
        assert timedelta(minutes=14) < left <= timedelta(minutes=15)
        secret = Secret(shown["url"].partition("#")[2])
        with here.writing() as session:
            assert sign_in_links.redeem(session, secret, here.now).login == "alice"

    def test_is_not_made_for_nobody(self, command):
        assert "there is no user 'bob'" in command("user", "sign-in-link", "bob", exit_code=1).stderr

    def test_is_not_made_for_a_disabled_user(self, command):
        command("user", "create", "dora", "--email", "dora@example.com")
        command("user", "disable", "dora")
        refused = command("user", "sign-in-link", "dora", exit_code=1)
        assert "dora is disabled: countersign user enable dora" in refused.stderr


class TestAPassword:
    @pytest.mark.parametrize("ending", ["", "\n", "\nmore\n"])
    def test_is_the_first_line_of_stdin(self, command, here, ending):
        shown = command("user", "password", "set", "alice", stdin=GOOD + ending, json=True)
        assert shown.data.keys() == {"user", "login", "sessions_ended"}
        assert GOOD not in shown.stdout + shown.stderr
        begun = sign_in(here, GOOD)
        again = command("user", "password", "set", "alice", stdin=GOOD + ending, json=True)
        assert again.data["sessions_ended"] == [begun.id]

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ("", "password: use at least 12 characters"),
            ("password1234", "password: is among those that are tried first"),
            ("a" * 20_000, "password: use at most 128 characters"),
        ],
    )
    def test_that_may_not_be_is_refused_and_not_repeated(self, command, given, said):
        refused = command("user", "password", "set", "alice", stdin=given, exit_code=1)
        assert said in refused.stderr
        assert not given or given not in refused.stderr

    def test_is_never_an_argument(self, command):
        command("user", "password", "set", "alice", GOOD, exit_code=2)


class TestSessions:
    @pytest.fixture
    def begun(self, here):
        with here.writing() as session:
            alice = accounts.find_user(session, "alice")
            browser = Browser(agent="Firefox", address="192.0.2.1")
            return sessions.begin(session, alice, method=Method.LINK, browser=browser, now=here.now)

    def test_are_listed_and_ended(self, command, begun):
        [row] = command("user", "session", "list", "alice", json=True).data
        moments = ("created_at", "authenticated_at", "last_seen_at", "expires_at")
        assert row.keys() == {"id", "method", "agent", "network", *moments}
        assert (row["id"], row["network"]) == (begun.id, "192.0.2.0/24")
        command("user", "session", "revoke", "alice", str(begun.id))
        assert command("user", "session", "list", "alice", json=True).data == []

    def test_of_somebody_else_are_not_there(self, command, begun):
        command("user", "create", "eve", "--email", "eve@example.com")
        refused = command("user", "session", "revoke", "eve", str(begun.id), exit_code=1)
        assert f"there is no session {begun.id} of this user" in refused.stderr


@pytest.mark.parametrize(
    ("options", "admin", "auditor"),
    [((), False, False), (("--auditor",), False, True), (("--admin", "--auditor"), True, True)],
)
def test_an_auditor_is_made_with_or_without_being_an_administrator(command, options, admin, auditor):
    login = "-".join(["user", *(option.strip("-") for option in options)])
    made = command("user", "create", login, "--email", "u@example.com", *options, json=True).data
    assert (made["admin"], made["auditor"]) == (admin, auditor)

"""Sessions, passwords and sign-in links over HTTP."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import g

from app.errors import Denied
from app.identity import accounts, passwords, sessions
from app.identity.guesses import OF_A_LOGIN, OF_A_NETWORK, Guessing
from app.identity.sessions import Browser, Method
from app.identity.sign_in_links import redeem
from app.operations.passwords import passwords as password_operations
from app.operations.passwords import set_password
from app.operations.sessions import sessions as session_operations
from app.operations.sign_in_links import issue_sign_in_link, sign_in_links
from app.secret import Secret
from app.web.visit import Visit
from tests.support.components import ISSUER, OPERATOR, on_every_database

from .conftest import CALLERS, problem

GOOD, BETTER = "vellum harbor quince tally", "orchid lantern gravel mosaic"
IN_PERSON = (401, 401, 403, 403, 403)
SESSIONS = "/users/alice/sessions"
PASSWORD = "/users/alice/password"
TABLE = [
    ("list_sessions", "GET", SESSIONS, None, (*IN_PERSON, 404, 200, 200)),
    ("list_sessions", "GET", "/users/none/sessions", None, (*IN_PERSON, 404, 404, 404)),
    ("get_session", "GET", f"{SESSIONS}/{{session}}", None, (*IN_PERSON, 404, 200, 200)),
    ("get_session", "GET", f"{SESSIONS}/999", None, (*IN_PERSON, 404, 404, 404)),
    ("get_session", "GET", "/users/root/sessions/{session}", None, (*IN_PERSON, 404, 404, 404)),
    ("end_session", "DELETE", f"{SESSIONS}/999", None, (*IN_PERSON, 404, 404, 404)),
    ("end_other_sessions", "DELETE", "/users/bob/sessions", None, (*IN_PERSON, 204, 404, 204)),
    ("get_password", "GET", PASSWORD, None, (*IN_PERSON, 404, 200, 200)),
    ("set_password", "PUT", "/users/bob/password", {"password": GOOD}, (*IN_PERSON, 403, 404, 403)),
    ("set_password", "PUT", "/users/none/password", {"password": GOOD}, (*IN_PERSON, 404, 404, 404)),
    ("issue_sign_in_link", "POST", "/users/alice/sign-in-link", None, (*IN_PERSON, 403, 403, 403)),
    ("issue_sign_in_link", "POST", "/users/none/sign-in-link", None, (*IN_PERSON, 403, 403, 403)),
]
CELLS = [
    pytest.param(*row[1:4], caller, status, id=f"{row[0]}-{row[2]}-{caller}".replace(" ", "-"))
    for row in TABLE
    for caller, status in zip(CALLERS, row[4], strict=True)
]


def begin(api, login="alice", agent="tests"):
    """A session's number and its secret."""
    parts = api.world.components
    with parts.database.writing() as session:
        user = accounts.find_user(session, login)
        browser = Browser(agent=agent, address="198.51.100.7")
        begun = sessions.begin(session, user, method=Method.LINK, browser=browser, now=parts.clock())
    return begun.id, begun.secret


def is_alive(api, secret):
    parts = api.world.components
    with parts.database.reading_connection() as connection:
        return sessions.authenticate(connection, secret, parts.clock(), parts.session_limits) is not None


def give_password(api, password=GOOD, login="alice"):
    parts = api.world.components
    new = passwords.hashed(Secret(password), login, f"{login}@example.com")
    with parts.database.writing() as session:
        user = accounts.find_user(session, login)
        passwords.set_password(session, user, new, by=OPERATOR, now=parts.clock())


def sign_in(api, password, login="alice"):
    browser = Browser(agent="tests", address="198.51.100.7")
    return api.world.components.password_sign_in.sign_in(login, Secret(password), browser)


def in_the_console(api, handler, **given):
    """Root's, who signed in there a moment ago."""
    parts = api.world.components
    _, secret = begin(api, "root")
    with parts.database.reading_connection() as connection:
        holder = sessions.authenticate(connection, secret, parts.clock(), parts.session_limits)
    with api.world.http.application.app_context():
        g.address = "198.51.100.7"
        return Visit(parts, holder, secret, "0123456789abcdef").ask(handler, **given)


def test_the_table_has_every_operation():
    resources = (session_operations, password_operations, sign_in_links)
    assert {row[0] for row in TABLE} == {each.id for resource in resources for each in resource.operations}


@pytest.fixture(scope="module")
def number(shared_api):
    return begin(shared_api)[0]


@pytest.mark.parametrize(("method", "path", "body", "caller", "status"), CELLS)
def test_a_cell(shared_api, number, method, path, body, caller, status):
    path = path.format(session=number)
    answer = shared_api(caller, method, path, body)
    assert answer.status_code == status, answer.text
    if status >= 400:
        problem(answer, status)


@on_every_database
def test_a_session_is_told_without_its_secret_and_ends_at_once(api):
    number, secret = begin(api, agent="<script>alert(1)</script>")
    told = api("alice", "GET", SESSIONS).get_json()
    [one] = told["items"]
    assert (one["id"], one["network"], one["method"], one["current"]) == (
        number,
        "198.51.100.0/24",
        "link",
        False,
    )
    assert secret.reveal() not in str(told)
    assert api("alice", "GET", f"{SESSIONS}/{number}").get_json() == one
    ended = api("alice", "DELETE", f"{SESSIONS}/{number}")
    assert ended.status_code == 204
    assert not is_alive(api, secret)
    [row] = api.told(ended)
    assert (row.action, row.detail) == ("identity:session:revoke", {"sessions": [number]})
    problem(api("alice", "DELETE", f"{SESSIONS}/{number}"), 404)
    assert api("alice", "GET", SESSIONS).get_json()["items"] == []


def test_the_newest_sign_in_comes_first_a_page_at_a_time(api):
    numbers = [begin(api)[0] for _ in range(3)]
    first = api("alice", "GET", f"{SESSIONS}?limit=2").get_json()
    rest = api("alice", "GET", f"{SESSIONS}?limit=2&cursor={first['next_cursor']}").get_json()
    assert [each["id"] for each in first["items"] + rest["items"]] == numbers[::-1]
    assert rest["next_cursor"] is None


def test_what_has_ended_by_itself_is_not_told(api):
    begin(api)
    api.world.clock.advance(days=2)
    assert api("alice", "GET", SESSIONS).get_json()["items"] == []


def test_a_token_has_no_session_of_its_own_and_ends_them_all(api):
    ours, others = [begin(api)[1] for _ in range(2)], begin(api, "bob")[1]
    assert api("alice", "DELETE", SESSIONS).status_code == 204
    assert [is_alive(api, secret) for secret in (*ours, others)] == [False, False, True]


def test_an_administrator_sets_anothers_password_which_ends_their_sessions(api):
    number, secret = begin(api)
    assert api("alice", "GET", PASSWORD).get_json() == {"set": False, "changed_at": None}
    answer = in_the_console(api, set_password, login="alice", body={"password": GOOD})
    assert answer == {
        "user": f"user:{api.world.alice}",
        "login": "alice",
        "sessions_ended": [number],
    }
    assert not is_alive(api, secret)
    assert api("alice", "GET", PASSWORD).get_json()["set"] is True
    assert is_alive(api, sign_in(api, GOOD).secret)
    assert GOOD not in str([vars(row) for row in api.world.events()])


def test_ones_own_asks_for_the_present_one(api):
    give_password(api)
    for present, word in ((None, "is required"), ("", "is required"), ("not this one", "not your present")):
        refused = problem(api("alice", "PUT", PASSWORD, {"password": BETTER, "present": present}), 422)
        [fault] = refused["errors"]
        assert (fault["key"], word in fault["fix"]) == ("present", True)
        assert "not this one" not in str(refused)
    assert api("alice", "PUT", PASSWORD, {"password": BETTER, "present": GOOD}).status_code == 200
    assert is_alive(api, sign_in(api, BETTER).secret)


def test_a_wrong_present_one_is_a_guess_and_guesses_have_an_end(api):
    give_password(api)
    wrong = {"password": BETTER, "present": "not this one"}
    for _ in range(OF_A_LOGIN):
        assert api("alice", "PUT", PASSWORD, wrong).status_code == 422
        api.world.clock.advance(seconds=2)
    assert api.last_event().detail["cause"] == "the password is wrong"
    refused = api("alice", "PUT", PASSWORD, wrong | {"present": GOOD})
    problem(refused, 429)
    assert 0 < int(refused.headers["Retry-After"]) <= 15 * 60
    api.world.clock.advance(minutes=16)
    assert api("alice", "PUT", PASSWORD, wrong | {"present": GOOD}).status_code == 200


@pytest.mark.parametrize(("address", "status"), [("", 200), ("198.51.100.7", 200), ("127.0.0.1", 429)])
def test_guesses_shut_out_the_network_that_they_come_from_and_no_other(api, address, status):
    give_password(api)
    parts = api.world.components
    for number in range(OF_A_NETWORK):
        Guessing(parts.database, b"any").take(f"nobody{number}", address, parts.clock())
    changed = api("alice", "PUT", PASSWORD, {"password": BETTER, "present": GOOD})
    assert changed.status_code == status


@pytest.mark.parametrize(
    ("password", "word"),
    [
        ("short", "at least"),
        ("alice@example.com", "your login"),
        ("password1234", "tried first"),
        ("a" * 600, ""),
    ],
)
def test_a_bad_one_is_refused_and_not_repeated(api, password, word):
    give_password(api)
    refused = problem(api("alice", "PUT", PASSWORD, {"password": password, "present": GOOD}), 422)
    assert refused["errors"][0]["key"] == "password"
    assert word in refused["errors"][0]["fix"]
    assert password not in str(refused)


def test_a_token_makes_itself_no_other_human(api):
    """It would be one in person, and outlive its own end."""
    for method, path, body in (
        ("PUT", PASSWORD, {"password": GOOD}),
        ("POST", "/users/alice/sign-in-link", None),
        ("POST", "/users/root/sign-in-link", None),
    ):
        refused = problem(api("administrator", method, path, body), 403)
        assert "in the console, or on the server with countersign user" in refused["detail"]
    assert api("alice", "GET", PASSWORD).get_json()["set"] is False


def test_a_token_leaves_no_first_password_behind(api):
    refused = problem(api("alice", "PUT", PASSWORD, {"password": GOOD}), 403)
    assert "console" in refused["detail"]
    problem(api("administrator", "PUT", "/users/root/password", {"password": GOOD}), 403)


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
@pytest.mark.usefixtures("unhurried")
def test_two_at_once_leave_one_of_the_two(api):
    with ThreadPoolExecutor(2) as pool:
        asked = [
            pool.submit(in_the_console, api, set_password, login="alice", body={"password": each})
            for each in (GOOD, BETTER)
        ]
        assert [each.result(timeout=60)["login"] for each in asked] == ["alice", "alice"]


def test_a_link_is_handed_out_once_with_its_secret_in_the_fragment(api):
    url = in_the_console(api, issue_sign_in_link, login="alice")["url"]
    where, _, secret = url.partition("#")
    assert where == f"{ISSUER}/console/sign-in"
    assert len(secret) == 43
    assert secret not in str([vars(row) for row in api.world.events()])
    assert api.last_event().action == "identity:sign_in_link:issue"
    with api.world.components.database.writing() as session:
        assert redeem(session, Secret(secret), api.world.clock()).login == "alice"


def test_none_is_made_for_whoever_is_disabled(api):
    api.world.set_active("alice", active=False)
    with pytest.raises(Denied, match="disabled"):
        in_the_console(api, issue_sign_in_link, login="alice")

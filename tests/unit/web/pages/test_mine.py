"""Sessions, personal access tokens and the password of whoever looks."""

import re

import pytest

from app.identity import accounts, passwords, sessions
from app.identity.guesses import OF_A_LOGIN
from app.identity.permissions import SCOPES
from app.identity.sessions import Browser, Method
from app.secret import Secret
from app.web.agents import named
from app.web.scopes import MEANINGS
from tests.support.console_client import text_of

MARKUP = "<script>alert(1)</script>\"'"
GOOD, BETTER = "vellum harbor quince tally", "orchid lantern gravel mosaic"
NEW = {"password": BETTER, "again": BETTER}
TOKEN = r"cspat_[A-Za-z0-9_-]{43}"


@pytest.fixture
def alice(visit):
    return visit("alice")


def give_password(world, password=GOOD):
    new = passwords.hashed(Secret(password), "alice", "alice@example.com")
    world.change(lambda s, **by: passwords.set_password(s, accounts.find_user(s, "alice"), new, **by))


def session_ids(visitor):
    return [int(each) for each in re.findall(r"/mine/sessions/(\d+)/end", visitor.get("/mine").text)]


def test_this_session_is_marked_and_is_left_by_signing_out(alice):
    page = alice.get("/mine")
    assert "this one" in text_of(page)
    assert session_ids(alice) == []
    assert "End all others" not in page.text
    assert page.text.count('action="/console/sign-out"') == 2


def test_another_is_ended_and_that_browser_is_at_the_door(visit, alice):
    other = visit("alice")
    [number] = session_ids(alice)
    ended = alice.post(f"/mine/sessions/{number}/end")
    assert (ended.status_code, ended.location) == (303, "/console/mine")
    assert "That session has ended." in text_of(alice.get("/mine"))
    assert other.get("/mine").location.startswith("/console/sign-in")


def test_all_others_end_at_once(visit, alice):
    others = [visit("alice") for _ in range(3)]
    assert alice.post("/mine/sessions/end-others").status_code == 303
    assert {other.get("/mine").status_code for other in others} == {303}
    assert alice.get("/mine").status_code == 200


def test_nobody_ends_anothers(world, visit, alice):
    world.new_user("bob")
    bob, more = visit("bob"), visit("bob")
    [number] = session_ids(bob)
    alice.post(f"/mine/sessions/{number}/end")
    assert "There is nothing here that you may see." in text_of(alice.get("/mine"))
    assert {bob.get("/mine").status_code, more.get("/mine").status_code} == {200}


def test_who_has_no_token_is_told_how_to_make_one(alice):
    page = alice.get("/mine")
    assert "No program acts as you." in text_of(page)
    assert 'href="/console/mine/tokens/new"' in page.text
    assert "countersign user token create alice --scope api" in page.text


def test_a_token_is_shown_once(world, alice):
    made = alice.post("/mine/tokens", {"name": "<b>wiki", "scopes": ["api", "code.read"], "lives": "7"})
    [token] = set(re.findall(TOKEN, made.text))
    assert "never shown again" in made.text
    assert world.http.get("/api/v1/me", headers={"Authorization": f"Bearer {token}"}).status_code == 200
    page = alice.get("/mine")
    assert token not in page.text
    assert "&lt;b&gt;wiki api code.read" in text_of(page)
    assert "expiring" in text_of(page)


def test_a_token_is_revoked_at_once_and_kept_in_the_list(world, alice):
    [token] = set(re.findall(TOKEN, alice.post("/mine/tokens", {"scopes": "api", "lives": "never"}).text))
    [number] = re.findall(r'action="/console/mine/tokens/(\d+)/revoke"', alice.get("/mine").text)
    alice.post(f"/mine/tokens/{number}/revoke")
    page = text_of(alice.get("/mine"))
    assert f"Token {number} is revoked." in page
    assert "1 that has ended" in page
    assert world.http.get("/api/v1/me", headers={"Authorization": f"Bearer {token}"}).status_code == 401


def test_one_that_has_expired_says_so(world, alice, visit):
    alice.post("/mine/tokens", {"scopes": "api", "lives": "1"})
    world.clock.advance(days=2)
    page = text_of(visit("alice").get("/mine"))
    assert "1 that has ended" in page
    assert "expired" in page


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"lives": "30"}, "Choose one scope or more."),
        ({"scopes": "everything", "lives": "30"}, "Choose one scope or more."),
        ({"scopes": "api", "lives": "-1"}, "Choose a time"),
        ({"scopes": "api", "lives": "99999"}, "Choose a time"),
        ({"scopes": "api", "lives": MARKUP}, "Choose a time"),
    ],
)
def test_a_refused_token_comes_back_with_the_form(alice, form, words):
    page = alice.post("/mine/tokens", form)
    assert page.status_code == 422
    assert words in text_of(page)
    assert 'action="/console/mine/tokens"' in page.text
    assert "<script>alert" not in page.text
    assert ("api" in form.get("scopes", "")) is ('value="api" checked' in page.text)


def test_every_scope_can_be_chosen_and_is_explained(alice):
    assert set(MEANINGS) == SCOPES
    page = alice.get("/mine/tokens/new")
    assert set(re.findall(r'name="scopes" value="([^"]+)"', page.text)) == SCOPES


def test_a_first_password_asks_for_none(world, alice):
    assert "You have none" in text_of(alice.get("/mine"))
    assert 'name="present"' not in alice.get("/mine/password").text
    assert alice.post("/mine/password", {"password": GOOD, "again": GOOD}).location == "/console/mine"
    assert "Your password is set. 0 other sessions ended." in text_of(alice.get("/mine"))
    assert 'name="present"' in alice.get("/mine/password").text


def test_a_change_ends_the_other_sessions_and_not_this_one(world, visit):
    give_password(world)
    alice, other = visit("alice"), visit("alice")
    assert alice.post("/mine/password", NEW | {"present": GOOD}).status_code == 303
    assert "1 other session ended" in text_of(alice.get("/mine"))
    assert other.get("/mine").status_code == 303
    assert alice.get("/mine").status_code == 200


@pytest.mark.parametrize(
    ("form", "field", "words"),
    [
        (NEW | {"again": GOOD, "present": GOOD}, "again", "The two are not the same"),
        (NEW, "present", "Is required"),
        (NEW | {"present": "not this one"}, "present", "This is not your present password."),
        ({"password": "short", "again": "short", "present": GOOD}, "password", "at least 12"),
        (
            {"password": "alice@example.com", "again": "alice@example.com", "present": GOOD},
            "password",
            "login",
        ),
        ({"password": "password1234", "again": "password1234", "present": GOOD}, "password", "tried first"),
        ({"password": "a\x00" * 9, "again": "a\x00" * 9, "present": GOOD}, "password", "no control"),
    ],
)
def test_a_refused_password_is_said_at_its_field_and_shown_to_nobody(world, visit, form, field, words):
    give_password(world)
    page = visit("alice").post("/mine/password", form)
    assert page.status_code == 422
    said = re.search(rf'id="field-{field}-error">(?:<svg.*?</svg>)?<span>([^<]+)', page.text)[1]
    assert words in said
    assert not re.search(r'type="password" value="[^"]', page.text)
    assert not any(value in page.text for value in form.values() if len(value) > 5)


def test_guesses_of_the_present_one_have_an_end(world, visit):
    give_password(world)
    alice = visit("alice")
    for _ in range(OF_A_LOGIN):
        assert alice.post("/mine/password", NEW | {"present": "not this one"}).status_code == 422
        world.clock.advance(seconds=2)
    page = alice.post("/mine/password", NEW | {"present": GOOD})
    assert page.status_code == 429
    assert "Too many passwords were tried" in text_of(page)


@pytest.mark.parametrize(
    ("path", "form"),
    [("/mine/tokens", {"scopes": "api", "lives": "30"}), ("/mine/password", NEW)],
)
def test_what_is_dangerous_asks_for_a_sign_in_and_leads_back(world, alice, path, form):
    page = path if path != "/mine/tokens" else "/mine/tokens/new"
    world.clock.advance(minutes=11)
    assert f"again=1&amp;next=/console{page}" in alice.get("/mine").text.replace("%2F", "/")
    answer = alice.post(path, form | {"next": f"/console{page}"})
    assert answer.status_code == 303
    assert answer.location.replace("%2F", "/") == f"/console/sign-in?next=/console{page}&again=1&ended=1"


@pytest.mark.parametrize("role", ["is_admin", "is_auditor"])
def test_every_role_has_its_own(world, visit, role):
    flags = {"is_admin": False, "is_auditor": False} | {role: True}
    world.change(accounts.create_user, "erin", "erin@example.com", **flags)
    erin = visit("erin")
    assert erin.get("/mine").status_code == 200
    assert erin.post("/mine/tokens", {"scopes": "api", "lives": "30"}).status_code == 200
    assert erin.post("/mine/password", NEW).status_code == 303


def test_a_user_agent_is_only_text(world, alice):
    with world.components.database.writing() as session:
        user = accounts.find_user(session, "alice")
        browser = Browser(agent=MARKUP, address=MARKUP)
        sessions.begin(session, user, method=Method.LINK, browser=browser, now=world.clock())
    page = alice.get("/mine").text
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/140.0 Safari/537.36 Edg/140.0", "Edge on Windows"),
        ("Mozilla/5.0 (Linux; Android 15) Chrome/140.0 Mobile Safari/537.36", "Chrome on Android"),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1",
            "Safari on iPhone",
        ),
        ("curl/8.10", "curl"),
        ("something else", "something else"),
    ],
)
def test_a_browser_is_named_as_a_human_would(agent, name):
    assert named(agent) == name

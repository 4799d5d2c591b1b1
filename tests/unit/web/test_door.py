"""At the door: whose session begins, under which secret, in which cookie, and where the human is sent."""

import re

import pytest
from markupsafe import escape
from werkzeug.test import Client

from app.identity import accounts, passwords, sign_in_links
from app.identity.guesses import OF_A_LOGIN
from app.secret import Secret
from tests.support.components import OPERATOR, installed
from tests.support.console_client import text_of

GOOD = "vellum harbor quince tally"
HERE = {"Sec-Fetch-Site": "same-origin"}
COOKIE = "countersign"


@pytest.fixture
def door(world):
    """`door()`: a browser that nobody has used; alice has a password."""
    new = passwords.hashed(Secret(GOOD), "alice", "alice@example.com")
    world.change(lambda s, **by: passwords.set_password(s, accounts.find_user(s, "alice"), new, **by))
    return world.http.application.test_client


def link_of(world, login="alice"):
    issued = world.change(lambda s, **by: sign_in_links.issue(s, accounts.find_user(s, login), **by))
    return issued.secret.reveal()


def by_password(client, **form):
    form = {"login": "alice", "password": GOOD} | form
    return client.post("/console/sign-in", data=form, headers=HERE)


def by_link(client, secret, **form):
    return client.post("/console/sign-in/link", data={"secret": secret, **form}, headers=HERE)


def secret_of(client):
    cookie = client.get_cookie(COOKIE)
    return cookie.value if cookie else None


@pytest.mark.parametrize("way", ["password", "link"])
def test_a_secret_that_was_there_before_is_not_adopted(world, door, way):
    """Session fixation (CWE-384)."""
    client = door()
    client.set_cookie(COOKIE, "planted-by-an-attacker-0123456789-0123456789")
    answer = by_password(client) if way == "password" else by_link(client, link_of(world))
    assert answer.status_code == 303
    assert len(secret_of(client)) == 43
    attacker = door()
    attacker.set_cookie(COOKIE, "planted-by-an-attacker-0123456789-0123456789")
    assert attacker.get("/console/mine").status_code == 303


def test_every_sign_in_has_a_secret_of_its_own_and_the_old_one_is_dead(door):
    client = door()
    by_password(client)
    first = secret_of(client)
    by_password(client, again="1")
    assert secret_of(client) != first
    thief = door()
    thief.set_cookie(COOKIE, first)
    assert thief.get("/console/mine").status_code == 303
    assert client.get("/console/mine").status_code == 200
    assert text_of(client.get("/console/mine")).count("this one") == 1


def test_somebody_elses_sign_in_ends_the_session_that_was_there(world, door):
    client = door()
    by_password(client)
    before = secret_of(client)
    world.new_user("bob")
    by_link(client, link_of(world, "bob"))
    assert "bob" in text_of(client.get("/console/mine"))
    thief = door()
    thief.set_cookie(COOKIE, before)
    assert thief.get("/console/mine").status_code == 303


def test_two_browsers_are_two_sessions(door):
    here, there = door(), door()
    by_password(here)
    by_password(there)
    assert secret_of(here) != secret_of(there)
    token = re.search(r'name="csrf_token" value="([^"]+)"', here.get("/console/mine").text)[1]
    crossed = there.post("/console/sign-out", data={"csrf_token": token}, headers=HERE)
    assert crossed.status_code == 403
    assert here.post("/console/sign-out", data={"csrf_token": token}, headers=HERE).status_code == 303
    assert (here.get("/console/mine").status_code, there.get("/console/mine").status_code) == (303, 200)


def test_signing_out_ends_it_on_the_server(door):
    client = door()
    by_password(client)
    kept = secret_of(client)
    token = re.search(r'name="csrf_token" value="([^"]+)"', client.get("/console/mine").text)[1]
    client.post("/console/sign-out", data={"csrf_token": token}, headers=HERE)
    assert not secret_of(client)
    client.set_cookie(COOKIE, kept)
    assert client.get("/console/mine").status_code == 303


ELSEWHERE = (
    "https://evil.example/",
    "//evil.example/",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "http:evil.example",
    "javascript:alert(1)",
    "/console//evil.example",
    "/console/\\evil.example",
    "https://localhost:8000@evil.example/console/",
    "//localhost:8000/console/",
    "/api/v1/me",
    "/oauth/token",
    "/consolex",
    "console/mine",
    "/console/\r\nSet-Cookie: a=b",
    "/console/\tmine",
    " /console/mine",
    "",
)


def test_a_sign_in_sends_nobody_elsewhere(world, visit):
    """CWE-601."""
    client = visit(None).client
    for where in ELSEWHERE:
        form = client.get("/console/sign-in", query_string={"next": where}, headers=HERE)
        carried = re.findall(r'name="next" value="([^"]*)"', form.text)
        assert (set(carried), where) == ({""}, where)
        answer = by_link(client, link_of(world), next=where)
        assert (answer.status_code, answer.location, where) == (303, "/console/", where)


@pytest.mark.parametrize("where", ["/console/mine", "/console/keys?x=1&y=2", "/console/projects/acme/webapp"])
def test_it_leads_back_to_the_page_that_was_asked_for(door, where):
    client = door()
    asked = client.get(where)
    form = client.get(asked.location).text
    wanted = re.search(r'name="next" value="([^"]*)"', form)[1].replace("&amp;", "&")
    assert by_password(client, next=wanted).location == where


def test_passwords_cannot_be_guessed_for_ever(world, door):
    for _ in range(OF_A_LOGIN):
        refused = by_password(door(), password="not this one at all")
        assert (refused.status_code, "wrong" in text_of(refused)) == (403, True)
        world.clock.advance(seconds=2)
    shut = by_password(door())
    assert shut.status_code == 429
    assert int(shut.headers["Retry-After"]) > 0
    assert by_link(door(), link_of(world)).status_code == 303


@pytest.mark.parametrize(
    ("form", "kind"),
    [
        ({"login": "nobody-of-that-name"}, "unknown"),
        ({"password": "not this one at all"}, "wrong"),
        ({"login": "<script>alert(1)</script>"}, "markup"),
    ],
)
def test_a_refusal_tells_nothing_and_keeps_the_login_alone(world, door, form, kind):
    page = by_password(door(), **form)
    assert page.status_code == 403
    assert "The login or the password is wrong." in text_of(page)
    assert f'name="login" type="text" value="{escape(form.get("login", "alice"))}"' in page.text
    assert not any(typed in page.text for typed in (GOOD, "not this one at all", "<script>alert")), kind
    told = world.in_ledger(page)
    assert told.outcome == "denied"
    assert f"Request {page.headers['X-Request-Id']}" in text_of(page)


def test_whoever_is_disabled_stays_outside(world, door):
    secret = link_of(world)
    world.set_active("alice", active=False)
    assert by_password(door()).status_code == 403
    assert by_link(door(), secret).status_code == 403


def test_a_link_is_good_once(world, door):
    secret = link_of(world)
    assert by_link(door(), secret).status_code == 303
    assert by_link(door(), secret).status_code == 403


PATHS = {"https://id.example": "", "https://id.example/oidc": "/oidc"}


@pytest.mark.parametrize("issuer", PATHS)
def test_behind_https_it_is_one_host_and_below_the_issuers_path(peopled, tmp_path, clock, issuer):
    """RFC 6265bis §4.1.3.2; of an issuer with a path nothing points beside it."""
    prepared, _ = peopled
    below = PATHS[issuer]
    with installed(prepared, tmp_path, clock, ISSUER=issuer) as app:
        parts = app.extensions["countersign"]
        with parts.database.writing() as session:
            user = accounts.find_user(session, "alice")
            new = passwords.hashed(Secret(GOOD), "alice", user.email)
            passwords.set_password(session, user, new, by=OPERATOR, now=clock())
        client = Client(app)
        at = {"base_url": "https://id.example", "headers": HERE}
        asked = client.get(f"{below}/console/mine?a=b", **at)
        assert asked.location == f"{below}/console/sign-in?next=/console/mine?a%3Db"
        assert f'name="next" value="{below}/console/mine?a=b"' in client.get(asked.location, **at).text
        form = {"login": "alice", "password": GOOD, "next": f"{below}/console/mine"}
        admitted = client.post(f"{below}/console/sign-in", data=form, **at)
        assert admitted.location == f"{below}/console/mine"
        name, *attributes = admitted.headers["Set-Cookie"].split("; ")
        assert name.startswith("__Host-countersign=")
        assert set(attributes) == {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"}
        page = client.get(f"{below}/console/mine", **at)
        assert page.status_code == 200
        assert page.headers["Strict-Transport-Security"] == "max-age=63072000"
        addresses = re.findall(r'(?:href|src|action)="([^"#][^"]*)"', page.text)
        assert len(addresses) > 20
        assert [each for each in addresses if not each.startswith(f"{below}/console/")] == []
        inspector = client.get(f"{below}/console/inspector", **at).text
        assert f'"jwks": "{below}/.well-known/jwks.json"' in inspector
        cross = client.post(
            f"{below}/console/sign-in", data=form, base_url="https://id.example", headers={"Origin": issuer}
        )
        assert cross.status_code == (403 if below else 303)


def test_what_was_said_to_one_human_is_not_shown_to_the_next(world, door):
    world.new_user("bob")
    client = door()
    by_password(client)
    page = client.get("/console/mine", headers=HERE)
    [token] = set(re.findall(r'name="csrf_token" value="([^"]+)"', page.text))
    client.post("/console/mine/tokens/999/revoke", data={"csrf_token": token}, headers=HERE)
    by_link(client, link_of(world, "bob"))
    assert "There is nothing here" not in client.get("/console/mine", headers=HERE).text


def test_a_link_says_whom_it_signs_out(door):
    client = door()
    assert "is signed out by this" not in client.get("/console/sign-in", headers=HERE).text
    by_password(client)
    assert "alice is signed in here" in text_of(client.get("/console/sign-in", headers=HERE))

"""Nothing is changed from anywhere but a page of ours (ASVS 3.5): every form, and every way to forge one."""

import re

import pytest
from flask import Flask
from sqlalchemy import event

from app.identity import accounts
from app.identity.csrf import csrf_token
from app.secret import Secret
from app.web import pages
from app.web.application import OPEN
from app.web.console import console
from tests.support.components import ISSUER
from tests.support.console_client import text_of

_FILLED = {"int": "1", "path": "acme/webapp", "default": "x", "string": "x"}


def rules():
    pages.load()
    app = Flask("the map of the console", static_folder=None)
    app.register_blueprint(console)
    return sorted(app.url_map.iter_rules(), key=str)


def filled(rule):
    """A path that fits; of ``<any(user, run):kind>`` the first."""
    return re.sub(r"<(?:(\w+)(?:\((\w+)[^)]*\))?:)?\w+>", _fitting, rule.rule)


def _fitting(found):
    return found[2] if found[1] == "any" else _FILLED[found[1] or "default"]


POSTS = [
    pytest.param(filled(rule), rule.endpoint, id=rule.rule) for rule in rules() if "POST" in rule.methods
]
CHANGING = [each for each in POSTS if each.values[1] not in OPEN]
GETS = [pytest.param(filled(rule), id=rule.rule) for rule in rules() if "GET" in rule.methods]
HERE, TOKEN = {"Sec-Fetch-Site": "same-origin"}, "the session's"

FORGERIES = {
    "without a token": ({}, HERE),
    "with an empty one": ({"csrf_token": ""}, HERE),
    "with another text": ({"csrf_token": "ä" * 43}, HERE),
    "with another session's": ({"csrf_token": csrf_token(Secret("another"))}, HERE),
    "from another site": ({"csrf_token": TOKEN}, {"Sec-Fetch-Site": "cross-site"}),
    "from a neighbour": ({"csrf_token": TOKEN}, {"Sec-Fetch-Site": "same-site"}),
    "from the address bar": ({"csrf_token": TOKEN}, {"Sec-Fetch-Site": "none"}),
    "from another origin": ({"csrf_token": TOKEN}, {"Origin": "https://evil.example"}),
    "from no origin": ({"csrf_token": TOKEN}, {"Origin": "null"}),
    "from another port": ({"csrf_token": TOKEN}, {"Origin": f"{ISSUER}1"}),
    "from nobody knows where": ({"csrf_token": TOKEN}, {}),
    "with both at odds": ({"csrf_token": TOKEN}, {"Sec-Fetch-Site": "cross-site", "Origin": ISSUER}),
}


@pytest.fixture(scope="module")
def writes():
    """Statements that change something, as they come."""
    return []


def is_change(statement):
    return statement.startswith(("INSERT", "UPDATE", "DELETE")) and "SET last_seen_at" not in statement


@pytest.fixture
def watched(world, writes):
    def hear(_connection, _cursor, statement, *_):
        if is_change(statement):
            writes.append(statement)

    engine = world.components.database.engine
    event.listen(engine, "before_cursor_execute", hear)
    yield writes
    event.remove(engine, "before_cursor_execute", hear)


def root(world, visit):
    world.change(accounts.create_user, "root", "root@example.com", is_admin=True)
    return visit("root")


def test_there_is_no_form_that_this_does_not_know():
    assert len(CHANGING) > 10
    assert {each.values[1] for each in POSTS} - {each.values[1] for each in CHANGING} == OPEN - {
        "console.sign_in"
    }


@pytest.mark.parametrize("forged", FORGERIES)
def test_no_forged_form_is_taken_by_any_page(world, visit, watched, forged):
    given, headers = FORGERIES[forged]
    visitor = root(world, visit)
    del watched[:]
    own = {name: csrf_token(visitor.secret) if value is TOKEN else value for name, value in given.items()}
    for each in CHANGING:
        answer = visitor.client.post(each.values[0], data=own, headers=headers)
        assert (answer.status_code, each.id) == (403, each.id)
    cause = "It is older than your sign-in" if headers is HERE else "The request came from another site."
    assert cause in text_of(answer)
    assert watched == []


@pytest.mark.parametrize("headers", [HERE, {"Origin": ISSUER}], ids=["fetch metadata", "origin alone"])
def test_our_own_form_is_taken(visit, headers):
    visitor = visit("alice")
    form = {"csrf_token": csrf_token(visitor.secret)}
    assert visitor.client.post("/console/sign-out", data=form, headers=headers).status_code == 303


def test_a_script_of_ours_sends_it_as_a_header(visit):
    visitor = visit("alice")
    headers = HERE | {"X-CSRF-Token": csrf_token(visitor.secret)}
    assert visitor.client.post("/console/sign-out", headers=headers).status_code == 303


@pytest.mark.parametrize("path", ["/console/sign-in", "/console/sign-in/link"])
@pytest.mark.parametrize(
    "headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}, {}]
)
def test_nobody_is_signed_in_from_elsewhere(visit, path, headers):
    """Login forgery: a human would work in somebody else's account."""
    answer = visit(None).client.post(path, data={"login": "alice"}, headers=headers)
    assert answer.status_code == 403
    assert "Set-Cookie" not in answer.headers


def test_a_get_changes_nothing(world, visit, watched):
    visitor = root(world, visit)
    visitor.get("/")
    del watched[:]
    for each in GETS:
        answer = visitor.client.get(each.values[0], headers=HERE)
        assert answer.status_code < 500, (each.id, text_of(answer))
    assert watched == []


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_other_methods_are_forged_forms_too(visit, method):
    assert visit("alice").client.open("/console/mine", method=method).status_code == 403


def test_whoever_is_not_signed_in_is_led_to_the_door_by_every_page(visit):
    stranger = visit(None).client
    for each in GETS:
        if each.values[0] == "/console/sign-in":
            continue
        answer = stranger.get(each.values[0])
        assert (answer.status_code, each.id) == (303, each.id)
        assert answer.location.startswith("/console/sign-in?next=")
    for each in CHANGING:
        answer = stranger.post(each.values[0], headers=HERE)
        assert (answer.status_code, answer.location) == (303, "/console/sign-in?ended=1"), each.id

"""An error states its cause, what to do, and a request id that finds it."""

import logging
import re

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from app.identity import accounts
from app.signing.keystores import KeystoreError
from app.web.visit import Visit
from tests.support.components import ISSUER
from tests.support.console_client import text_of
from tests.unit.endpoints.api.scenes import give

GOOD = "vellum harbor quince tally"
MARKUP = "<script>alert(1)</script>"
SECRET = "hunter2-in-a-connection-string"


@pytest.fixture
def alice(visit):
    return visit("alice")


def states(page, status, title, *words):
    """The page, as every error page is; its request id."""
    assert page.status_code == status, text_of(page)
    said = text_of(page)
    assert f"<h1>{title}</h1>" in page.text
    for each in ("What happened", "Request", str(status), page.headers["X-Request-Id"], *words):
        assert each in said
    assert page.headers["Cache-Control"] == "no-store"
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    return page.headers["X-Request-Id"]


def test_no_such_page(alice):
    page = alice.get(f"/{MARKUP}")
    states(page, 404, "Not Found", "There is no such page.", "Go to the overview")
    assert MARKUP not in page.text


def test_nothing_that_one_may_see_looks_like_nothing_at_all(world, alice):
    hidden, absent = (alice.get(f"/users/{login}") for login in ("nobody", "root"))
    world.change(accounts.create_user, "root", "root@example.com", is_admin=True)
    there = alice.get("/users/root")
    assert {each.status_code for each in (hidden, absent, there)} <= {403, 404}
    assert hidden.status_code == there.status_code


def test_a_refusal_names_the_row_of_the_ledger(world, alice):
    page = alice.get("/users")
    states(page, 403, "This is not for you", "Ask an administrator", "audit ledger")
    told = world.in_ledger(page)
    assert told.outcome == "denied"
    [found] = re.findall(r'href="/console(/audit\?request_id=[0-9a-f]+)"', page.text)
    assert told.action in alice.get(found).text


def test_an_address_that_asks_for_what_cannot_be_says_how_to_go_on(world, visit):
    world.change(accounts.create_user, "root", "root@example.com", is_admin=True)
    page = visit("root").get("/users?cursor=xx")
    states(page, 422, "It was refused", "cursor", "What to do Go back and change what is named here")


def test_a_form_that_was_refused_names_the_row_of_the_ledger_once(world, visit):
    give(world, "developer", "user:alice")
    alice = visit("alice")
    refused = alice.post("/projects/acme/webapp/-/variables", {"name": "STAGE", "value": "test"})
    assert refused.status_code == 403
    assert world.in_ledger(refused).outcome == "denied"
    assert traces(refused) == [refused.headers["X-Request-Id"]]
    unknown = alice.post("/mine/tokens", {"scopes": "everything"})
    assert (unknown.status_code, traces(unknown)) == (422, [])


def test_a_button_that_was_refused_names_the_row_of_its_own_request(world, visit):
    give(world, "developer", "user:alice")
    alice = visit("alice")
    pressed = alice.post("/projects/acme/webapp/-/variables/remove", {"name": "STAGE"})
    assert world.in_ledger(pressed).outcome == "denied"
    shown = alice.get("/projects/acme/webapp/-/settings")
    assert traces(shown) == [pressed.headers["X-Request-Id"]]


def test_a_wrong_password_names_the_row_of_the_ledger(world, alice):
    form = {"password": GOOD, "again": GOOD, "present": ""}
    assert alice.post("/mine/password", form).status_code == 303
    refused = alice.post("/mine/password", form | {"present": "not the one that it is"})
    assert world.in_ledger(refused).outcome == "denied"
    assert traces(refused) == [refused.headers["X-Request-Id"]]


def traces(page):
    return re.findall(r'class="notice-trace" href="/console/audit\?request_id=([^"]+)"', page.text)


def test_another_method(alice):
    states(alice.get("/mine/tokens"), 405, "Method Not Allowed")


def test_too_large_a_form(alice):
    states(alice.post("/mine/tokens", {"scopes": "a" * 3_000_000}), 413, "Request Entity Too Large")


def test_a_fault_of_ours_tells_only_where_to_look(alice, monkeypatch, caplog):
    def broken(*_args, **_more):
        raise RuntimeError(SECRET)

    monkeypatch.setattr(Visit, "ask", broken)
    with caplog.at_level(logging.ERROR):
        page = alice.get("/mine")
    request_id = states(page, 500, "Something broke", "fault of the software", "server log")
    assert any(request_id in record.getMessage() for record in caplog.records)
    assert SECRET not in page.text


def test_keys_that_cannot_be_had(alice, monkeypatch, caplog):
    def away(*_args, **_more):
        raise KeystoreError(f"https://vault.internal/{SECRET} answers 503")

    monkeypatch.setattr(Visit, "ask", away)
    page = alice.get("/mine")
    request_id = states(page, 503, "The signing keys cannot be had", "countersign doctor", "server log")
    assert request_id in caplog.text
    assert SECRET not in page.text


def test_without_a_database_nothing_was_changed_and_the_page_says_so(world, alice, caplog):
    def fail(*_args):
        raise OperationalError(SECRET, {}, Exception(SECRET))

    engine = world.components.database.engine
    event.listen(engine, "before_cursor_execute", fail)
    page = alice.get("/mine")
    event.remove(engine, "before_cursor_execute", fail)
    request_id = states(page, 503, "The database does not answer", "Nothing was changed.", "Try again")
    assert request_id in caplog.text
    assert SECRET not in page.text + caplog.text
    assert alice.get("/mine").status_code == 200


@pytest.mark.parametrize("path", ["/mine", "/nowhere"])
def test_a_stranger_is_told_nothing(visit, path):
    answer = visit(None).get(path)
    assert (answer.status_code, answer.location) == (303, f"/console/sign-in?next=/console{path}")


@pytest.mark.parametrize(
    ("page", "back"),
    [
        ("http://localhost:8000/console/runs/7?at=9", "?next=/console/runs/7?at%3D9"),
        ("", ""),
    ],
)
def test_a_part_of_a_page_leads_to_the_door_and_back_to_the_page(world, alice, page, back):
    world.clock.advance(days=2)
    part = {"HX-Request": "true", "HX-Current-URL": page, "Sec-Fetch-Site": "same-origin"}
    answer = alice.client.get("/console/runs/7/state", headers=part)
    assert answer.status_code == 401
    assert answer.headers["HX-Redirect"] == f"/console/sign-in{back}"


@pytest.mark.parametrize(
    ("referrer", "back"),
    [
        (
            f"{ISSUER}/console/projects/acme/webapp/-/settings?a=b",
            "/console/projects/acme/webapp/-/settings?a%3Db",
        ),
        ("https://evil.example/console/mine", ""),
        (f"{ISSUER}/elsewhere", ""),
        ("", ""),
    ],
)
def test_a_form_of_an_ended_session_says_so_and_leads_back_to_its_page(world, alice, referrer, back):
    world.clock.advance(days=2)
    headers = {"Sec-Fetch-Site": "same-origin", "Referer": referrer}
    answer = alice.client.post("/console/projects/acme/webapp/-/variables", headers=headers)
    door = f"/console/sign-in?{'next=' + back + '&' if back else ''}ended=1"
    assert (answer.status_code, answer.location) == (303, door)
    said = text_of(alice.client.get(door))
    assert "Your session has ended. What you typed was not saved." in said


def test_what_was_said_waits_for_a_whole_page(alice):
    alice.post("/mine/tokens/999/revoke")
    part = alice.client.get("/console/keys", headers={"HX-Request": "true"})
    assert 'role="alert"><svg' not in part.text
    assert 'role="alert"><svg' in alice.get("/mine").text
    assert 'role="alert"><svg' not in alice.get("/mine").text


def test_a_file_that_an_older_page_names_and_that_is_gone_is_no_fault(alice):
    """As in an upgrade: a page like others, under the same policy."""
    answer = alice.get("/static/0123456789abcdef/gone.js")
    assert answer.status_code == 404
    assert "There is no such page." in text_of(answer)
    assert "trusted-types htmx" in answer.headers["Content-Security-Policy"]

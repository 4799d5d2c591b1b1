"""Users: who sees whom, who changes them, and what each refusal says."""

import re
import shlex
from html import unescape

import pytest

from app.identity import accounts
from app.ledger.actions import AuditAction
from tests.support.console_client import text_of

NEW = {"login": "dora", "email": "dora@example.com", "link": "true"}


@pytest.fixture
def people(world):
    """Root administers, carol audits, bob is a member of nothing; alice and duo as ever."""
    world.change(accounts.create_user, "root", "root@example.com", is_admin=True)
    world.change(accounts.create_user, "carol", "carol@example.com", is_admin=False, is_auditor=True)
    world.new_user("bob")
    return world


@pytest.mark.parametrize(
    ("who", "path", "status"),
    [
        ("root", "/users", 200),
        ("carol", "/users", 200),
        ("bob", "/users", 403),
        ("root", "/users/alice", 200),
        ("carol", "/users/alice", 200),
        ("alice", "/users/alice", 200),
        ("bob", "/users/alice", 404),
        ("root", "/users/nobody", 404),
        ("root", "/users/Not%20A%20Login", 404),
    ],
)
def test_who_sees_whom(people, visit, who, path, status):
    assert visit(who).get(path).status_code == status


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("ali", {"alice"}),
        ("ALICE@", {"alice"}),
        ("example.com", {"root", "carol", "alice", "bob"}),
        ("_", set()),
        ("%", set()),
        ("nobody", set()),
    ],
)
def test_users_are_found_by_a_part_of_their_name(people, visit, search, found):
    page = visit("root").get("/users", query_string={"search": search})
    assert set(re.findall(r'<th scope="row"><a [^>]*>(\w+)</a>', page.text)) == found
    assert f"countersign user list --search {shlex.quote(search)}" in unescape(page.text)
    assert ("No user is like that" in page.text) == (not found)


@pytest.mark.parametrize("who", ["carol", "alice"])
def test_whoever_may_change_nothing_is_offered_nothing(people, visit, who):
    text = text_of(visit(who).get("/users/alice"))
    assert "Disable" not in text
    assert "Change" not in text
    assert ("Kill switch" in text) == (who == "alice")


def test_a_user_is_created_and_let_in_by_a_link_that_is_shown_once(people, visit):
    root = visit("root")
    answer = root.post("/users/-/new", NEW)
    assert answer.status_code == 200
    assert "/console/sign-in#" in answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    assert "/console/sign-in#" not in root.get("/users/dora").text
    [row] = people.events(AuditAction.USER_CREATE)[:1]
    assert row.actor == f"user:{_number(people, 'root')}"


def test_without_a_link_one_comes_to_the_page_of_the_user(people, visit):
    answer = visit("root").post("/users/-/new", NEW | {"link": ""})
    assert (answer.status_code, answer.location) == (303, "/console/users/dora")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"login": "alice"}, "choose another login"),
        ({"login": ""}, "Write a login"),
        ({"login": "Dora!"}, "lower-case letters"),
        ({"login": "17"}, "reads as a number"),
        ({"email": "nowhere"}, "field-error"),
    ],
)
def test_what_cannot_be_is_refused_at_its_field_and_stays_typed(people, visit, changed, words):
    answer = visit("root").post("/users/-/new", NEW | changed)
    assert answer.status_code == 422
    assert words in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert f'value="{(NEW | changed)["email"]}"' in answer.text


def test_creating_never_replaces(people, visit):
    visit("root").post("/users/-/new", NEW | {"login": "alice", "email": "mallory@example.com"})
    assert "alice@example.com" in visit("root").get("/users/alice").text


def test_a_change_is_kept(people, visit):
    answer = visit("root").send("/users/alice/change", {"email": "a@example.org", "role": "auditor"})
    assert answer.status_code == 303
    text = text_of(visit("root").get("/users/alice"))
    assert "a@example.org" in text
    assert "auditor" in text


def test_a_form_of_yesterday_gives_no_power_back(people, visit):
    root = visit("root")
    as_it_was = {"email": "alice@example.org", "role": "administrator"}
    root.send("/users/alice/change", as_it_was)
    old = root.etag("/users/alice/change")
    root.send("/users/alice/change", {"email": "alice@example.org"})
    for form in (as_it_was | {"etag": old}, as_it_was):
        refused = root.post("/users/alice/change", form)
        assert refused.status_code == 412
        assert "It was changed meanwhile" in text_of(refused)
        assert 'value="administrator" selected' not in refused.text
    with people.components.database.reading() as session:
        assert not accounts.find_user(session, "alice").is_admin


@pytest.mark.parametrize("role", ["member", "auditor", "administrator"])
def test_one_role_is_chosen(people, visit, role):
    root = visit("root")
    root.post("/users/-/new", NEW | {"role": role})
    assert f'value="{role}" selected' in root.get("/users/dora/change").text
    with people.components.database.reading() as session:
        dora = accounts.find_user(session, "dora")
        assert (dora.is_admin, dora.is_auditor) == (role == "administrator", role == "auditor")


def test_where_nothing_lives_nothing_is_said_to_be_accepted(people, visit):
    text = text_of(visit("root").get("/users/bob/kill"))
    assert "It cannot be undone. Nothing of it is accepted any more." in text
    assert "0 live tokens" in text


def test_the_last_administrator_stays_one(people, visit):
    answer = visit("root").send("/users/root/change", {"email": "root@example.com"})
    assert answer.status_code == 409
    assert "last active administrator" in answer.text


def test_a_user_who_is_not_there_is_not_made_by_a_change(people, visit):
    root = visit("root")
    assert root.post("/users/dora/change", {"email": "dora@example.com"}).status_code == 404
    assert root.get("/users/dora").status_code == 404


def test_disabled_and_enabled_again(people, visit):
    root = visit("root")
    alice = visit("alice")
    root.post("/users/alice/active", {"active": "false"})
    assert "alice is disabled, and signed out everywhere." in text_of(root.get("/users/alice"))
    assert alice.get("/users/alice").status_code == 303
    root.post("/users/alice/active", {"active": "true"})
    assert "alice is enabled." in text_of(root.get("/users/alice"))


@pytest.mark.parametrize("path", ["/users/alice/active", "/users/alice/change", "/users/alice/sign-in-link"])
@pytest.mark.parametrize("who", ["carol", "bob"])
def test_only_administrators_change_a_user(people, visit, who, path):
    form = {"active": "false", "email": "x@example.com"}
    assert visit(who).post(path, form).status_code in {303, 403, 404}
    with people.components.database.reading() as session:
        user = accounts.find_user(session, "alice")
        assert user.principal.disabled_at is None
        assert user.email == "alice@example.com"
    assert people.events(AuditAction.SIGN_IN_LINK_ISSUE) == []


def test_a_page_tells_what_is_theirs(people, visit):
    people.ask(scope=f"api {people.scope}")
    text = text_of(visit("root").get("/users/alice"))
    for words in ("Live tokens 1", "Delegations given 1", "acme/webapp project developer", "duo everything"):
        assert words in text


def test_the_kill_switch_says_what_dies_before_it_is_pulled(people, visit):
    people.ask(scope=f"api {people.scope}")
    text = text_of(visit("root").get("/users/alice/kill"))
    assert "1 live token" in text
    assert "It cannot be undone. Verifiers that check offline accept what is out until 2026-11-22" in text
    assert "http://localhost:8000/api/v1" in text


def test_it_ends_what_it_says_and_tells_what_it_could_not(people, visit):
    people.ask(scope=f"api {people.scope}")
    alice, root = visit("alice"), visit("root")
    answer = root.post("/users/alice/kill", {"reason": "laptop stolen", "confirmation": "alice"})
    assert answer.status_code == 303
    text = text_of(root.get("/users/alice"))
    assert "Killed: 1 access token, 0 ID tokens, 0 runs, 0 personal access tokens." in text
    assert "goes on accepting until 2026-11-22" in text
    assert alice.get("/").status_code == 303
    [row] = people.events(AuditAction.CUT_OFF_CREATE)
    assert (row.user, row.detail["reason"]) == (f"user:{people.alice}", "laptop stolen")


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"reason": "stolen", "confirmation": "alise"}, "Type alice."),
        ({"reason": "stolen"}, "Type alice."),
        ({"reason": "", "confirmation": "alice"}, "field-error"),
        ({"reason": " ", "confirmation": "alice"}, "say why"),
    ],
)
def test_a_kill_without_its_name_or_its_reason_kills_nothing(people, visit, form, words):
    answer = visit("root").post("/users/alice/kill", form)
    assert answer.status_code == 422
    assert words in answer.text
    assert people.events(AuditAction.CUT_OFF_CREATE) == []


def test_a_human_may_kill_themselves_and_is_out(people, visit):
    alice = visit("alice")
    assert alice.post("/users/alice/kill", {"reason": "phished", "confirmation": "alice"}).status_code == 303
    assert alice.get("/users/alice").location.startswith("/console/sign-in")


@pytest.mark.parametrize("who", ["bob", "carol"])
def test_nobody_else_kills_anybody(people, visit, who):
    answer = visit(who).post("/users/alice/kill", {"reason": "x", "confirmation": "alice"})
    assert answer.status_code in {403, 404}
    assert people.events(AuditAction.CUT_OFF_CREATE) == []


def test_what_is_dangerous_asks_to_sign_in_again_and_comes_back(people, visit, clock):
    root = visit("root")
    clock.advance(minutes=11)
    page = root.get("/users/alice").text
    assert "again=1" in page
    assert 'id="kill"' not in page
    form = {"reason": "x", "confirmation": "alice", "next": "/console/users/alice/kill"}
    answer = root.post("/users/alice/kill", form)
    assert answer.status_code == 303
    assert "next=/console/users/alice/kill" in answer.location.replace("%2F", "/")
    assert people.events(AuditAction.CUT_OFF_CREATE) == []


def test_markup_is_text(people, visit):
    people.change(accounts.create_user, "mallory", "<script>alert(1)</script>@example.com", is_admin=False)
    root = visit("root")
    for path in ("/users", "/users/mallory", "/users/mallory/change"):
        page = root.get(path).text
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert(1)" in page
    reason = "<img src=x onerror=alert(1)>"
    answer = root.post("/users/mallory/kill", {"reason": reason, "confirmation": "no"})
    assert reason not in answer.text


def _number(world, login):
    with world.components.database.reading() as session:
        return accounts.find_user(session, login).id


def test_each_change_has_its_command(people, visit):
    root = visit("root")
    said = text_of(root.get("/users/carol/change"))
    assert "countersign user change carol --email carol@example.com --no-admin --auditor" in said
    said = text_of(root.get("/users/alice"))
    assert "countersign user sign-in-link alice" in said
    assert "countersign user session revoke alice ID" in said
    root.post("/users/alice/active", {"active": "false"})
    assert "countersign user enable alice" in text_of(root.get("/users/alice"))

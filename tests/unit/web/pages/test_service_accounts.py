"""Service accounts: secrets that are shown once, and what an account may do for a chosen human."""

from datetime import timedelta
from types import SimpleNamespace

import pytest

from app.identity import accounts
from app.ledger.actions import AuditAction
from tests.support.console_client import text_of


@pytest.fixture
def people(world):
    """Root administers, carol audits, bob is a member of nothing; alice and duo as ever."""
    world.change(accounts.create_user, "root", "root@example.com", is_admin=True)
    world.change(accounts.create_user, "carol", "carol@example.com", is_admin=False, is_auditor=True)
    world.new_user("bob")
    return world


@pytest.mark.parametrize(
    ("who", "sees", "changes"), [("root", True, True), ("carol", True, False), ("bob", False, False)]
)
def test_each_role_sees_its_part(people, visit, who, sees, changes):
    visitor = visit(who)
    listed, shown = (text_of(visitor.get(path)) for path in ("/service-accounts", "/service-accounts/duo"))
    assert "duo" in listed
    assert ("First to expire" in listed) == sees
    assert ("Client secrets" in shown) == sees
    assert ("New secret" in shown) == changes
    assert ("Disable" in shown) == changes
    assert ("Kill switch" in shown) == changes


@pytest.mark.parametrize(("search", "found"), [("", 2), ("DU", 1), ("o-2", 1), ("%", 0), ("uno", 0)])
@pytest.mark.parametrize("who", ["carol", "bob"])
def test_accounts_are_found_by_a_part_of_their_name(people, visit, who, search, found):
    people.change(accounts.create_service_account, "trio-2", is_composite=True)
    page = visit(who).get("/service-accounts", query_string={"search": search})
    assert page.text.count('<th scope="row">') == found
    assert ("No service account is like that" in page.text) == (not found)


def test_what_expires_within_14_days_is_said(people, visit, clock):
    people.new_secret(life=timedelta(days=15))
    root = visit("root")
    assert "expires soon" not in text_of(root.get("/service-accounts"))
    clock.advance(days=1)
    root = visit("root")
    assert "expires soon" in text_of(root.get("/service-accounts"))
    assert "expires soon" in text_of(root.get("/service-accounts/duo"))


def test_an_account_is_created(people, visit):
    root = visit("root")
    answer = root.post("/service-accounts/-/new", {"name": "shop", "composite": "false"})
    assert (answer.status_code, answer.location) == (303, "/console/service-accounts/shop")
    text = text_of(root.get("/service-accounts/shop"))
    assert "in its own name" in text
    assert "shop has no secret" in text
    assert "shop has no role in any project." in text


@pytest.mark.parametrize(
    ("name", "words"),
    [("duo", "choose another name"), ("", "Write a name"), ("Shop!", "lower-case"), ("12", "a number")],
)
def test_a_name_that_cannot_be_is_refused_at_its_field(people, visit, name, words):
    answer = visit("root").post("/service-accounts/-/new", {"name": name, "composite": "true"})
    assert answer.status_code == 422
    assert words in answer.text
    assert 'aria-invalid="true"' in answer.text


@pytest.mark.parametrize(
    ("form", "until"),
    [
        ({"lives": "90"}, "2027-02-20"),
        ({"lives": "date", "date": "2027-01-31"}, "2027-01-31"),
        ({"lives": "never"}, "never"),
    ],
)
def test_a_secret_is_shown_once_and_lives_as_long_as_chosen(people, visit, form, until):
    root = visit("root")
    answer = root.post("/service-accounts/duo/secrets", form)
    assert answer.status_code == 200
    secret = answer.text.partition('value="cssa_')[2].partition('"')[0]
    assert secret
    assert until in text_of(answer)
    assert secret not in root.get("/service-accounts/duo").text
    assert people.events(AuditAction.CLIENT_SECRET_CREATE)[0].actor != "operator:tester"


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"lives": "4000000"},
        {"lives": "date"},
        {"lives": "date", "date": "2020-01-01"},
        {"lives": "90", "date": "2027-01-31"},
        {"lives": "never", "date": "2027-01-31"},
    ],
)
def test_a_secret_of_no_life_is_none(people, visit, form):
    answer = visit("root").post("/service-accounts/duo/secrets", form)
    assert answer.status_code == 422
    assert "field-error" in answer.text
    assert "cssa_" not in answer.text


def test_a_secret_is_revoked(people, visit):
    root = visit("root")
    answer = root.post(f"/service-accounts/duo/secrets/{people.secret_id}/revoke")
    assert answer.status_code == 303
    assert f"Secret {people.secret_id} of duo is revoked." in text_of(root.get("/service-accounts/duo"))
    assert people.ask(scope=people.scope).status_code == 401


def test_disabled_and_enabled_again(people, visit):
    root = visit("root")
    root.post("/service-accounts/duo/active", {"active": "false"})
    assert "duo is disabled." in text_of(root.get("/service-accounts/duo"))
    assert people.ask(scope=people.scope).status_code != 200
    root.post("/service-accounts/duo/active", {"active": "true"})
    assert people.ask(scope=people.scope).status_code == 200


@pytest.mark.parametrize("who", ["carol", "bob"])
def test_only_administrators_change_an_account(people, visit, who):
    visitor = visit(who)
    before = len(people.events())
    for path in ("-/new", "duo/active", "duo/secrets", "duo/kill", f"duo/secrets/{people.secret_id}/revoke"):
        form = {"name": "x", "active": "false", "lives": "7", "reason": "x", "confirmation": "duo"}
        assert "cssa_" not in visitor.post(f"/service-accounts/{path}", form).text
    told = people.events()[: len(people.events()) - before]
    assert {row.outcome for row in told if row.action != AuditAction.USER_AUTHENTICATE} <= {"denied"}
    assert people.ask(scope=people.scope).status_code == 200


def test_what_the_pair_may_do_is_told_conjunct_by_conjunct(people, visit):
    root = visit("root")
    rows = _matrix(root.get("/service-accounts/duo?user=alice&project=acme/webapp"))
    assert rows["code.write"] == "code.write yes yes yes yes allowed"
    assert rows["project.admin"].startswith("project.admin no no yes yes denied alice is developer")
    rows = _matrix(root.get("/service-accounts/duo?user=bob&project=acme/webapp"))
    assert rows["code.read"].startswith("code.read no yes no yes denied bob is no member in acme/webapp")
    people.set_active("duo", active=False)
    rows = _matrix(root.get("/service-accounts/duo?user=alice&project=acme/webapp"))
    assert rows["code.read"] == "code.read yes yes yes no denied duo is disabled"


def test_a_member_asks_about_themselves_alone(people, visit):
    rows = _matrix(visit("alice").get("/service-accounts/duo?project=acme/webapp"))
    assert rows["code.write"].endswith("allowed")
    text = text_of(visit("bob").get("/service-accounts/duo?user=alice&project=acme/webapp"))
    assert "is for them and for administrators" in text
    assert "developer" not in text


def test_nobody_who_is_there_by_that_name_is_a_reason_and_no_error(people, visit):
    answer = visit("root").get("/service-accounts/duo?user=nobody&project=acme/webapp")
    assert answer.status_code == 200
    assert "names nothing that there is" in answer.text


def test_the_kill_switch_disables_and_says_so(people, visit):
    people.ask(scope=f"api {people.scope}")
    root = visit("root")
    page = text_of(root.get("/service-accounts/duo/kill"))
    assert "1 live token" in page
    assert "The account is disabled." in page
    answer = root.post("/service-accounts/duo/kill", {"reason": "leaked", "confirmation": "duo"})
    assert answer.status_code == 303
    assert "Killed: 1 access token" in text_of(root.get("/service-accounts/duo"))
    assert root.post("/service-accounts/duo/kill", {"reason": "x", "confirmation": "d"}).status_code == 422


def test_there_is_no_page_of_what_is_not_there(people, visit):
    assert visit("bob").get("/service-accounts/none").status_code == 404


def test_what_is_typed_is_shown_as_text(people, visit):
    typed = "<script>alert(1)</script>"
    answer = visit("root").get("/service-accounts/duo", query_string={"user": typed, "project": typed})
    assert answer.status_code == 200
    assert typed not in answer.text


def _matrix(answer):
    """The rows of the table, each as a reader sees it, by permission."""
    body = answer.text.partition('id="matrix"')[2].partition("<tbody>")[2].partition("</tbody>")[0]
    rows = [" ".join(_plain(row).split()) for row in body.split("</tr>")]
    return {row.split()[0]: row for row in rows if row}


def _plain(markup):
    return text_of(SimpleNamespace(text=markup))


def test_enabling_has_its_command(people, visit):
    root = visit("root")
    root.post("/service-accounts/duo/active", {"active": "false"})
    assert "countersign service-account enable duo" in text_of(root.get("/service-accounts/duo"))

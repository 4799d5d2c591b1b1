"""Delegations, and who may act for me: given, seen, ended, in words for somebody who has never seen them."""

import re
from html import unescape

import pytest
from sqlalchemy import event

from app.identity import accounts, projects
from app.ledger.actions import AuditAction
from tests.support.console_client import text_of

GRANT = {"service_account": "duo", "reach": "all", "lives": "30"}


@pytest.fixture
def people(world):
    """Root administers, carol audits, bob is a member of nothing; alice and duo as ever."""
    world.change(accounts.create_user, "root", "root@example.com", is_admin=True)
    world.change(accounts.create_user, "carol", "carol@example.com", is_admin=False, is_auditor=True)
    world.new_user("bob")
    return world


def test_a_human_reads_who_may_act_for_them_and_ends_it_with_one_click(people, visit):
    alice = visit("alice")
    people.ask(scope=f"api {people.scope}")
    text = text_of(alice.get("/who-may-act-for-me"))
    assert "duo may act for you" in text
    assert "everything that you both may" in text
    assert "an operator of the server" in text
    assert "never yet" not in text
    answer = alice.post(f"/delegations/{people.delegation}/revoke", {"from": "mine"})
    assert (answer.status_code, answer.location) == (303, "/console/who-may-act-for-me")
    text = text_of(alice.get("/who-may-act-for-me"))
    assert "duo may not act for you any more. To undo this, let it act anew." in text
    assert "No agent may act for you." in text
    assert people.ask(scope=people.scope).status_code == 400


def test_an_end_that_leaves_another_way_says_so(people, visit):
    second = people.delegate()
    alice = visit("alice")
    alice.post(f"/delegations/{people.delegation}/revoke", {"from": "mine"})
    assert f"Delegation {second} still lets duo act for you" in text_of(alice.get("/who-may-act-for-me"))


def test_many_agents_are_paged_and_cost_no_more_statements_than_one(people, visit):
    alice = visit("alice")

    def statements(path):
        said = []
        engine = people.components.database.engine

        def hear(*given):
            said.append(given[2])

        event.listen(engine, "before_cursor_execute", hear)
        page = alice.get(path)
        event.remove(engine, "before_cursor_execute", hear)
        return page.text, len(said)

    _, of_one = statements("/who-may-act-for-me")
    for number in range(54):
        people.new_account(f"agent-{number}")
        people.delegate(account=f"agent-{number}")
    page, of_many = statements("/who-may-act-for-me")
    assert page.count("may act for you</h2>") == 50
    assert of_many == of_one
    [older] = re.findall(r'href="([^"]+)" rel="next"', page)
    assert (
        alice.get(older.removeprefix("/console").replace("&amp;", "&")).text.count("may act for you</h2>")
        == 5
    )


def test_limits_are_told_in_words(people, visit):
    people.delegate(scopes=["code.read"])
    text = text_of(visit("alice").get("/who-may-act-for-me"))
    assert "read code" in text
    assert "code.read" not in text


def test_a_human_lets_an_agent_act(people, visit):
    bob = visit("bob")
    form = GRANT | {"reach": "some", "scopes": ["code.read", "run.read"]}
    answer = bob.post("/delegations/-/new", form)
    assert (answer.status_code, answer.location) == (303, "/console/who-may-act-for-me")
    text = text_of(bob.get("/who-may-act-for-me"))
    assert "duo may act for you now." in text
    assert "Who let it you" in text
    [row] = people.events(AuditAction.DELEGATION_GRANT)[:1]
    assert (row.actor, row.detail["scopes"]) == (row.user, ["code.read", "run.read"])


def test_an_administrator_may_for_anybody_and_is_named(people, visit):
    answer = visit("root").post("/delegations/-/new", GRANT | {"user": "bob", "project": "acme/webapp"})
    assert answer.location == "/console/delegations"
    text = text_of(visit("bob").get("/who-may-act-for-me"))
    assert "root, as administrator" in text
    assert "in acme/webapp alone" in text


def test_a_disabled_agent_is_said_to_be_unable_wherever_it_would_be_said_to_act(people, visit):
    alice = visit("alice")
    people.set_active("duo", active=False)
    for path in ("/who-may-act-for-me", "/delegations", f"/delegations/{people.delegation}"):
        text = text_of(alice.get(path))
        assert "cannot act duo is disabled" in text
        assert "duo may act" not in text
    assert "duo cannot act" in text_of(alice.get("/users/alice"))
    assert "alice cannot act" in text_of(alice.get("/service-accounts/duo"))
    people.set_active("duo", active=True)
    assert "cannot act" not in text_of(alice.get("/users/alice"))
    assert "duo may act for you" in text_of(alice.get("/who-may-act-for-me"))


def test_what_is_given_to_or_for_the_disabled_is_not_said_to_serve(people, visit):
    people.set_active("alice", active=False)
    root = visit("root")
    root.post("/delegations/-/new", GRANT | {"user": "alice"})
    assert "duo cannot act for alice yet: alice is disabled." in text_of(root.get("/delegations"))
    people.set_active("duo", active=False)
    assert "cannot act duo and alice are disabled" in text_of(root.get("/delegations"))


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"service_account": "none"}, 422),
        ({"service_account": ""}, 422),
        ({"reach": "some"}, 422),
        ({"reach": "some", "scopes": ["everything"]}, 422),
        ({"project": "acme/none"}, 422),
        ({"lives": "0"}, 422),
        ({"lives": "never mind"}, 422),
        ({"lives": "date", "date": "2020-01-01"}, 422),
        ({"scopes": ["code.read"]}, 422),
        ({"reach": ""}, 422),
        ({"date": "2026-11-30"}, 422),
        ({"user": "alice"}, 403),
    ],
)
def test_what_cannot_be_is_refused_and_stays_typed(people, visit, changed, status):
    answer = visit("bob").post("/delegations/-/new", GRANT | changed)
    assert answer.status_code == status
    assert "field-error" in answer.text or 'role="alert"' in answer.text
    assert len(people.events(AuditAction.DELEGATION_GRANT)) == 1


def test_a_tick_or_a_date_without_its_choice_is_told_at_its_field_and_kept(people, visit):
    answer = visit("bob").post("/delegations/-/new", GRANT | {"scopes": ["code.read"], "date": "2026-11-30"})
    assert 'value="code.read" checked' in answer.text
    assert 'value="2026-11-30"' in answer.text
    text = text_of(answer)
    assert "Choose “only what is ticked below” for these, or clear them." in text
    assert "choose “on a date”, or clear it." in text


def test_no_agent_is_chosen_for_a_human(people, visit):
    def offered(path):
        select = visit("bob").get(path).text.partition('name="service_account" required')[2]
        return select.partition("</select>")[0]

    assert '<option value="" selected>' in offered("/delegations/-/new")
    assert '<option value="duo" selected>' in offered("/delegations/-/new?service_account=duo")


@pytest.mark.parametrize(
    ("who", "sees", "ends"),
    [("root", 200, True), ("alice", 200, True), ("carol", 200, False), ("bob", 404, False)],
)
def test_who_sees_and_ends_one(people, visit, who, sees, ends):
    visitor, path = visit(who), f"/delegations/{people.delegation}"
    page = visitor.get(path)
    assert page.status_code == sees
    assert ("End it" in page.text) == ends
    visitor.post(f"{path}/revoke")
    assert bool(people.events(AuditAction.DELEGATION_REVOKE)) == ends


@pytest.mark.parametrize(
    ("who", "query", "found"),
    [
        ("root", "", {"alice", "bob"}),
        ("carol", "", {"alice", "bob"}),
        ("alice", "", {"alice"}),
        ("root", "?user=bob", {"bob"}),
        ("root", "?state=over", {"carol"}),
        ("root", "?state=", {"alice", "bob", "carol"}),
        ("root", "?service_account=none", set()),
        ("alice", "?user=bob", set()),
    ],
)
def test_the_list_and_its_filters(people, visit, who, query, found):
    people.delegate("bob")
    ended = people.delegate("carol")
    visit("carol").post(f"/delegations/{ended}/revoke")
    page = visit(who).get(f"/delegations{query}").text
    body = page.partition("<tbody>")[2].partition("</tbody>")[0]
    seen = {name for name in ("alice", "bob", "carol") if f" for {name}" in body or f">{name}</a>" in body}
    assert seen == found


@pytest.mark.parametrize(
    ("query", "twin"),
    [
        ("", "?live=true"),
        ("?user=bob&state=over", "?user=bob&live=false"),
        ("?service_account=duo&state=", "?service_account=duo"),
        ("?state=", ""),
    ],
)
def test_its_twin_asks_for_what_is_shown(people, visit, query, twin):
    page = visit("root").get(f"/delegations{query}")
    assert f"GET /api/v1/delegations{twin} DELETE" in unescape(text_of(page))


def test_a_name_that_cannot_be_is_an_error_and_nothing_else(people, visit):
    page = visit("root").get("/delegations?user=No%20Body")
    assert page.status_code == 422
    assert 'role="alert"' in page.text
    assert "empty-state" not in page.text


def test_one_that_has_ended_says_when_and_leaves_its_pair_its_events(people, visit):
    other, path = people.delegate(), f"/delegations/{people.delegation}"
    alice = visit("alice")
    text = text_of(alice.get(path))
    assert "Ends 2026-12-22" in text
    assert "this delegation" in text
    alice.post(f"{path}/revoke")
    text = text_of(alice.get(path))
    assert "Ended 2026-11-22" in text
    assert "2026-12-22" not in text
    assert "this delegation" not in text
    assert "Last event of duo for alice" in text
    assert "this delegation" in text_of(alice.get(f"/delegations/{other}"))


def test_an_empty_list_says_what_to_do(people, visit):
    text = text_of(visit("bob").get("/delegations"))
    assert "Nobody may act for you." in text
    assert "countersign delegation grant --user bob --service-account NAME" in text


def test_the_kill_switch_ends_it_and_what_it_gave_rise_to(people, visit):
    people.ask(scope=f"api {people.scope}")
    alice, path = visit("alice"), f"/delegations/{people.delegation}"
    assert "1 live token" in text_of(alice.get(path))
    assert alice.post(f"{path}/kill", {"reason": ""}).status_code == 422
    assert alice.post(f"{path}/kill", {"reason": "it went mad"}).status_code == 303
    text = text_of(alice.get(path))
    assert "Killed: 1 access token" in text
    assert "revoked" in text


def test_nobody_kills_anothers(people, visit):
    for who in ("bob", "carol"):
        visit(who).post(f"/delegations/{people.delegation}/kill", {"reason": "x"})
    assert people.events(AuditAction.CUT_OFF_CREATE) == []


def test_projects_that_one_may_not_see_are_not_suggested(people, visit):
    people.change(projects.create_project, "secret/plan")
    assert "secret/plan" in visit("root").get("/delegations/-/new").text
    assert "secret/plan" not in visit("alice").get("/delegations/-/new").text


def test_what_is_in_the_address_is_shown_as_text(people, visit):
    typed = '"><script>alert(1)</script>'
    for path in ("/delegations", "/delegations/-/new"):
        query = {"user": typed, "service_account": typed, "state": typed, "project": typed}
        assert typed not in visit("root").get(path, query_string=query).text

"""An auditor at the console: every page that an administrator has, and none of what it changes."""

import pytest

from app.identity import accounts
from tests.support.console_client import text_of


@pytest.fixture
def people(world):
    """Alice, whom nobody made anything; root administers, carol audits."""
    world.change(accounts.create_user, "root", "root@example.com", is_admin=True)
    world.change(accounts.create_user, "carol", "carol@example.com", is_admin=False, is_auditor=True)
    return world


SCREENS = (
    "/", "/keys", "/audiences", "/users", "/users/alice", "/service-accounts", "/service-accounts/duo",
    "/delegations", "/projects", "/projects/acme/webapp", "/runs", "/audit", "/mine",
)  # fmt: skip


def test_an_auditor_has_the_screens_of_an_administrator(people, visit):
    root, carol = visit("root"), visit("carol")
    for path in SCREENS:
        assert (path, root.get(path).status_code) == (path, 200)
        assert (path, carol.get(path).status_code) == (path, 200)
    assert "alice" in text_of(carol.get("/users"))
    assert "acme/webapp" in text_of(carol.get("/projects"))


CONFIGURES = "Whoever may write configurations in this project does this: its maintainers and owners."
FORMS = {
    "/users/-/new": "An administrator creates users.",
    "/users/alice/change": "An administrator changes users.",
    "/service-accounts/-/new": "An administrator creates service accounts.",
    "/projects/acme/webapp/-/configuration/edit": CONFIGURES,
    "/projects/acme/webapp/-/source": CONFIGURES,
}


@pytest.mark.parametrize("path", FORMS)
def test_a_form_that_an_auditor_cannot_send_is_not_offered(people, visit, path):
    told, offered = visit("carol").get(path), visit("root").get(path)
    assert FORMS[path] in text_of(told)
    assert FORMS[path] not in text_of(offered)
    main = [page.text.partition("<main")[2] for page in (told, offered)]
    assert ['<form class="card-body"' in each for each in main] == [False, True]


def test_what_an_auditor_sends_changes_nothing_and_the_ledger_is_told(people, visit):
    carol = visit("carol")
    for path, form in (
        ("/users/alice/active", {"active": "false"}),
        ("/users/-/new", {"login": "mallory", "email": "mallory@example.com"}),
        ("/service-accounts/-/new", {"name": "robot"}),
        ("/keys/rotate", {"alg": "RS256"}),
        (f"/delegations/{people.delegation}/revoke", {}),
    ):
        answer = carol.post(path, form)
        row = people.in_ledger(answer)
        assert (path, row.action, row.outcome) == (path, "api:operation:call", "denied")

"""What is shown once: its form sent again, as by reloading the answer, makes no other."""

import re

import pytest

from app.identity import accounts
from app.ledger.actions import AuditAction
from tests.support.console_client import text_of

FORMS = {
    "client secret": (
        "/service-accounts/duo",
        "/service-accounts/duo/secrets",
        {"lives": "90"},
        AuditAction.CLIENT_SECRET_CREATE,
    ),
    "personal access token": (
        "/mine/tokens/new",
        "/mine/tokens",
        {"scopes": "api", "lives": "7"},
        AuditAction.PERSONAL_ACCESS_TOKEN_CREATE,
    ),
    "sign-in link": ("/users/alice", "/users/alice/sign-in-link", {}, AuditAction.SIGN_IN_LINK_ISSUE),
}


@pytest.fixture
def root(world, visit):
    world.change(accounts.create_user, "root", "root@example.com", is_admin=True)
    return visit("root")


def key_of(page):
    [key] = re.findall(r'name="once" value="([^"]+)"', page.text)
    return key


@pytest.mark.parametrize(("page", "path", "form", "action"), FORMS.values(), ids=FORMS)
def test_a_form_makes_one_and_the_next_form_another(world, root, page, path, form, action):
    before = len(world.events(action))
    sent = form | {"once": key_of(root.get(page))}
    assert root.post(path, sent).status_code == 200
    again = root.post(path, sent)
    assert again.status_code == 409
    assert "It was made already, and is shown once: make another one." in text_of(again)
    assert len(world.events(action)) == before + 1
    assert root.post(path, form | {"once": key_of(root.get(page))}).status_code == 200
    assert len(world.events(action)) == before + 2


def test_a_refused_form_may_be_sent_again_as_it_stands(root):
    form = {"once": key_of(root.get("/mine/tokens/new")), "lives": "7"}
    assert root.post("/mine/tokens", form).status_code == 422
    assert root.post("/mine/tokens", form | {"scopes": "api"}).status_code == 200


def test_only_the_last_forms_are_remembered(root):
    for number in range(40):
        root.post("/mine/tokens", {"scopes": "api", "lives": "7", "once": f"{number}" * 3000})
    assert len(root.client.get_cookie("countersign-said").value) < 1024

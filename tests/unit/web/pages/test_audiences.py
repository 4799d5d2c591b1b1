"""Audiences in the console: added, changed, removed; each refusal at its field."""

from urllib.parse import quote

import pytest

from app.identity import accounts
from tests.support.console_client import text_of

URI = "https://api.acme.example"
MARKUP = "x<script>alert(1)</script>"
ADD = {"uri": URI, "kind": "api", "alg": "RS256", "rendering": "composite"}
CHANGE, REMOVE = (f"/audiences/{what}?uri={quote(URI, safe='')}" for what in ("change", "remove"))


@pytest.fixture
def root(world, visit):
    world.change(accounts.create_user, "root", "root@example.com", is_admin=True)
    return visit("root")


def test_there_is_none_at_first(root):
    said = text_of(root.get("/audiences"))
    assert "No audience is registered" in said
    assert "countersign audience add https://api.acme.example --kind api" in said


def test_one_is_added_changed_and_removed(world, root):
    world.new_account("shop", is_composite=False)
    added = root.post("/audiences/new", ADD | {"introspect": "shop\n"})
    assert (added.status_code, added.location) == (303, "/console/audiences")
    assert f"{URI} is registered." in text_of(root.get("/audiences"))
    assert "shop</textarea>" in root.get(CHANGE).text
    changed = root.send("/audiences/change", {"uri": URI, "alg": "ES256", "rendering": "delegated"}, CHANGE)
    assert changed.status_code == 303
    said = text_of(root.get("/audiences"))
    assert "signed with RS256 until 2026-11-23T10:00Z, with ES256 from then on" in said
    assert "delegated" in said
    assert "the ES256 keys go too" in text_of(root.get(REMOVE))
    removed = root.post("/audiences/remove", {"uri": URI, "confirmation": URI})
    assert removed.status_code == 303
    assert "No audience is registered" in text_of(root.get("/audiences"))


def test_the_command_beside_a_change_keeps_what_is_registered(world, root):
    world.new_account("shop", is_composite=False)
    root.post("/audiences/new", ADD | {"rendering": "delegated", "introspect": "shop"})
    said = text_of(root.get(CHANGE))
    assert f"countersign audience change {URI} --alg RS256 --rendering delegated --introspect shop" in said
    assert "audience remove" not in said


def test_the_command_beside_a_change_says_which_list_is_empty(root):
    root.post("/audiences/new", ADD)
    assert "--rendering composite --no-introspect" in text_of(root.get(CHANGE))


@pytest.mark.parametrize(
    ("more", "status", "said"),
    [
        ({"uri": ""}, 422, "printable characters"),
        ({"uri": "two words"}, 422, "printable characters"),
        ({"uri": "no-uri"}, 422, "is an absolute URI"),
        ({"alg": "HS256"}, 422, "choose"),
        ({"kind": "other"}, 422, "choose"),
        ({"introspect": "nobody"}, 422, "names nothing that there is"),
        ({"introspect": "duo"}, 422, "can do nothing alone"),
        ({"kind": "verifier", "projects": "acme/nothing"}, 422, "names nothing that there is"),
        ({"kind": "verifier", "projects": "../.."}, 422, "write groups and a name"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(root, more, status, said):
    refused = root.post("/audiences/new", ADD | more)
    assert refused.status_code == status
    assert said in refused.text
    assert 'role="alert"' in refused.text
    assert "No audience is registered" in text_of(root.get("/audiences"))


def test_what_is_there_is_not_added_again(root):
    root.post("/audiences/new", ADD)
    again = root.post("/audiences/new", ADD | {"uri": URI.upper().replace("HTTPS", "https") + "/"})
    assert again.status_code == 409
    assert "is registered already" in again.text


def test_a_verifier_is_bound_to_projects(world, root):
    form = {"uri": "vault", "kind": "verifier", "alg": "RS256", "rendering": "composite"}
    assert root.post("/audiences/new", form | {"projects": f"{world.project}\n\n"}).status_code == 303
    assert f"flows of {world.project} may name it" in text_of(root.get("/audiences"))
    for_any = {"uri": "vault", "alg": "RS256", "projects": ""}
    stale = root.post("/audiences/change", for_any | {"etag": "0" * 32})
    assert (stale.status_code, "It was changed meanwhile" in stale.text) == (412, True)
    assert root.send("/audiences/change", for_any, "/audiences/change?uri=vault").status_code == 303
    assert "flows of any project may name it" in text_of(root.get("/audiences"))


def test_a_removal_wants_its_name(root):
    root.post("/audiences/new", ADD)
    refused = root.post("/audiences/remove", {"uri": URI, "confirmation": "yes"})
    assert refused.status_code == 422
    assert "is not the audience" in refused.text
    assert URI in root.get("/audiences").text


@pytest.mark.parametrize("path", ["/audiences/change", "/audiences/remove"])
def test_one_that_never_was(root, path):
    assert root.get(f"{path}?uri=https%3A%2F%2Fother.example").status_code == 404
    assert root.post(path, {"uri": "https://other.example"}).status_code == 404


def test_an_algorithm_begins_with_an_audience(root):
    said = text_of(root.get("/audiences/new?why=algorithm"))
    assert "An algorithm comes into use with the first audience that asks for it" in said


def test_markup_shows_as_text(root):
    form = ADD | {"uri": MARKUP, "kind": "verifier"}
    assert root.post("/audiences/new", form).status_code == 303
    for path in (
        "/audiences",
        f"/audiences/change?uri={quote(MARKUP)}",
        f"/audiences/remove?uri={quote(MARKUP)}",
    ):
        shown = root.get(path)
        assert shown.status_code == 200
        assert MARKUP not in shown.text
        assert "&lt;script&gt;" in shown.text


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/audiences/new", ADD),
        ("/audiences/change", {"uri": URI, "alg": "ES256"}),
        ("/audiences/remove", {"uri": URI, "confirmation": URI}),
    ],
)
def test_a_member_neither_sees_nor_changes_any(world, root, visit, path, form):
    root.post("/audiences/new", ADD)
    root.get("/audiences")  # says once that it was added
    before = text_of(root.get("/audiences"))
    assert visit("alice").get("/audiences").status_code == 403
    assert visit("alice").post(path, form).status_code == 403
    assert world.events()[0].outcome == "denied"
    assert text_of(root.get("/audiences")) == before


def test_a_sign_in_of_long_ago_leads_to_the_door_first(world, root):
    root.post("/audiences/new", ADD)
    world.clock.advance(minutes=11)
    assert "again=1&amp;next=/console/audiences/new" in root.get("/audiences").text
    assert "Sign in again" in root.get(CHANGE).text
    answer = root.post("/audiences/remove", {"uri": URI, "confirmation": URI, "next": "/console/audiences"})
    assert answer.location.startswith("/console/sign-in?")
    assert URI in root.get("/audiences").text

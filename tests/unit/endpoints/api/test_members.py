"""Members of projects and groups, through the API."""

from urllib.parse import quote

import pytest

from app.identity import members
from app.identity.permissions import PERMISSIONS, Role

from .conftest import location, problem
from .scenes import give

PROJECT, GROUP = "/projects/acme/webapp/members", "/groups/acme/members"


def test_nobody_can_give_a_role_above_their_own():
    """Who manages members has the strongest role there is, so no other rule is needed."""
    assert PERMISSIONS["member.manage"] is max(Role)


@pytest.mark.parametrize("place", [PROJECT, GROUP])
def test_a_member_is_added_changed_and_removed(api, place):
    kind = place.split("/")[1][:-1]
    path = place.removesuffix("/members").removeprefix(f"/{kind}s/")
    give(api.world, "owner", "user:alice", path=path)
    made = api("alice", "PUT", f"{place}/user:bob", {"role": "reporter"})
    assert made.status_code == 201
    assert made.headers["Location"] == location(f"{place}/user:bob")
    assert made.get_json()[kind] == path
    assert made.get_json()["role"] == "reporter"
    read = api("alice", "GET", f"{place}/user:bob")
    assert read.headers["ETag"] == made.headers["ETag"]
    rows = len(api.world.events())
    assert api("alice", "PUT", f"{place}/user:bob", {"role": "reporter"}).status_code == 200
    assert len(api.world.events()) == rows
    problem(api("alice", "PUT", f"{place}/user:bob", {"role": "guest"}, If_Match='"other"'), 412)
    changed = api("alice", "PUT", f"{place}/user:bob", {"role": "guest"}, If_Match=made.headers["ETag"])
    assert (changed.status_code, changed.get_json()["role"]) == (200, "guest")
    problem(api("alice", "DELETE", f"{place}/user:bob", If_Match=made.headers["ETag"]), 412)
    assert api("alice", "DELETE", f"{place}/user:bob").status_code == 204
    problem(api("alice", "GET", f"{place}/user:bob"), 404)
    problem(api("alice", "DELETE", f"{place}/user:bob"), 404)


def test_a_member_is_named_by_name_or_number_and_encoded_or_not(api):
    named = [f"user:{api.world.alice}", "user:alice", quote("user:alice", safe="")]
    answers = [api("administrator", "GET", f"{PROJECT}/{each}").get_json() for each in named]
    assert answers[0] == answers[1] == answers[2]
    for nobody in ("user:nobody", "user:999", "service_account:alice", "alice", "user:"):
        problem(api("administrator", "PUT", f"{PROJECT}/{nobody}", {"role": "guest"}), 404)
    problem(api("administrator", "PUT", f"{PROJECT}/user:bob", {"role": "god"}), 422)


def test_own_and_inherited_roles_are_listed_page_by_page(api):
    give(api.world, "owner", "user:alice", "user:bob", path="acme")
    cursor, rows = "", []
    while cursor is not None:
        page = api("alice", "GET", f"{PROJECT}?limit=1" + (f"&cursor={cursor}" if cursor else "")).get_json()
        assert len({row["principal"] for row in page["items"]}) == 1
        rows += page["items"]
        cursor = page["next_cursor"]
    seen = {(row["name"], row["role"], row["from"], row["effective"]) for row in rows}
    assert seen == {
        ("alice", "owner", "acme", True),
        ("alice", "developer", "acme/webapp", False),
        ("duo", "developer", "acme/webapp", True),
        ("bob", "owner", "acme", True),
    }
    whole = api("alice", "GET", PROJECT).get_json()
    assert (len(whole["items"]), whole["next_cursor"]) == (len(rows), None)


def test_a_role_in_a_project_says_nothing_of_the_group(api):
    give(api.world, "owner", "user:alice")
    problem(api("alice", "GET", GROUP), 404)
    problem(api("alice", "PUT", f"{GROUP}/user:alice", {"role": "owner"}), 404)


@pytest.mark.parametrize("role", Role, ids=lambda role: role.label)
@pytest.mark.parametrize("caller", ["alice", "composite token", "account"])
def test_only_owners_manage_a_groups_members(api, caller, role):
    give(api.world, role.label, "user:alice", "service_account:duo", "service_account:shop", path="acme")
    put = api(caller, "PUT", f"{GROUP}/user:bob", {"role": "owner"})
    assert put.status_code == (201 if role is Role.OWNER else 403)
    gone = api(caller, "DELETE", f"{GROUP}/service_account:shop")
    assert gone.status_code == (204 if role is Role.OWNER else 403)


@pytest.mark.parametrize(
    ("caller", "status"), [("stranger", 404), ("narrow", 404), ("nobody", 401), ("client secret", 401)]
)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_strangers_and_nobody_may_nothing(api, caller, status, method):
    give(api.world, "owner", "user:alice", path="acme")
    body = {"role": "guest"} if method == "PUT" else None
    problem(api(caller, method, f"{GROUP}/user:alice", body), status)


@pytest.mark.parametrize("caller", ["alice", "composite token"])
def test_the_last_human_owner_stays(api, caller):
    """No agent removes its own human, and nobody themselves, before there is another."""
    give(api.world, "owner", "user:alice", "service_account:duo", path="acme")
    for method, body in (("DELETE", None), ("PUT", {"role": "developer"})):
        problem(api(caller, method, f"{GROUP}/user:alice", body), 409)
    assert api(caller, "PUT", f"{GROUP}/user:bob", {"role": "owner"}).status_code == 201
    assert api(caller, "DELETE", f"{GROUP}/user:alice").status_code == 204
    assert api("administrator", "DELETE", f"{GROUP}/user:bob").status_code == 204


def test_what_an_account_does_alone_is_found_by_its_name(api):
    give(api.world, "owner", "service_account:shop", "user:alice")
    shop = api("account", "GET", "/me").get_json()["service_account"]["principal"]
    assert api("account", "PUT", f"{PROJECT}/service_account:duo", {"role": "owner"}).status_code == 200
    row = api.last_event()
    assert (row.actor, row.user, row.service_account) == (shop, None, shop)
    assert row.detail["concerned"] == {"service_account": f"service_account:{api.world.duo}"}


def test_a_role_of_a_changed_member_holds_at_once(api):
    give(api.world, "owner", "user:alice", path="acme")
    assert api("alice", "GET", GROUP).status_code == 200
    api.world.change(
        lambda session, **by_now: members.remove_member(
            session, members.find_place(session, "acme"), "user:alice", **by_now
        )
    )
    problem(api("alice", "GET", GROUP), 404)

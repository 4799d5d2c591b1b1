"""Users, service accounts and their credentials, over HTTP."""

from concurrent.futures import ThreadPoolExecutor, wait

import pytest
from sqlalchemy import event

from app.clock import rfc3339
from app.flows.kill import kill
from app.identity.cut_offs import CutOffKind
from tests.support.components import OPERATOR, basic, on_every_database

from .conftest import location, problem

BOB = {"email": "bob@example.org", "admin": False}


@on_every_database
def test_put_creates_and_then_changes_nothing_when_nothing_differs(api):
    created = api("administrator", "PUT", "/users/carol", BOB)
    assert (created.status_code, created.headers["Location"]) == (201, location("/users/carol"))
    assert created.get_json() == {
        "id": created.get_json()["id"],
        "principal": f"user:{created.get_json()['id']}",
        "login": "carol",
        "email": "bob@example.org",
        "admin": False,
        "auditor": False,
        "active": True,
    }
    count = len(api.world.events())
    again = api("administrator", "PUT", "/users/carol", BOB)
    assert (again.status_code, again.data, again.headers["ETag"]) == (
        200,
        created.data,
        created.headers["ETag"],
    )
    assert len(api.world.events()) == count


def test_put_replaces_and_the_ledger_names_the_administrator_and_the_request(api):
    changed = api("administrator", "PUT", "/users/bob", BOB | {"admin": True})
    assert changed.get_json()["admin"] is True
    row = api.last_event()
    assert (row.action, row.user, row.detail) == (
        "identity:user:change",
        changed.get_json()["principal"],
        {"admin": True, "auditor": False},
    )
    assert row.actor == api("administrator", "GET", "/me").get_json()["user"]["principal"]
    assert row.request_id == changed.headers["X-Request-Id"]
    assert api("stranger", "GET", "/users").status_code == 200
    assert api("administrator", "PUT", "/users/bob", BOB).get_json()["admin"] is False
    assert api("stranger", "GET", "/users").status_code == 403


@pytest.mark.parametrize(("path", "owner"), [("/users/alice", "alice"), ("/service-accounts/duo", "duo")])
def test_disabled_and_enabled_again(api, path, owner):
    disabled = api("administrator", "PUT", f"{path}/active", {"active": False})
    assert disabled.get_json()["active"] is False
    assert api.world.ask(scope=f"api {api.world.scope}").status_code in {400, 401}
    count = len(api.world.events())
    assert api("administrator", "PUT", f"{path}/active", {"active": False}).data == disabled.data
    assert len(api.world.events()) == count
    assert api("administrator", "PUT", f"{path}/active", {"active": True}).get_json()["active"] is True
    assert api.world.ask(scope=f"api {api.world.scope}").status_code == 200


def test_a_service_account_is_composite_or_not_for_ever(api):
    path = "/service-accounts/builder"
    created = api("administrator", "PUT", path, {})
    assert created.get_json()["composite"] is True
    assert api("administrator", "PUT", path, {}).data == created.data
    problem(api("administrator", "PUT", path, {"composite": False}), 409)
    assert api("alice", "GET", path).data == created.data


def test_a_personal_access_token_is_shown_once_and_works_until_revoked(api):
    body = {"name": "backup", "scopes": ["api", "code.read"], "expires_at": "2026-12-24T12:00:00+01:00"}
    created = api("alice", "POST", "/users/alice/tokens", body)
    shape = created.get_json()
    token = shape.pop("token")
    path = created.headers["Location"].removeprefix(location(""))
    assert (shape["name"], shape["expires_at"]) == ("backup", "2026-12-24T11:00:00.000000Z")
    assert api("alice", "GET", path).get_json() == shape
    assert token not in api("alice", "GET", "/users/alice/tokens").text

    api.authorization["new"] = f"Bearer {token}"
    assert api("new", "GET", "/users/alice").status_code == 200
    assert api("new", "DELETE", path).status_code == 204
    problem(api("new", "GET", "/users/alice"), 401)
    assert api("alice", "GET", path).get_json()["revoked_at"] is not None
    count = len(api.world.events())
    assert api("alice", "DELETE", path).status_code == 204
    assert len(api.world.events()) == count


@on_every_database
def test_the_use_of_a_personal_access_token_is_noted_once_a_minute(api):
    made = api("alice", "POST", "/users/alice/tokens", {"scopes": ["api"]})
    api.authorization["new"] = f"Bearer {made.get_json()['token']}"
    path = made.headers["Location"].removeprefix(location(""))

    def last_used():
        return api("alice", "GET", path).get_json()["last_used_at"]

    assert last_used() is None
    for seconds, is_noted in ((1, True), (59, False), (1, True)):
        api.world.clock.advance(seconds=seconds)
        before = last_used()
        assert api("new", "GET", "/me").status_code == 200
        assert last_used() == (rfc3339(api.world.clock()) if is_noted else before)


@pytest.mark.parametrize("name", ["", " ", "a\nb", "a\x1bb", "x" * 101, 7])
def test_a_name_is_one_line_that_can_be_read(shared_api, name):
    refused = problem(
        shared_api("alice", "POST", "/users/alice/tokens", {"scopes": ["api"], "name": name}), 422
    )
    assert [each["key"] for each in refused["errors"]] == ["name"]


def test_a_personal_access_token_does_not_outlive_the_one_that_made_it(api):
    in_an_hour, in_a_day = "2026-11-22T11:00:00Z", "2026-11-23T10:00:00Z"
    mother = api("alice", "POST", "/users/alice/tokens", {"scopes": ["api"], "expires_at": in_an_hour})
    api.authorization["short"] = f"Bearer {mother.get_json()['token']}"
    for asked in ({}, {"expires_at": in_a_day}):
        made = api("short", "POST", "/users/alice/tokens", {"scopes": ["api"]} | asked).get_json()
        assert made["expires_at"] == mother.get_json()["expires_at"] == "2026-11-22T11:00:00.000000Z"
    assert api.last_event().detail["made_with"] == mother.get_json()["id"]
    api.authorization["child"] = f"Bearer {made['token']}"
    assert api("child", "GET", "/me").status_code == 200
    api.world.clock.advance(hours=1)
    problem(api("child", "GET", "/me"), 401)


def test_nobody_makes_a_token_for_another(api):
    refused = problem(api("administrator", "POST", "/users/alice/tokens", {"scopes": ["api"]}), 403)
    assert "operator" in refused["detail"]
    assert api("administrator", "POST", "/users/root/tokens", {"scopes": ["api"]}).status_code == 201


def test_the_etag_of_what_is_shown_once_is_that_of_what_is_shown_later(api):
    for caller, path, body in (
        ("alice", "/users/alice/tokens", {"scopes": ["api"]}),
        ("administrator", "/service-accounts/duo/secrets", {}),
    ):
        made = api(caller, "POST", path, body)
        there = made.headers["Location"].removeprefix(location(""))
        assert api(caller, "GET", there).headers["ETag"] == made.headers["ETag"]


def test_somebody_is_left_to_administer(api):
    change = {"email": "root@example.com", "admin": False}
    problem(api("administrator", "PUT", "/users/root", change), 409)
    problem(api("administrator", "PUT", "/users/root/active", {"active": False}), 409)
    problem(api("administrator", "PUT", "/users/root", {"email": "root@example.com"}), 422)
    assert api("administrator", "PUT", "/users/bob", BOB | {"admin": True}).status_code == 200
    assert api("administrator", "PUT", "/users/root", change).status_code == 200
    problem(api("stranger", "PUT", "/users/bob/active", {"active": False}), 409)


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
@pytest.mark.usefixtures("unhurried")
def test_a_kill_waits_for_what_its_victim_is_doing_and_ends_that_too(api):
    """Whoever is killed while they make a token has none afterwards."""
    world = api.world
    killed = []

    def end_alice():
        with world.components.database.writing() as session:
            kill(session, CutOffKind.USER, "alice", reason="stolen", by=OPERATOR, now=world.clock())

    with ThreadPoolExecutor(1) as pool:

        @event.listens_for(world.components.database.engine, "before_cursor_execute")
        def meanwhile(_connection, _cursor, statement, *_):
            if statement.startswith("INSERT INTO personal_access_tokens"):
                killed.append(pool.submit(end_alice))
                wait(killed, timeout=0.5)

        answer = api("alice", "POST", "/users/alice/tokens", {"scopes": ["api"]})
        killed[0].result(timeout=60)
    world.set_active("alice", active=True)
    assert answer.status_code == 201
    for token in (api.authorization["alice"], f"Bearer {answer.get_json()['token']}"):
        api.authorization["alice"] = token
        problem(api("alice", "GET", "/me"), 401)


def test_a_client_secret_is_shown_once_and_works_until_revoked(api):
    created = api("administrator", "POST", "/service-accounts/duo/secrets", {})
    shape = created.get_json()
    path = created.headers["Location"].removeprefix(location(""))
    credentials = basic(shape["client_id"], shape["client_secret"])
    assert shape["client_secret"] not in api("administrator", "GET", "/service-accounts/duo/secrets").text
    assert api.world.ask(authorization=credentials, scope=api.world.scope).status_code == 200
    assert api("administrator", "DELETE", path).status_code == 204
    assert api.world.ask(authorization=credentials, scope=api.world.scope).status_code == 401


@pytest.mark.parametrize(
    "expires_at",
    [
        "2020-01-01T00:00:00Z", "9999-12-31T23:59:59-01:00", "2026-12-24", "2026-12-24T12:00:00",
        "2026-13-24T12:00:00Z", "1767225600", 1767225600, "2027-01-01 00:00:00Z", True,
    ],
)  # fmt: skip
def test_a_time_is_rfc_3339_and_lies_ahead(shared_api, expires_at):
    body = {"scopes": ["api"], "expires_at": expires_at}
    refused = problem(shared_api("alice", "POST", "/users/alice/tokens", body), 422)
    assert [each["key"] for each in refused["errors"]] == ["expires_at"]

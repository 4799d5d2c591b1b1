"""Where somebody has a role, and how the secrets of accounts stand: what the console's pages ask."""

from datetime import timedelta

from app.identity import credentials, projects
from app.identity.accounts import find_service_account

from .scenes import give, new_run


def test_roles_are_told_where_they_were_given(api):
    api.world.change(projects.create_project, "acme/tools/cli")
    give(api.world, "owner", "user:alice", path="acme")
    give(api.world, "reporter", "user:alice", path="acme/tools/cli")
    first = api("alice", "GET", "/users/alice/memberships?limit=2").get_json()
    assert first["items"] == [
        {"place": "group", "path": "acme", "role": "owner"},
        {"place": "project", "path": "acme/tools/cli", "role": "reporter"},
    ]
    second = api("alice", "GET", f"/users/alice/memberships?cursor={first['next_cursor']}").get_json()
    assert [each["path"] for each in second["items"]] == ["acme/webapp"]
    assert second["next_cursor"] is None
    of_duo = api("administrator", "GET", "/service-accounts/duo/memberships").get_json()["items"]
    assert of_duo == [{"place": "project", "path": "acme/webapp", "role": "developer"}]


def test_a_project_that_was_deleted_is_no_place(api):
    def delete(session, **by_now):
        projects.delete_project(session, projects.find_project(session, "acme/webapp"), **by_now)

    api.world.change(delete)
    assert api("alice", "GET", "/users/alice/memberships").get_json()["items"] == []


def test_how_secrets_stand(api):
    world = api.world
    world.new_secret(life=timedelta(days=30))
    soon, _ = world.new_secret(life=timedelta(days=10))
    world.new_account("idle")
    assert world.ask(scope=world.scope).status_code == 200

    def standing():
        items = api("administrator", "GET", "/client-secrets").get_json()["items"]
        return {each.pop("service_account"): each for each in items}["duo"]

    used = standing()["last_used_at"]
    assert standing() == {
        "alive": 3,
        "last_used_at": used,
        "expires_first_at": "2026-12-02T10:00:00.123456Z",
    }
    assert used is not None

    def revoke(session, **by_now):
        credentials.revoke_client_secret(session, find_service_account(session, "duo"), soon, **by_now)

    world.change(revoke)
    assert standing()["alive"] == 2
    assert standing()["expires_first_at"] == "2026-12-22T10:00:00.123456Z"


def test_what_runs_for_me_is_mine_whatever_became_of_my_role(api):
    run = new_run(api.world)
    [mine] = api("alice", "GET", "/me/runs").get_json()["items"]
    assert (mine["id"], mine["state"]) == (run, "pending")
    assert api("stranger", "GET", "/me/runs").get_json()["items"] == []
    api("alice", "POST", "/kills", {"run": run, "reason": "enough"})
    assert api("alice", "GET", "/me/runs").get_json()["items"] == []

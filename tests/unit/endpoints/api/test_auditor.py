"""An auditor reads whatever an administrator reads, and changes nothing by that: every operation."""

from urllib.parse import quote

import pytest

from app.identity import accounts
from app.identity.permissions import PERMISSIONS, READING
from app.operations.operation import By
from app.operations.resources import operations
from tests.support.components import ManualClock

from .conftest import called, personal, problem
from .scenes import YAML, give, new_run
from .test_sign_in import begin

OPERATIONS = {each.id: each for each in operations().values()}
VARIABLE = "/projects/acme/webapp/variables/STAGE"
AUDIENCE = {"kind": "api", "introspect": ["shop"]}
CHANGES = {
    "put_user": {"email": "alice@example.com", "admin": False},
    "put_user_active": {"active": False},
    "end_session": None,
    "end_other_sessions": None,
    "set_password": {"password": "vellum harbor quince tally"},
    "issue_sign_in_link": None,
    "create_token": {"scopes": ["api"]},
    "revoke_token": None,
    "put_service_account": {"composite": True},
    "put_service_account_active": {"active": False},
    "create_secret": {},
    "revoke_secret": None,
    "grant_delegation": {"service_account": "duo", "user": "alice"},
    "revoke_delegation": None,
    "put_group": None,
    "put_project": None,
    "change_project": {"workload": "user"},
    "delete_project": None,
    "put_variable": {"value": "production"},
    "delete_variable": None,
    "put_configuration": YAML,
    "put_source": {"git": "https://git.example.com/acme/webapp.git"},
    "delete_source": None,
    "refresh_source": None,
    "put_project_member": {"role": "owner"},
    "put_group_member": {"role": "owner"},
    "delete_project_member": None,
    "delete_group_member": None,
    "start_flow": {"inputs": {}},
    "retry_run": None,
    "cancel_run": None,
    "remint_id_token": {"name": "VAULT_ID_TOKEN"},
    "put_audience": AUDIENCE,
    "delete_audience": None,
    "rotate_keys": {},
    "revoke_key": {"reason": "leaked"},
    "kill_everything_of": {"user": "alice", "reason": "leaked"},
}
READS = sorted(OPERATIONS.keys() - CHANGES)
ASKED = {
    "explain": {"user": "alice", "action": "code.write", "resource": "acme/webapp"},
    "get_kill_impact": "user=alice",
    "search_run_log": "text=ok",
}
ABOUT_THE_CALLER = {"get_me", "list_what_runs_for_me", "list_who_may_act_for_me"}
NOT_THERE = {"get_source"}


@pytest.fixture(scope="module")
def scene(peopled_api, tmp_path_factory):
    """Something of every kind, and carol, an auditor and a member of nothing; what each is called."""
    with called(peopled_api, tmp_path_factory.mktemp("auditor"), ManualClock()) as api:
        world = api.world
        world.change(accounts.create_user, "carol", "carol@example.com", is_admin=False, is_auditor=True)
        api.authorization["auditor"] = personal(world, "carol")
        give(world, "developer", "user:alice", path="acme")
        run = new_run(world)
        world.components.checkpoints.make()
        uri = quote("https://shop.acme.example", safe="")
        for path, body in ((f"/audiences/{uri}", AUDIENCE), (VARIABLE, {"value": "test"})):
            assert api("administrator", "PUT", path, body).status_code == 201
        last = api.last_event()
        made = {
            "Sessions": begin(api)[0],
            "Personal access tokens": api("alice", "GET", "/users/alice/tokens").get_json()["items"][0]["id"],
            "Client secrets": world.new_secret()[0],
            "Delegations": world.delegation,
            "Configurations": api("alice", "GET", "/projects/acme/webapp/config").get_json()["id"],
        }
        named = {"login": "alice", "principal": "user:alice", "flow": "fix-ci", "uri": uri}
        named |= {"writer": last.writer, "seq": last.seq, "kid": newest_key(api)}
        yield api, named, made, run


def newest_key(api):
    return api("alice", "GET", "/keys").get_json()["items"][0]["kid"]


def ask(scene, caller, name, body=None):
    api, named, made, run = scene
    operation = OPERATIONS[name]
    names = named | {"path": "acme" if operation.template.startswith("/groups") else "acme/webapp"}
    names |= {"name": "STAGE" if operation.tag == "Projects" else "duo", "id": made.get(operation.tag, run)}
    path = operation.template.replace("{+", "{").format(**names)
    if isinstance(body, str):
        path, body = f"{path}?{body}", None
    if isinstance(body, bytes):
        headers = {"Authorization": api.authorization[caller], "Content-Type": operation.takes}
        return api.world.http.put(f"/api/v1{path}", data=body, headers=headers)
    return api(caller, operation.method, path, body)


def test_a_change_is_what_writes():
    assert {each.id for each in OPERATIONS.values() if each.method != "GET"} - {"explain"} == CHANGES.keys()


@pytest.mark.parametrize("name", READS)
def test_an_auditor_is_told_what_an_administrator_is(scene, name):
    auditor, root = (ask(scene, each, name, ASKED.get(name)) for each in ("auditor", "administrator"))
    assert (auditor.status_code, root.status_code) == ((404, 404) if name in NOT_THERE else (200, 200))
    if name not in ABOUT_THE_CALLER | NOT_THERE:
        assert told(auditor) == told(root)


def told(answer):
    """But for what the caller may do about it."""
    is_shape = answer.is_json and isinstance(answer.json, dict)
    return answer.json | {"may_kill": None} if is_shape else answer.data


@pytest.mark.parametrize("name", sorted(CHANGES.keys() - {"put_group", "put_project"}))
def test_an_auditor_changes_nothing_and_the_ledger_is_told(scene, name):
    api = scene[0]
    answer = ask(scene, "auditor", name, CHANGES[name])
    problem(answer, 403)
    [row] = api.told(answer)
    assert (row.action, row.outcome, row.detail["operation"]) == ("api:operation:call", "denied", name)


@pytest.mark.parametrize(
    "path", ["/groups/top", "/groups/acme/new", "/projects/acme/new", "/projects/top/new"]
)
def test_an_auditor_makes_no_place(scene, path):
    api = scene[0]
    answer = api("auditor", "PUT", path)
    problem(answer, 403)
    assert [row.outcome for row in api.told(answer)] == ["denied"]
    assert api("administrator", "GET", path).status_code == 404


@pytest.mark.parametrize("path", ["/groups/acme", "/projects/acme/webapp"])
def test_a_place_that_is_there_stays(scene, path):
    assert scene[0]("auditor", "PUT", path).get_json() == scene[0]("auditor", "GET", path).get_json()


def test_what_is_not_there_is_nothing_to_an_auditor_too(scene):
    for path in ("/users/none", "/delegations/999", "/projects/acme/none", "/runs/999", "/groups/none"):
        problem(scene[0]("auditor", "GET", path), 404)


def test_who_is_an_auditor(scene):
    api = scene[0]
    told = api("auditor", "GET", "/me").get_json()
    assert (told["auditor"], told["administrator"], told["in_person"]) == (True, False, True)
    assert api("administrator", "GET", "/me").get_json()["auditor"] is False


def test_a_token_that_is_not_the_whole_human_is_no_auditors(scene):
    api = scene[0]
    api.authorization["narrow auditor"] = personal(api.world, "carol", *READING)
    assert api("narrow auditor", "GET", "/me").get_json()["auditor"] is False
    problem(api("narrow auditor", "GET", "/users"), 403)
    problem(api("narrow auditor", "GET", "/projects/acme/webapp"), 404)
    assert api("narrow auditor", "GET", "/projects").get_json()["items"] == []


def test_what_is_their_own_is_theirs_as_everybodys(api):
    """Being an auditor takes nothing away: they end their own tokens, and a membership counts."""
    world = api.world
    world.change(accounts.create_user, "carol", "carol@example.com", is_admin=False, is_auditor=True)
    api.authorization["auditor"] = personal(world, "carol")
    made = api("auditor", "POST", "/users/carol/tokens", {"scopes": ["code.read"]}).get_json()["id"]
    assert api("auditor", "DELETE", f"/users/carol/tokens/{made}").status_code == 204
    problem(api("auditor", "PUT", VARIABLE, {"value": "test"}), 403)
    give(world, "maintainer", "user:carol")
    assert api("auditor", "PUT", VARIABLE, {"value": "test"}).status_code == 201


def test_a_run_of_a_deleted_project_is_read_and_not_ended(api):
    world = api.world
    world.change(accounts.create_user, "carol", "carol@example.com", is_admin=False, is_auditor=True)
    api.authorization["auditor"] = personal(world, "carol")
    run = new_run(world)
    assert api("administrator", "POST", f"/runs/{run}/cancel").status_code == 200
    assert api("administrator", "DELETE", "/projects/acme/webapp").status_code == 204
    assert api("auditor", "GET", f"/runs/{run}").status_code == 200
    problem(api("auditor", "POST", f"/runs/{run}/cancel"), 403)
    problem(api("alice", "GET", f"/runs/{run}"), 404)


def test_every_permission_to_read_is_an_auditors_but_to_have_secrets():
    reading = {name for name in PERMISSIONS if name.endswith(".read")}
    assert reading - READING == {"secret.read"}
    assert PERMISSIONS.keys() > READING


def test_the_description_says_who_may():
    for each in OPERATIONS.values():
        assert each.by is not By.OVERSEER or each.method == "GET", each.id
        assert each.by is not By.ADMINISTRATOR or each.method != "GET", each.id

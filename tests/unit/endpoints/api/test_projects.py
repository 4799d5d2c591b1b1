"""Projects, groups, variables and configurations: who may do what, every denied cell asserted."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event, select

from app.flows import configurations
from app.identity import accounts, delegations, facts, groups, members, projects, visible
from app.identity.models import Project
from app.identity.permissions import Role
from app.identity.policy import Question, decide
from tests.support.components import OPERATOR, on_every_database
from tests.support.effort import count

from .conftest import location, problem
from .scenes import YAML, everybody, give

HERE = "/projects/acme/webapp"


# Who may: 200 and its like, 403 for whoever may read the project, 404 for whoever may not, 401 for nobody

OPERATIONS = {
    "get": ("GET", HERE, None, Role.GUEST),
    "create": ("PUT", "/projects/acme/new", None, None),
    "rename": ("PATCH", HERE, {"path": "acme/shop"}, Role.OWNER),
    "set subject": ("PATCH", HERE, {"subject": ["project_id", "flow"]}, Role.MAINTAINER),
    "set workload": ("PATCH", HERE, {"workload": "user"}, Role.MAINTAINER),
    "set both and rename": ("PATCH", HERE, {"workload": "user", "path": "acme/shop"}, Role.OWNER),
    "delete": ("DELETE", HERE, None, Role.OWNER),
    "variables": ("GET", f"{HERE}/variables", None, Role.GUEST),
    "set variable": ("PUT", f"{HERE}/variables/AUD", {"value": "x"}, Role.MAINTAINER),
    "runs": ("GET", f"{HERE}/runs", None, Role.REPORTER),
    "members": ("GET", f"{HERE}/members", None, Role.GUEST),
    "add member": ("PUT", f"{HERE}/members/user:bob", {"role": "guest"}, Role.OWNER),
    "remove member": ("DELETE", f"{HERE}/members/service_account:duo", None, Role.OWNER),
}
MEMBERS = ("alice", "composite token", "account")


@pytest.mark.parametrize("role", Role, ids=lambda role: role.label)
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_role_may_what_the_permission_table_says(api, name, role):
    """For a human, for an agent for its human, and for an account in its own name."""
    method, path, body, needed = OPERATIONS[name]
    everybody(api.world, role.label)
    allowed = needed is not None and role >= needed
    for caller in MEMBERS:
        answer = api(caller, method, path, body)
        if allowed and method != "GET":
            assert answer.status_code < 300, (caller, answer.text)
            break  # it is done
        # whether a group may be created in is for its members to know
        assert answer.status_code == (200 if allowed else 404 if needed is None else 403), caller


@pytest.mark.parametrize("caller", MEMBERS)
def test_each_kind_of_member_may_set_a_variable(api, caller):
    everybody(api.world, "maintainer")
    answer = api(caller, "PUT", f"{HERE}/variables/AUD", {"value": "x"})
    assert answer.status_code == 201
    event = api.last_event()
    assert event.action == "identity:project_variable:set"
    if caller == "composite token":
        assert event.actor == f"service_account:{api.world.duo}"
        assert (event.user, event.service_account) == (f"user:{api.world.alice}", event.actor)


@pytest.mark.parametrize("strong", ["user:alice", "service_account:duo"])
def test_an_agent_may_what_both_may_and_no_more(api, strong):
    """The denial is in the ledger under both names."""
    give(api.world, "owner", strong)
    problem(api("composite token", "DELETE", HERE), 403)
    event = api.last_event()
    assert (event.action, event.outcome) == ("api:operation:call", "denied")
    assert (event.user, event.service_account) == (
        f"user:{api.world.alice}",
        f"service_account:{api.world.duo}",
    )


@pytest.mark.parametrize("name", OPERATIONS)
def test_strangers_nobody_and_narrow_tokens_may_nothing(api, name):
    method, path, body, _ = OPERATIONS[name]
    everybody(api.world, "owner")
    problem(api("stranger", method, path, body), 404)
    problem(api("narrow", method, path, body), 404)
    problem(api("nobody", method, path, body), 401)
    problem(api("client secret", method, path, body), 401)


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_administrator_may_everything(api, name):
    method, path, body, _ = OPERATIONS[name]
    assert api("administrator", method, path, body).status_code < 300


@pytest.mark.parametrize("caller", ["stranger", "alice", "composite token", "account"])
def test_only_an_administrator_begins_a_group_at_the_top(api, caller):
    problem(api(caller, "PUT", "/projects/shops/web"), 404)
    problem(api(caller, "PUT", "/groups/shops"), 404)
    assert api("administrator", "PUT", "/projects/shops/web").status_code == 201


def test_a_maintainer_of_a_group_makes_projects_and_groups_in_it(api):
    give(api.world, "maintainer", "user:alice", path="acme")
    made = api("alice", "PUT", "/projects/acme/tools/new")
    assert made.status_code == 201
    assert made.headers["Location"] == location("/projects/acme/tools/new")
    assert made.get_json()["group"] == "acme/tools"
    assert api("alice", "PUT", "/groups/acme/more").status_code == 201
    problem(api("composite token", "PUT", "/projects/acme/other"), 404)


# What they do


def test_a_project_says_its_subject_and_who_runs_its_flows(api):
    shape = api("alice", "GET", HERE).get_json()
    assert (shape["subject"], shape["workload"]) == (["project_path", "flow"], "service_account")
    change = {"subject": ["project_id", "flow", "user_login"], "workload": "user"}
    changed = api("administrator", "PATCH", HERE, change).get_json()
    assert {name: changed[name] for name in change} == change
    assert api("alice", "GET", HERE).get_json() == changed
    assert [event.action for event in api.world.events()[:2]] == [
        "identity:project_workload:set",
        "identity:project_subject:set",
    ]
    rows = len(api.world.events())
    for same in (change, {}):
        assert api("administrator", "PATCH", HERE, same).get_json() == changed
    assert len(api.world.events()) == rows


@pytest.mark.parametrize(
    ("subject", "fix"),
    [
        (["flow", "project_path"], "begin with project_path or project_id"),
        (["project_path", "sub"], "write components out of"),
        (["project_path", "flow", "flow"], "twice"),
        ([], "at least 1"),
    ],
)
def test_a_subject_that_cannot_be_is_refused(api, subject, fix):
    told = problem(api("administrator", "PATCH", HERE, {"subject": subject}), 422)
    assert told["errors"][0]["key"] == "subject"
    assert fix in told["errors"][0]["fix"]


def test_an_old_path_is_taken_together_with_a_subject_of_the_number(api):
    api("administrator", "PATCH", HERE, {"path": "acme/shop"})
    problem(api("administrator", "PUT", HERE), 409)
    api("administrator", "PUT", "/projects/acme/other")
    problem(api("administrator", "PATCH", "/projects/acme/other", {"path": "acme/webapp"}), 409)
    both = {"path": "acme/webapp", "subject": ["project_id", "flow"]}
    assert api("administrator", "PATCH", "/projects/acme/other", both).get_json()["path"] == "acme/webapp"
    problem(api("administrator", "PATCH", HERE, {"subject": ["project_path"]}), 409)


def test_a_name_without_room_for_the_subjects_of_its_flows_is_refused(api):
    long = b"flows:\n  a-flow-with-a-long-name:\n    script: [make]\n"
    parts = api.world.components
    configurations.store(parts.database, parts.clock, "acme/webapp", long, OPERATOR)
    path = "/".join(["acme", "x" * 60, "y" * 30])
    for change in ({"path": path}, {"subject": ["project_path", "flow", *MANY]}):
        told = problem(api("administrator", "PATCH", HERE, change), 422)
        assert "some verifiers refuse more than 127" in told["errors"][0]["fix"]
    assert api("administrator", "PATCH", HERE, {"path": "acme/shorter"}).status_code == 200


MANY = ["service_account", "user_id", "user_login", "ref_type", "ref", "ref_protected"]


def test_putting_a_project_again_changes_nothing(api):
    first = api("administrator", "PUT", "/projects/acme/new")
    rows = len(api.world.events())
    again = api("administrator", "PUT", "/projects/acme/new")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.get_json() == again.get_json()
    assert len(api.world.events()) == rows
    problem(api("administrator", "PUT", "/projects/acme/new", If_None_Match="*"), 412)


def test_a_project_is_renamed_only_as_it_was_seen(api):
    seen = api("administrator", "GET", HERE).headers["ETag"]
    problem(api("administrator", "PATCH", HERE, {"path": "acme/shop"}, If_Match='"other"'), 412)
    renamed = api("administrator", "PATCH", HERE, {"path": "acme/shop"}, If_Match=seen)
    assert renamed.get_json()["path"] == "acme/shop"
    problem(api("administrator", "GET", HERE), 404)
    problem(api("administrator", "PUT", HERE), 409)


def test_an_owner_moves_a_project_only_where_they_may_create_one(api):
    give(api.world, "owner", "user:alice")
    api.world.change(groups.create_group, "shops")
    problem(api("alice", "PATCH", HERE, {"path": "shops/webapp"}), 404)
    give(api.world, "maintainer", "user:alice", path="shops")
    assert api("alice", "PATCH", HERE, {"path": "shops/webapp"}).status_code == 200


def test_a_deleted_project_is_gone(api):
    assert api("administrator", "DELETE", HERE).status_code == 204
    for method, path in (("GET", HERE), ("DELETE", HERE), ("GET", f"{HERE}/members")):
        problem(api("administrator", method, path), 404)
    problem(api("administrator", "PUT", HERE), 409)


@pytest.mark.parametrize("name", ["members", "config", "variables", "flows", "runs"])
def test_a_name_that_the_api_needs_is_refused_in_words(api, name):
    for path in (f"acme/{name}", f"acme/{name}/web"):
        answer = problem(api("administrator", "PATCH", HERE, {"path": path}), 422)
        assert f"{name} is what the API calls" in answer["detail"]
    assert api("administrator", "PUT", f"/projects/{name}/web").status_code == 201


def test_a_variable_is_set_read_and_removed(api):
    everybody(api.world, "maintainer")
    path = f"{HERE}/variables/AWS_AUDIENCE"
    made = api("alice", "PUT", path, {"value": "a"})
    assert made.headers["Location"] == location(path)
    rows = len(api.world.events())
    assert api("alice", "PUT", path, {"value": "a"}).status_code == 200
    assert len(api.world.events()) == rows
    assert api("alice", "PUT", path, {"value": "b"}, If_Match=made.headers["ETag"]).status_code == 200
    problem(api("alice", "PUT", path, {"value": "c"}, If_Match=made.headers["ETag"]), 412)
    listed = api("alice", "GET", f"{HERE}/variables").get_json()
    assert listed == {"items": [{"name": "AWS_AUDIENCE", "value": "b"}], "next_cursor": None}
    assert api("alice", "DELETE", path).status_code == 204
    assert api.last_event().action == "identity:project_variable:remove"
    problem(api("alice", "DELETE", path), 404)
    problem(api("alice", "PUT", f"{HERE}/variables/LD_PRELOAD", {"value": "x"}), 422)


# The configuration


def put_yaml(api, caller, body=YAML, content_type="application/yaml", **headers):
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if (authorization := api.authorization[caller]) is not None:
        sent["Authorization"] = authorization
    return api.world.http.put(f"/api/v1{HERE}/config", data=body, content_type=content_type, headers=sent)


def test_a_configuration_is_set_and_read_back(api):
    everybody(api.world, "maintainer")
    problem(api("alice", "GET", f"{HERE}/config"), 404)
    made = put_yaml(api, "alice")
    assert made.status_code == 201
    read = api("alice", "GET", f"{HERE}/config")
    assert read.get_json() == made.get_json()
    assert read.headers["ETag"] == made.headers["ETag"]
    assert read.get_json()["content"].encode() == YAML
    assert put_yaml(api, "alice").get_json()["id"] == made.get_json()["id"]
    problem(put_yaml(api, "alice", YAML + b"# x\n", If_Match='"other"'), 412)
    assert put_yaml(api, "alice", YAML + b"# x\n", If_Match=made.headers["ETag"]).status_code == 200


def test_a_faulty_configuration_is_refused_with_its_places(api):
    everybody(api.world, "maintainer")
    answer = problem(put_yaml(api, "alice", b"flows:\n  fix-ci: {scripts: [x]}\nmore: 1\n"), 422)
    places = [(error["line"], error["column"], error["key"]) for error in answer["errors"]]
    assert places == [(2, 3, "flows.fix-ci.script"), (2, 12, "flows.fix-ci.scripts"), (3, 1, "more")]
    assert answer["errors"][1]["fix"] == "unknown key: did you mean `script`?"
    assert "agent-config.yml:3:1: more: unknown key" in answer["detail"]
    assert api.last_event().outcome == "denied"
    problem(put_yaml(api, "alice", b"", "text/plain"), 415)


def test_faults_that_are_not_shown_are_counted(api):
    everybody(api.world, "maintainer")
    answer = problem(put_yaml(api, "alice", b"".join(b"k%d: x\n" % number for number in range(30))), 422)
    assert len(answer["errors"]) == 25
    assert "and 5 more; `countersign flow lint` shows all" in answer["detail"]


@pytest.mark.parametrize("role", Role, ids=lambda role: role.label)
@pytest.mark.parametrize("caller", MEMBERS)
def test_who_may_set_a_configuration(api, caller, role):
    everybody(api.world, role.label)
    allowed = role >= Role.MAINTAINER
    assert put_yaml(api, caller).status_code == (201 if allowed else 403)
    assert put_yaml(api, "stranger").status_code == 404
    assert put_yaml(api, "narrow").status_code == 404
    assert put_yaml(api, "nobody").status_code == 401


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_who_ends_while_they_set_a_configuration_sets_none(api):
    """Between the check of who they are and the change itself."""
    everybody(api.world, "maintainer")
    engine, ended = api.world.components.database.engine, []

    @event.listens_for(engine, "before_cursor_execute")
    def end_alice(_connection, _cursor, statement, *_):
        if statement.endswith("FOR SHARE") and not ended:
            ended.append("alice")
            api.world.set_active("alice", active=False)

    assert put_yaml(api, "alice").status_code == 401
    api.world.set_active("alice", active=True)
    assert api("administrator", "GET", f"{HERE}/config").status_code == 404


def test_a_denial_names_the_project_that_it_is_about(api):
    for caller, path, project in (
        ("alice", "/projects/acme/webapp", "acme/webapp"),
        ("stranger", "/projects/acme/webapp", "acme/webapp"),
        ("stranger", "/projects/acme/none", None),
    ):
        refused = api(caller, "DELETE", path)
        assert refused.status_code == (403 if caller == "alice" else 404)
        assert [(row.outcome, row.project) for row in api.told(refused)] == [("denied", project)]


# Lists show exactly what may be read


def pages(api, caller, path, limit):
    cursor, items = "", []
    while cursor is not None:
        answer = api(caller, "GET", f"{path}?limit={limit}" + (f"&cursor={cursor}" if cursor else ""))
        assert answer.status_code == 200, answer.text
        items += answer.get_json()["items"]
        cursor = answer.get_json()["next_cursor"]
    return items


@on_every_database
def test_a_member_of_a_group_sees_what_lies_in_it_and_not_what_only_begins_like_it(api):
    for path in ("acme/tools/cli", "acmeshop/web", "acme_shop/web"):
        api.world.change(projects.create_project, path)
    give(api.world, "guest", "user:bob", path="acme")
    assert [row["path"] for row in pages(api, "stranger", "/projects", 1)] == [
        "acme/webapp",
        "acme/tools/cli",
    ]
    assert [row["path"] for row in pages(api, "stranger", "/groups", 1)] == ["acme", "acme/tools"]


@pytest.mark.parametrize("scopes", [["project.read"], ["code.read"]])
def test_a_delegation_for_one_project_shows_that_one(api, scopes):
    """And none, if it does not cover reading."""
    api.world.change(projects.create_project, "acme/other")
    give(api.world, "guest", "user:alice", "service_account:duo", path="acme")
    api.world.change(delegations.revoke, api.world.delegation)
    with api.world.components.database.writing() as session:
        delegations.grant(
            session,
            accounts.find_user(session, "alice"),
            accounts.find_service_account(session, "duo"),
            scopes=scopes,
            project=projects.find_project(session, "acme/webapp"),
            expires_at=api.world.clock() + timedelta(days=1),
            by=OPERATOR,
            now=api.world.clock(),
        )
        known = facts.load(session, user_id=api.world.alice, service_account_id=api.world.duo)
        page = visible.projects(
            session, known, Question("project.read"), api.world.clock(), after=0, limit=10
        )
    expected = ["acme/webapp"] if scopes == ["project.read"] else []
    assert [row.path for row in page.rows] == expected


PATHS = ["acme/a", "acme/b", "acme/webapp", "acme/x/a", "acme/x/b", "acme_x/a", "other/a"]
PLACES = [*PATHS, "acme", "acme/x", "acme_x", "other"]
ROLES = st.dictionaries(
    st.tuples(st.sampled_from(PLACES), st.sampled_from(["user:alice", "service_account:duo"])),
    st.sampled_from([role.label for role in Role]),
    max_size=6,
)


@settings(max_examples=count(ci=30, proof=300))
@given(roles=ROLES, limit=st.integers(1, 4))
def test_a_list_has_what_the_decision_allows_and_nothing_else(listing, roles, limit):
    world = listing.world
    with world.components.database.writing() as session:
        session.execute(members.Member.__table__.delete())
        session.execute(members.GroupMember.__table__.delete())
    for (path, named), role in roles.items():
        give(world, role, named, path=path)
    for caller, account in (("alice", None), ("composite token", world.duo)):
        shown = [row["path"] for row in pages(listing, caller, "/projects", limit)]
        shown_groups = [row["path"] for row in pages(listing, caller, "/groups", limit)]
        with world.components.database.reading() as session:

            def may(place, session=session, account=account):
                known = facts.load(session, user_id=world.alice, service_account_id=account, place=place)
                return decide(known, Question("project.read"), world.clock()).allowed

            expected = [path for path in PATHS if may(facts.project_at(session, path))]
            expected_groups = [
                path for path in ("acme", "acme/x", "acme_x", "other") if may(facts.group_at(session, path))
            ]
        assert (sorted(shown), sorted(shown_groups)) == (expected, expected_groups)


@pytest.fixture(scope="module")
def listing(shared_api):
    for path in set(PATHS) - {"acme/webapp"}:
        shared_api.world.change(projects.create_project, path)
    return shared_api


def test_an_administrator_sees_all_projects(listing):
    with listing.world.components.database.reading() as session:
        everything = list(session.scalars(select(Project.path).order_by(Project.id)))
    assert [row["path"] for row in pages(listing, "administrator", "/projects", 2)] == everything


def test_strangers_see_no_projects_and_nobody_is_refused(listing):
    for path in ("/projects", "/groups"):
        assert pages(listing, "stranger", path, 2) == []
        problem(listing("narrow", "GET", path), 403)
        problem(listing("nobody", "GET", path), 401)


def test_a_cursor_that_was_tampered_with_is_refused(shared_api):
    for cursor in ("x", "WyJhIl0", "WyJhIiwiYiJd", "%00"):
        problem(shared_api("administrator", "GET", f"/projects?cursor={cursor}"), 422)

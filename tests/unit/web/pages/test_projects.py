"""Projects, their members, configurations and settings, as the console shows them."""

import re

import pytest

from app.flows import configurations
from app.identity import accounts
from tests.support.components import OPERATOR
from tests.support.console_client import text_of
from tests.unit.endpoints.api.scenes import give

HERE = "/projects/acme/webapp"
MARKUP = "<script>alert(1)</script>"
CONFIGURATION = """
# says what may be started
variables: {STAGE: test}
id_tokens:
  VAULT_ID_TOKEN: {aud: "https://$STAGE.acme.example"}
  LOST_ID_TOKEN: {aud: "https://$NOWHERE.acme.example"}
secrets:
  DATABASE_PASSWORD: {vault: production/db/password@ops, token: $VAULT_ID_TOKEN}
cache: {}
flows:
  fix-ci:
    inputs:
      branch: {description: "<script>alert(1)</script>", default: main}
      attempts: {type: number, options: [1, 3]}
      loud: {type: boolean, default: false}
    script: [make test]
  plain: {script: ["true"], id_tokens: {LOST_ID_TOKEN: {aud: https://plain.acme.example}}, secrets: {}}
"""
PLAIN = "flows:" + CONFIGURATION.partition("flows:")[2].partition("  plain:")[0]


@pytest.fixture
def owner(visit, world):
    give(world, "owner", "user:alice")
    return visit("alice")


@pytest.fixture
def configured(world):
    parts = world.components
    configurations.store(parts.database, parts.clock, world.project, CONFIGURATION.encode(), OPERATOR)


def member(visit, world, role):
    world.new_user("bob")
    give(world, role, "user:bob")
    return visit("bob")


def administrator(visit, world):
    world.change(accounts.create_user, "root", "root@example.com", is_admin=True)
    return visit("root")


def test_projects_are_those_that_one_may_read(visit, world):
    world.new_user("bob")
    assert "acme/webapp" in visit("alice").get("/projects").text
    bob = visit("bob").get("/projects")
    assert "no project yet in which you have a role" in bob.text
    assert "countersign project create" in bob.text
    for page in ("", "/-/members", "/-/runs", "/-/configuration", "/-/settings", "/-/intersection"):
        assert visit("bob").get(HERE + page).status_code == 404


def test_an_administrator_makes_a_project_and_a_member_cannot_at_the_top(visit, world):
    root = administrator(visit, world)
    made = root.post("/projects/new", {"path": "tools/lint"})
    assert (made.status_code, made.location) == (303, "/console/projects/tools/lint")
    empty = root.get("/projects/tools/lint")
    assert "no configuration yet" in empty.text
    refused = visit("alice").post("/projects/new", {"path": "mine/alone"})
    assert refused.status_code == 404
    assert 'value="mine/alone"' in refused.text
    assert 'id="field-path-error"' in refused.text


@pytest.mark.parametrize("path", ["", "alone", "UPPER/case", MARKUP])
def test_a_path_that_is_none_is_asked_for_again(visit, world, path):
    refused = administrator(visit, world).post("/projects/new", {"path": path})
    assert refused.status_code in {404, 422}
    assert 'id="field-path-error"' in refused.text
    assert "There is nothing here" not in refused.text
    assert MARKUP not in refused.text


def test_an_auditor_is_told_before_the_form_that_projects_are_not_theirs_to_make(visit, world):
    world.change(accounts.create_user, "erin", "erin@example.com", is_admin=False, is_auditor=True)
    page = visit("erin").get("/projects/new")
    assert "Administrators make projects" in page.text
    assert 'name="path"' not in page.text


@pytest.mark.parametrize(
    ("role", "starts", "writes", "manages"),
    [
        ("guest", False, False, False),
        ("reporter", False, False, False),
        ("developer", True, False, False),
        ("maintainer", True, True, False),
        ("owner", True, True, True),
    ],
)
def test_what_a_role_may_do_is_what_is_offered(visit, world, configured, role, starts, writes, manages):
    bob = member(visit, world, role)
    assert ("Start fix-ci" in bob.get(HERE).text) is starts
    assert ("/-/configuration/edit" in bob.get(f"{HERE}/-/configuration").text) is writes
    settings = bob.get(f"{HERE}/-/settings").text
    assert ("/-/variables" in re.findall(r'action="([^"]*)"', settings).__str__()) is writes
    assert ("Delete the project" in settings) is manages
    assert ("Add a member" in bob.get(f"{HERE}/-/members").text) is manages


def test_a_flow_says_what_it_gets_and_never_a_value(owner, configured):
    page = owner.get(HERE)
    said = text_of(page)
    assert "project_path:acme/webapp:flow:fix-ci" in said
    assert "https://test.acme.example" in said
    assert "there is no variable NOWHERE" in said
    assert "DATABASE_PASSWORD Vault production/db/password@ops" in said
    assert MARKUP not in page.text


def test_members_are_added_changed_and_removed(owner, world):
    world.new_user("bob")
    added = owner.post(f"{HERE}/-/members", {"kind": "user", "name": "bob", "role": "developer"})
    assert added.status_code == 303
    assert "bob is developer of acme/webapp." in owner.get(f"{HERE}/-/members").text
    again = owner.post(f"{HERE}/-/members", {"kind": "user", "name": "bob", "role": "guest"})
    assert again.status_code == 412
    assert "is a member already: change the role above" in text_of(again)
    assert "<td>developer</td>" in again.text
    owner.post(f"{HERE}/-/members/change", {"principal": "user:bob", "role": "reporter"})
    assert "user:bob is reporter of acme/webapp." in owner.get(f"{HERE}/-/members").text
    owner.post(f"{HERE}/-/members/remove", {"principal": "user:bob"})
    assert 'value="user:bob"' not in owner.get(f"{HERE}/-/members").text


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"kind": "user", "name": "nobody", "role": "developer"}, "name"),
        ({"kind": "user", "name": MARKUP, "role": "developer"}, "name"),
        ({"kind": "robot", "name": "duo", "role": "developer"}, "kind"),
    ],
)
def test_a_member_who_is_none_is_asked_for_again(owner, form, field):
    refused = owner.post(f"{HERE}/-/members", form)
    assert refused.status_code in {404, 409, 422}
    assert f'id="field-{field}-error"' in refused.text
    assert "There is nothing here" not in refused.text
    assert MARKUP not in refused.text


def test_members_lead_to_their_pages(owner, world):
    world.new_user("bob")
    give(world, "reporter", "user:bob")
    give(world, "developer", "service_account:duo")
    page = owner.get(f"{HERE}/-/members").text
    assert 'href="/console/users/alice"' in page
    assert 'href="/console/service-accounts/duo"' in page
    assert 'href="/console/users/bob"' not in page  # alice may not see him


def test_a_role_from_a_group_is_not_changed_here(owner, world):
    world.new_user("bob")
    give(world, "reporter", "user:bob", path="acme")
    page = owner.get(f"{HERE}/-/members").text
    assert "group acme" in page
    assert 'value="user:bob"' not in page


def test_the_last_owner_stays(owner):
    refused = owner.post(f"{HERE}/-/members/remove", {"principal": "user:alice"})
    assert refused.status_code == 303
    assert "last human who owns it" in owner.get(f"{HERE}/-/members").text


def test_what_is_to_be_copied_into_a_shell_is_quoted_for_it(owner):
    page = owner.get(f"{HERE}/-/intersection?user=$(reboot)&action=flow.start")
    assert "--user &#39;$(reboot)&#39; --action" in page.text


def test_the_intersection_is_told_conjunct_by_conjunct(owner, world):
    said = owner.get(f"{HERE}/-/intersection?user=alice&service_account=duo&action=flow.start").text
    assert "duo for alice" in said
    for conjunct in ("human", "service account", "delegation", "scope", "active"):
        assert f'<th scope="row">{conjunct}</th>' in said
    others = owner.get(f"{HERE}/-/intersection?user=bob&service_account=duo&action=flow.start")
    assert others.status_code in {403, 422}
    assert "for them and for administrators" in others.text


def test_a_configuration_is_saved_and_its_faults_told_by_line_and_column(owner):
    saved = owner.send(f"{HERE}/-/configuration/edit", {"content": CONFIGURATION.replace("\n", "\r\n")})
    assert saved.status_code == 303
    page = owner.get(f"{HERE}/-/configuration")
    assert "# says what may be started" in page.text
    assert "has no effect" in page.text  # the linter's warning
    refused = owner.send(f"{HERE}/-/configuration/edit", {"content": "flows:\n  fix-ci: {}\n"})
    assert refused.status_code == 422
    assert re.search(r'class="number">2</th><td class="number">\d+</td>', refused.text)
    assert "fix-ci: {}" in refused.text  # as it was typed


def test_a_version_names_who_set_it_to_whoever_may_know(owner, visit, world):
    root = administrator(visit, world)
    for each in (owner, root):
        content = f"flows:\n  of-{each is root}: {{script: [x]}}\n".lower()
        assert each.send(f"{HERE}/-/configuration/edit", {"content": content}).status_code == 303
    text = text_of(root.get(f"{HERE}/-/configuration"))
    assert re.search(r"UTC root set here .* UTC alice set here", text)
    seen = text_of(owner.get(f"{HERE}/-/configuration"))
    assert re.search(r"UTC user:\d+ set here .* UTC alice set here", seen)


def test_versions_are_listed_and_compared(owner):
    for name in ("one", "two"):
        content = f"flows:\n  {name}: {{script: ['echo {MARKUP}']}}\n"
        owner.send(f"{HERE}/-/configuration/edit", {"content": content})
    page = owner.get(f"{HERE}/-/configuration").text
    newest, older = sorted({int(n) for n in re.findall(r"/-/configuration/(\d+)\"", page)}, reverse=True)
    said = owner.get(f"{HERE}/-/configuration/differences?before={older}&after={newest}").text
    assert "line-removed" in said
    assert "line-added" in said
    assert MARKUP not in said
    assert (
        "They say the same"
        in owner.get(f"{HERE}/-/configuration/differences?before={older}&after={older}").text
    )
    assert owner.get(f"{HERE}/-/configuration/{older}").status_code == 200
    assert owner.get(f"{HERE}/-/configuration/999").status_code == 404


def test_a_source_that_is_none_is_asked_for_again(owner):
    refused = owner.post(f"{HERE}/-/source", {"git": "ftp://nowhere", "branch": "main"})
    assert refused.status_code in {409, 422}
    assert 'value="ftp://nowhere"' in refused.text


def test_settings_are_saved_and_refused_at_their_field(owner):
    form = {"subject": "project_id, flow", "workload": "user", "concurrent_runs": "2"}
    assert owner.send(f"{HERE}/-/settings", form).status_code == 303
    page = owner.get(f"{HERE}/-/settings").text
    assert 'value="project_id, flow"' in page
    assert 'value="2"' in page
    for field, value in (("subject", "flow"), ("subject", "nonsense"), ("concurrent_runs", "many")):
        refused = owner.send(f"{HERE}/-/settings", {**form, field: value})
        assert refused.status_code == 422
        assert f'id="field-{field}-error"' in refused.text


def test_what_was_changed_meanwhile_is_not_overwritten(owner):
    text, settings = {"content": PLAIN}, {"subject": "project_id", "workload": "user"}
    for page, form in (("configuration/edit", text), ("settings", settings)):
        old = owner.etag(f"{HERE}/-/{page}")
        owner.send(f"{HERE}/-/{page}", form)
        refused = owner.post(f"{HERE}/-/{page}", {**form, "etag": old})
        assert refused.status_code == 412
        assert "It was changed meanwhile" in refused.text


@pytest.mark.parametrize(
    ("page", "action", "form"),
    [
        ("members", "members", {"kind": "user", "name": "bob", "role": "owner"}),
        ("members", "members/change", {"principal": "user:bob", "role": "owner"}),
        ("source", "source", {"git": "https://git.example/a.git", "branch": "main"}),
        ("settings", "delete", {"confirmation": "acme/webapp"}),
    ],
)
def test_what_outlives_a_browser_asks_for_a_sign_in_and_leads_back(owner, world, page, action, form):
    here = f"/console{HERE}/-/{page}"
    assert f'name="next" value="{here}"' in owner.get(f"{HERE}/-/{page}").text
    world.clock.advance(minutes=11)
    assert f"again=1&amp;next={here}" in owner.get(f"{HERE}/-/{page}").text
    answer = owner.post(f"{HERE}/-/{action}", {**form, "next": here})
    assert (answer.status_code, answer.location) == (303, f"/console/sign-in?next={here}&again=1&ended=1")
    assert "What you typed was not saved." in text_of(owner.client.get(answer.location))
    assert owner.get(HERE).status_code == 200


def test_a_configuration_asks_before_it_is_written_and_its_text_is_not_lost(owner, world):
    page = f"{HERE}/-/configuration/edit"
    etag = owner.etag(page)
    world.clock.advance(minutes=11)
    asked = owner.get(page).text
    assert f"again=1&amp;next=/console{page}" in asked
    assert "<textarea" not in asked
    late = owner.post(page, {"content": "flows: {typed: {script: ['true']}}", "etag": etag})
    assert late.status_code == 403
    assert "typed: {script" in late.text
    assert "Nothing was saved" in late.text
    assert world.events("flows:configuration:create") == []


def test_variables_are_set_and_removed(owner):
    assert owner.post(f"{HERE}/-/variables", {"name": "STAGE", "value": MARKUP}).status_code == 303
    page = owner.get(f"{HERE}/-/settings").text
    assert "&lt;script&gt;" in page
    assert MARKUP not in page
    refused = owner.post(f"{HERE}/-/variables", {"name": "not a name", "value": ""})
    assert refused.status_code == 422
    assert 'id="field-name-error"' in refused.text
    assert "It was not set." in text_of(refused)
    assert "use up to 128 letters, digits and underscores, no digit first" in text_of(refused)
    owner.post(f"{HERE}/-/variables/remove", {"name": "STAGE"})
    assert "It has no variables." in owner.get(f"{HERE}/-/settings").text


def test_a_project_is_deleted_once_its_path_is_typed(owner, world):
    owner.post(f"{HERE}/-/delete", {"confirmation": "acme"})
    assert owner.get(HERE).status_code == 200
    assert owner.post(f"{HERE}/-/delete", {"confirmation": "acme/webapp"}).location == "/console/projects"
    assert owner.get(HERE).status_code == 404


def test_a_project_is_moved(owner):
    moved = owner.post(f"{HERE}/-/settings/path", {"path": "acme/site"})
    assert moved.location == "/console/projects/acme/site/-/settings"
    assert owner.get("/projects/acme/site").status_code == 200


def test_a_flow_is_started_once_from_its_form(owner, world):
    owner.send(f"{HERE}/-/configuration/edit", {"content": PLAIN})
    form = owner.get(f"{HERE}/-/flows/fix-ci")
    for name in ("input-branch", "input-attempts", "input-loud"):
        assert f'name="{name}"' in form.text
    assert MARKUP not in form.text
    once = re.search(r'name="once" value="([^"]+)"', form.text)[1]
    given = {"once": once, "service_account": "duo", "input-branch": "main", "input-attempts": "3"}
    first = owner.post(f"{HERE}/-/flows/fix-ci", given)
    again = owner.post(f"{HERE}/-/flows/fix-ci", given)
    assert first.status_code == 303
    assert first.location == again.location
    assert len(world.events("flows:run:create")) == 1


@pytest.mark.parametrize(
    ("inputs", "field"),
    [
        ({"input-attempts": "2"}, "input-attempts"),
        ({"input-attempts": ""}, "input-attempts"),
        ({"input-attempts": "1", "input-loud": "perhaps"}, "input-loud"),
    ],
)
def test_an_input_that_is_none_is_asked_for_again(owner, inputs, field):
    owner.send(f"{HERE}/-/configuration/edit", {"content": PLAIN})
    refused = owner.post(f"{HERE}/-/flows/fix-ci", {"service_account": "duo", **inputs})
    assert refused.status_code in {409, 422}
    assert f'id="field-{field}-error"' in refused.text


def test_an_agent_that_is_disabled_is_not_offered(owner, world):
    owner.send(f"{HERE}/-/configuration/edit", {"content": PLAIN})
    path = f"{HERE}/-/flows/fix-ci"
    assert '<option value="duo"' in owner.get(path).text
    world.set_active("duo", active=False)
    assert "Nobody may act for you here" in owner.get(path).text


def test_who_has_no_agent_is_told_how_to_get_one(visit, world, configured):
    bob = member(visit, world, "developer")
    page = bob.get(f"{HERE}/-/flows/fix-ci")
    assert "Nobody may act for you here" in page.text
    assert bob.get(f"{HERE}/-/flows/nowhere").status_code == 404

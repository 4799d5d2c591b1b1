"""Git sources of projects over the API."""

from dataclasses import replace

import pytest

from app.identity.permissions import Role
from tests.support.git_server import read_git_at_leisure

from .conftest import location, problem
from .scenes import YAML, everybody, give

SOURCE = "/projects/acme/webapp/source"
CONFIG = "/projects/acme/webapp/config"


@pytest.fixture
def repository(git_host, api):
    read_git_at_leisure(api.world.components)
    repository = git_host.repository()
    repository.commit(YAML)
    return repository


@pytest.fixture
def maintained(api):
    """By alice and the accounts."""
    everybody(api.world, "maintainer")
    return api


def test_a_source_is_set_shown_and_removed(maintained, repository):
    body = {"git": repository.url, "protected": ["main", "release"]}
    made = maintained("alice", "PUT", SOURCE, body)
    assert (made.status_code, made.headers["Location"]) == (201, location(SOURCE))
    shape = made.get_json()
    assert shape == maintained("alice", "GET", SOURCE).get_json()
    assert shape.pop("set_at").endswith("Z")
    assert shape == body | {
        "project": "acme/webapp",
        "branch": "main",
        "set_by": f"user:{maintained.world.alice}",
    }
    found = maintained("alice", "GET", CONFIG).get_json()
    assert (found["content"].encode(), found["ref"], found["commit"]) == (YAML, "main", repository.tip())
    assert maintained("alice", "DELETE", SOURCE).status_code == 204
    problem(maintained("alice", "GET", SOURCE), 404)
    problem(maintained("alice", "DELETE", SOURCE), 404)
    problem(maintained("alice", "GET", CONFIG), 404)


def test_the_same_again_changes_and_asks_nothing(maintained, repository, git_host):
    first = maintained("alice", "PUT", SOURCE, {"git": repository.url})
    git_host.asked.clear()
    again = maintained("alice", "PUT", SOURCE, {"git": repository.url + "/", "branch": "main"})
    assert (again.status_code, again.get_json()) == (200, first.get_json())
    assert git_host.asked == []


def test_a_refresh_reads_where_the_branch_is(maintained, repository):
    maintained("alice", "PUT", SOURCE, {"git": repository.url})
    moved = repository.commit("flows: {other: {script: [x]}}\n")
    answer = maintained("alice", "POST", f"{SOURCE}/refresh")
    assert (answer.status_code, answer.get_json()["commit"]) == (200, moved)


@pytest.mark.parametrize("role", Role, ids=lambda role: role.label)
@pytest.mark.parametrize(
    ("method", "path", "needed"),
    [
        ("GET", SOURCE, Role.GUEST),
        ("PUT", SOURCE, Role.MAINTAINER),
        ("POST", f"{SOURCE}/refresh", Role.MAINTAINER),
        ("DELETE", SOURCE, Role.MAINTAINER),
    ],
)
def test_a_role_may_what_the_permission_table_says(api, repository, git_host, method, path, needed, role):
    """And for nobody else is anything fetched."""
    body = {"git": repository.url} if method == "PUT" else None
    api("administrator", "PUT", SOURCE, {"git": repository.url})
    give(api.world, role.label, "user:alice")
    git_host.asked.clear()
    assert (api("alice", method, path, body).status_code < 300) == (role >= needed)
    problem(api("stranger", method, path, body), 404)
    problem(api("nobody", method, path, body), 401)
    if role < needed:
        assert git_host.asked == []


def test_what_changed_meanwhile_is_not_overwritten(maintained, repository):
    made = maintained("alice", "PUT", SOURCE, {"git": repository.url}, If_None_Match="*")
    other = {"git": repository.url, "protected": []}
    problem(maintained("alice", "PUT", SOURCE, other, If_None_Match="*"), 412)
    problem(maintained("alice", "PUT", SOURCE, other, If_Match='"x"'), 412)
    assert maintained("alice", "PUT", SOURCE, other, If_Match=made.headers["ETag"]).status_code == 200
    problem(maintained("alice", "DELETE", SOURCE, If_Match=made.headers["ETag"]), 412)


@pytest.mark.parametrize(
    ("body", "key"),
    [
        ({"git": "https://alice:hunter2@git.example.com/a.git"}, "git"),
        ({"git": "ext::sh -c hunter2"}, "git"),
        ({"git": "https://git.example.com/a.git", "branch": "--upload-pack=hunter2"}, "branch"),
        ({"git": "https://git.example.com/a.git", "branch": "a..b"}, "branch"),
        ({"git": "https://git.example.com/a.git", "protected": ["a..b"]}, "protected"),
        ({"branch": "main"}, "git"),
    ],
)
def test_what_cannot_be_a_source(maintained, body, key):
    answer = maintained("alice", "PUT", SOURCE, body)
    assert problem(answer, 422)["errors"][0]["key"].startswith(key)
    assert "hunter2" not in answer.text


def test_what_cannot_be_read_is_a_bad_gateway(maintained, repository, git_host):
    git_host.status = 503
    said = problem(maintained("alice", "PUT", SOURCE, {"git": repository.url}), 502)
    assert said["detail"].endswith("it answers 503")
    problem(maintained("alice", "GET", SOURCE), 404)


def test_a_web_worker_reads_git_for_a_small_part_of_its_time(api, git_host):
    everybody(api.world, "maintainer")
    git = api.world.components.git
    assert (git._limits.seconds, git._limits.rest) == (3, 9)
    git._limits = replace(git._limits, seconds=60, rest=10_000)  # a busy machine needs both
    repository, other = git_host.repository(), git_host.repository("acme/other")
    for each in (repository, other):
        each.commit(YAML)
    assert api("alice", "PUT", SOURCE, {"git": repository.url}).status_code == 201
    git_host.asked.clear()
    for answer in (
        api("alice", "POST", f"{SOURCE}/refresh"),
        api("alice", "PUT", SOURCE, {"git": other.url}),
    ):
        assert "repositories are read for a small part of the time" in problem(answer, 503)["detail"]
        assert int(answer.headers["Retry-After"]) >= 1
    assert git_host.asked == []
    assert not [each for each in api.world.events() if each.outcome == "failed"]


def test_a_configuration_with_faults_makes_no_source(maintained, repository):
    repository.commit("flows: {fix-ci: {script: [x], secret: y}}\n")
    answer = maintained("alice", "PUT", SOURCE, {"git": repository.url})
    fault = problem(answer, 422)["errors"][0]
    assert (fault["line"], fault["key"]) == (1, "flows.fix-ci.secret")
    problem(maintained("alice", "GET", SOURCE), 404)


def test_a_configuration_is_stored_or_read_never_both(maintained, repository):
    def put():
        http, authorization = maintained.world.http, maintained.authorization["alice"]
        headers = {"Authorization": authorization, "Content-Type": "application/yaml"}
        return http.put(f"/api/v1{CONFIG}", data=YAML, headers=headers)

    assert put().status_code == 201
    assert maintained("alice", "PUT", SOURCE, {"git": repository.url}).status_code == 201
    assert "is read from Git" in problem(put(), 409)["detail"]
    maintained("alice", "DELETE", SOURCE)
    assert put().status_code == 201

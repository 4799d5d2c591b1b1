"""A flow whose configuration is in Git, from the command line to the claims of its ID token."""

import json
from base64 import urlsafe_b64decode

import pytest

from tests.support.sample_flow import PROJECT, SampleFlow

pytestmark = pytest.mark.slow


def configuration(flow: SampleFlow, word: str) -> str:
    return f"""
id_tokens: {{TOKEN: {{aud: https://vault.acme.example}}}}
flows:
  deploy:
    script: ['echo {word}', 'printf %s "$TOKEN" > {flow.out}/token']
"""


def claims(flow: SampleFlow) -> dict[str, object]:
    part = (flow.out / "token").read_text().split(".")[1]
    return json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))


@pytest.fixture
def repository(git_host, sample_flow):
    repository = git_host.repository()
    repository.commit(configuration(sample_flow, "first"))
    return repository


def test_a_run_swears_to_the_commit_that_it_runs_by(sample_flow: SampleFlow, repository):
    made = sample_flow.cli("project", "source", "set", PROJECT, "--git", repository.url, json=True).data
    assert (made["git"], made["branch"], made["protected"]) == (repository.url, "main", ["main"])
    assert "first" in sample_flow.start().stderr
    said = claims(sample_flow)
    assert (said["ref"], said["ref_type"], said["ref_path"]) == ("main", "branch", "refs/heads/main")
    assert (said["ref_protected"], said["sha"]) == ("true", repository.tip())
    moved = repository.commit(configuration(sample_flow, "second"))
    assert "second" in sample_flow.start().stderr
    assert claims(sample_flow)["sha"] == moved


def test_what_cannot_be_read_starts_nothing(sample_flow: SampleFlow, repository, git_host):
    sample_flow.cli("project", "source", "set", PROJECT, "--git", repository.url)
    git_host.status = 503
    assert "it answers 503" in sample_flow.start(exit_code=1).stderr
    assert sample_flow.cli("run", "list", json=True).data == []


def test_the_commands_of_a_source(sample_flow: SampleFlow, repository):
    source = ("project", "source")
    sample_flow.cli(*source, "set", PROJECT, "--git", repository.url, "--unprotected")
    assert sample_flow.cli(*source, "show", PROJECT, json=True).data["protected"] == []
    sample_flow.cli(*source, "set", PROJECT, "--git", repository.url, "--protected", "a", "--protected", "b")
    assert sample_flow.cli(*source, "show", PROJECT, json=True).data["protected"] == ["a", "b"]
    read = sample_flow.cli(*source, "refresh", PROJECT, json=True).data
    assert (read["commit"], read["ref"]) == (repository.tip(), "main")
    assert "first" in sample_flow.cli("project", "config", "show", PROJECT).stdout
    refused = sample_flow.configure(configuration(sample_flow, "stored"), exit_code=1)
    assert "is read from Git" in refused.stderr
    sample_flow.cli(*source, "remove", PROJECT)
    assert "has no Git source" in sample_flow.cli(*source, "show", PROJECT, exit_code=1).stderr
    assert "since its Git source was removed" in sample_flow.start(exit_code=1).stderr
    both = ("--protected", "a", "--unprotected")
    sample_flow.cli(*source, "set", PROJECT, "--git", repository.url, *both, exit_code=2)


def test_a_password_in_the_url_is_refused_and_kept_nowhere(sample_flow: SampleFlow):
    url = "https://alice:hunter2@git.example.com/acme/webapp.git"
    said = sample_flow.cli("project", "source", "set", PROJECT, "--git", url, exit_code=1)
    assert "must not contain a user name or password" in said.stderr
    assert "hunter2" not in said.stderr + said.stdout
    assert "hunter2" not in json.dumps(sample_flow.events())

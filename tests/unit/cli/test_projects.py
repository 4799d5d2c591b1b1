"""The commands for projects, their configuration and variables: what was set can be read back."""

import pytest

from tests.support.server import Installation

YAML = "flows:\n  fix-ci:\n    script: [make test]\n"


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    installation = Installation(tmp_path_factory.mktemp("installation"))
    installation.invoke("init")
    installation.invoke("project", "create", "acme/webapp")
    return installation.invoke


def test_a_project_is_shown(command):
    shown = command("project", "show", "acme/webapp", json=True).data
    assert {"id": shown["id"], "path": "acme/webapp", "group": "acme"}.items() <= shown.items()
    assert "acme/webapp" in command("project", "show", "acme/webapp").stdout
    assert "there is no project" in command("project", "show", "acme/none", exit_code=1).stderr


def test_a_configuration_is_printed_as_it_was_set(command, tmp_path):
    refused = command("project", "config", "show", "acme/webapp", exit_code=1)
    assert "countersign project config set" in refused.stderr
    file = tmp_path / "agent-config.yml"
    file.write_text(YAML)
    made = command("project", "config", "set", "acme/webapp", "--file", str(file), json=True).data
    assert command("project", "config", "show", "acme/webapp").stdout == YAML
    assert command("project", "config", "show", "acme/webapp", json=True).data == made | {"content": YAML}


def test_variables_are_set_listed_and_removed(command):
    assert command("project", "variable", "list", "acme/webapp", json=True).data == []
    command("project", "variable", "set", "acme/webapp", "AUD=x=y", "MODE=test")
    rows = [{"name": "AUD", "value": "x=y"}, {"name": "MODE", "value": "test"}]
    assert command("project", "variable", "list", "acme/webapp", json=True).data == rows
    command("project", "variable", "remove", "acme/webapp", "AUD")
    assert command("project", "variable", "list", "acme/webapp", json=True).data == rows[1:]
    command("project", "variable", "remove", "acme/webapp", "AUD", exit_code=1)
    told = command("audit", "list", "--action", "identity:project_variable:remove", json=True).data
    assert [row["detail"] for row in told] == [{"names": ["AUD"]}]


def test_the_subject_of_its_runs_is_set_shown_and_reset(command):
    def shown():
        assert command("project", "subject", "show", "acme/webapp", json=True).data["id"] == 1
        return command("project", "subject", "show", "acme/webapp").stdout.strip()

    assert shown() == "project_path,flow"
    said = command("project", "subject", "set", "acme/webapp", "project_id,ref").stdout
    assert "project_id:1:ref:…" in said
    assert shown() == "project_id,ref"
    command("project", "subject", "reset", "acme/webapp")
    assert shown() == "project_path,flow"
    refused = command("project", "subject", "set", "acme/webapp", "flow", exit_code=1)
    assert "begin with project_path or project_id" in refused.stderr


@pytest.mark.parametrize("workload", ["user", "service_account"])
def test_who_runs_its_flows_is_set_and_shown(command, workload):
    made = command("project", "workload", "set", "acme/webapp", workload, json=True).data
    assert made["workload"] == workload
    assert command("project", "workload", "show", "acme/webapp").stdout.strip() == workload

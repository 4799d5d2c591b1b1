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

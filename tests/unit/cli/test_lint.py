"""``countersign flow lint`` needs no installation: a file, its faults and its warnings."""

import json

import pytest
from click.testing import CliRunner

from app.cli import main

FLOWS = "flows: {f: {script: [make]}}\n"


@pytest.fixture
def lint(tmp_path):
    def invoke(text, *options):
        file = tmp_path / "agent-config.yml"
        file.write_text(text)
        return CliRunner().invoke(main, ["flow", "lint", str(file), *options]), str(file)

    return invoke


def test_a_file_without_faults(lint):
    result, _ = lint(FLOWS)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("no faults in the file")


def test_faults_have_line_and_column_and_are_the_exit_code(lint):
    for options in ((), ("--json",)):
        result, file = lint("imag: x\n" + FLOWS, *options)
        assert result.exit_code == 1
        assert result.stderr == f"{file}:1:1: imag: unknown key: did you mean `image`?\n"
    assert json.loads(result.stdout) == {
        "faults": [{"line": 1, "column": 1, "key": "imag", "fix": "unknown key: did you mean `image`?"}],
        "warnings": [],
    }


def test_all_faults_are_told_however_many(lint):
    result, _ = lint("".join(f"k{number}: x\n" for number in range(150)) + FLOWS, "--json")
    assert len(result.stderr.splitlines()) == len(json.loads(result.stdout)["faults"]) == 150


def test_a_warning_is_told_and_changes_nothing_else(lint):
    result, file = lint(FLOWS + "cache: {}\n", "--json")
    message = "has no effect: nothing is kept between runs"
    assert (result.exit_code, result.stderr) == (0, f"warning: {file}:2:1: cache: {message}\n")
    assert json.loads(result.stdout) == {
        "flows": ["f"],
        "faults": [],
        "warnings": [{"line": 2, "column": 1, "key": "cache", "fix": message}],
    }

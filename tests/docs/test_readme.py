"""The README shows what a run of the product really says."""

import re

import pytest

from tests.docs.pages import blocks
from tests.docs.shell import run_commands
from tests.support.tools import ROOT

README = ROOT / "README.md"


@pytest.mark.slow
@pytest.mark.timeout(1000)
def test_what_you_see_is_what_comes(tmp_path):
    (block,) = blocks(README, "text")
    run_commands({"countersign try --once": re.sub(r"in \d+ s", "in … s", block.text)}, tmp_path)


def test_make_run_is_that_command():
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(r"^run: .*\n\t@\$\(VENV\)/bin/countersign try \$\(ARGS\)$", makefile, re.MULTILINE)


def test_the_two_commands_stand_where_ci_and_readers_look():
    lines = [line for block in blocks(README, "sh") for line in block.text.splitlines()]
    assert lines == ["make run", "make test"]


def test_the_table_of_the_benchmark_has_its_place():
    assert README.read_text().count("<!-- bench:begin -->\n") == 1
    assert README.read_text().count("\n<!-- bench:end -->") == 1


def test_the_version_that_is_said_is_the_version():
    version = re.search(r'^version = "(\d+\.\d+)', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[1]
    assert f"This is version {version}," in README.read_text()

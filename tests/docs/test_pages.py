"""What a page names exists: links, commands and their options, variables, modules."""

import re

import click
import pytest

from app.cli import main
from app.setting_faults import PREFIX
from app.settings import declared
from tests.docs.pages import PAGES, commands, name_of, prose, rows
from tests.support.tools import ROOT

RUN_ENVIRONMENT = ROOT / "docs/reference/run-environment.md"


def heading_anchors(page):
    """As GitHub makes them."""
    heads = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_leads_somewhere(page):
    for target in re.findall(r"\]\((?!\w+:)([^)\s]+)\)", prose(page)):
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        assert not anchor or anchor in heading_anchors(there), target


def unknown_in(words):
    """The first word of a command line that the command does not know, or ``None``."""
    command, path = main, []
    for word in words:
        if isinstance(command, click.Group) and not word.startswith("-"):
            inner = command.commands.get(word)
            if inner is None or inner.hidden:
                return " ".join([*path, word])
            command, path = inner, [*path, word]
        elif word.startswith("--"):
            known = {name for parameter in command.params for name in parameter.opts}
            if word.partition("=")[0] not in known | {"--help"}:
                return " ".join([*path, word])
    return None


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_and_option_exists(page):
    assert [unknown for words in commands(page) if (unknown := unknown_in(words))] == []


def test_a_command_that_does_not_exist_is_seen():
    assert unknown_in(["keys", "juggle"]) == "keys juggle"
    assert unknown_in(["user", "create", "alice", "--mail", "x"]) == "user create --mail"
    assert unknown_in(["user", "create", "alice", "--email", "x", "--json"]) is None


def test_commands_are_found_in_blocks_and_in_prose():
    found = [words[0] for page in PAGES for words in commands(page)]
    assert {"init", "flow", "audit", "doctor"} <= set(found)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_variable_of_ours_exists(page):
    known = {PREFIX + name.upper() for name in declared()}
    known |= {f"{PREFIX}{name.upper()}_FILE" for name, metadata in declared().items() if metadata["secret"]}
    known |= {row[0].strip("`") for row in rows(RUN_ENVIRONMENT)}
    assert set(re.findall(rf"{PREFIX}[A-Z_]+[A-Z]", page.read_text())) <= known


def test_every_module_that_the_architecture_names_exists():
    text = (ROOT / "docs/architecture.md").read_text()
    named = re.findall(r"`((?:app|tests|migrations|keys|docs)/[\w./-]*)`", text)
    assert len(named) > 20
    assert [path for path in named if not (ROOT / path).exists()] == []
    for module, name in re.findall(r"`(app/[\w/]+\.py)` [`(]*([A-Za-z_.]+)\(?\)?`", text):
        assert name.rpartition(".")[2] in (ROOT / module).read_text(), f"{module} has no {name}"

"""Every guide is typed into a shell, in an installation of its own; what it shows must be what comes."""

from itertools import chain, pairwise

import pytest

from app.flows.configuration import ConfigurationError, parse
from tests.docs.pages import GUIDES, PAGES, blocks, name_of
from tests.docs.shell import run
from tests.support.tools import ROOT

YAML = list(chain.from_iterable(blocks(page, "yaml") for page in PAGES))


@pytest.mark.slow
@pytest.mark.timeout(1000)
@pytest.mark.parametrize("page", GUIDES, ids=name_of)
def test_a_guide_can_be_followed(page, tmp_path):
    run(page, tmp_path)


def test_few_commands_are_not_tried():
    """What is left out needs another machine: a proxy, a package registry, an account to create."""
    left_out = [block for page in PAGES for block in blocks(page, "sh", "console") if "no-run" in block.marks]
    assert len(left_out) <= 8, list(map(str, left_out))


def test_the_sample_that_is_shown_is_the_sample():
    page = ROOT / "docs/guides/resource-servers.md"
    [shown] = [block.text for block in blocks(page, "python") if block.mark("file") == "app.py"]
    assert shown == (ROOT / "docs/examples/resource-server/app.py").read_text()


@pytest.mark.parametrize("block", [each for each in YAML if "refused" not in each.marks], ids=str)
def test_a_configuration_is_one(block):
    text = block.text
    if "fragment" in block.marks:  # of one flow
        text = "flows:\n  fix-ci:\n" + "".join(f"    {line}\n" for line in text.splitlines())
    parse(text.encode())


def test_a_refused_configuration_is_refused_in_the_words_shown():
    for page in {block.page for block in YAML}:
        shown = blocks(page, "yaml", "text")
        for block, answer in pairwise(shown):
            if "refused" in block.marks:
                with pytest.raises(ConfigurationError) as refusal:
                    parse(block.text.encode())
                assert str(refusal.value) == answer.text.rstrip(), str(block)

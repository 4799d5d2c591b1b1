"""What the documentation promises is what the code has."""

import re

import pytest

from app.ledger.actions import AuditAction
from app.setting_faults import PREFIX
from app.settings import declared
from tests.support import conformance
from tests.support.tools import ROOT

REFERENCE = ROOT / "docs" / "reference"


def code_in(page: str) -> set[str]:
    """What stands in backticks on a page."""
    return set(re.findall(r"`([^`\n]+)`", (REFERENCE / page).read_text()))


@pytest.mark.parametrize("name", declared())
def test_a_setting_is_documented(name):
    assert PREFIX + name.upper() in code_in("settings.md")


@pytest.mark.parametrize("action", [action.value for action in AuditAction])
def test_an_action_of_the_ledger_is_documented(action):
    assert action in code_in("audit.md")


def test_no_setting_is_documented_that_is_not_there():
    there = {PREFIX + name.upper() for name in declared()}
    there |= {name + "_FILE" for name in there}
    named = {text for text in code_in("settings.md") if re.fullmatch(PREFIX + "[A-Z_]+[A-Z]", text)}
    assert named <= there


def test_no_action_is_documented_that_is_not_there():
    named = {text for text in code_in("audit.md") if re.fullmatch(r"[a-z]+:[a-z_]+:[a-z]+", text)}
    assert named <= {action.value for action in AuditAction}


def test_the_conformance_page_is_what_the_tests_say():
    """Written by `python -m tests.support.conformance`."""
    assert conformance.PAGE.read_text() == conformance.page()

"""Who has which permission: every cell, the denied ones too; and what the reference says of it."""

import re

import pytest

from app.identity.permissions import PERMISSIONS, SCOPES, Role, allows, role_named
from tests.support.tools import ROOT

TABLE = """
                     guest  reporter  developer  maintainer  owner
project.read         yes    yes       yes        yes         yes
code.read            -      yes       yes        yes         yes
run.read             -      yes       yes        yes         yes
code.write           -      -         yes        yes         yes
flow.start           -      -         yes        yes         yes
run.cancel           -      -         yes        yes         yes
secret.read          -      -         yes        yes         yes
configuration.write  -      -         -          yes         yes
project.create       -      -         -          yes         yes
audit.read           -      -         -          -           yes
member.manage        -      -         -          -           yes
project.admin        -      -         -          -           yes
"""
HEAD, *LINES = [line.split() for line in TABLE.strip().splitlines()]
CELLS = [
    (role, name, cell == "yes") for name, *cells in LINES for role, cell in zip(HEAD, cells, strict=True)
]


@pytest.mark.parametrize(("role", "permission", "expected"), CELLS)
def test_a_role_has_exactly_these_permissions(role, permission, expected):
    assert allows(role_named(role), permission) is expected


def test_the_table_is_whole():
    assert {name for name, *_ in LINES} == PERMISSIONS.keys()
    assert [role.label for role in Role] == HEAD


@pytest.mark.parametrize("permission", [*PERMISSIONS, "code.delete", ""])
def test_who_has_no_role_has_no_permission(permission):
    assert not allows(None, permission)


@pytest.mark.parametrize(
    "permission", ["code.delete", "api", "", "code", "code.*", "*", "CODE.READ", "code.read "]
)
def test_a_permission_that_does_not_exist_is_nobodys(permission):
    assert not any(allows(role, permission) for role in Role)


def test_a_role_is_found_by_its_label():
    assert [role_named(role.label) for role in Role] == list(Role)
    assert role_named("Owner") is None


def test_a_scope_is_api_or_a_permission():
    assert {"api", *PERMISSIONS} == SCOPES


def reference_rows(heading):
    page = (ROOT / "docs/reference/permissions.md").read_text()
    section = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)[1]
    return [tuple(re.findall(r"`([^`]+)`", line)) for line in section.splitlines() if line.startswith("| `")]


def test_the_reference_lists_every_permission_with_its_weakest_role():
    documented = [row[:2] for row in reference_rows("Permissions")]
    assert documented == [(name, role.label) for name, role in PERMISSIONS.items()]


def test_the_reference_lists_every_role():
    assert [row[0] for row in reference_rows("Roles")] == [role.label for role in Role]

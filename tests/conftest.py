"""Fixtures live in tests/support, one subject a file."""

from tests.support.effort import register_profiles

pytest_plugins = [
    "pytester",
    "tests.support.require",
    "tests.support.openbao",
    "tests.support.postgresql",
    "tests.support.node_jose",
    "tests.support.pyjwt_verifier",
    "tests.support.server",
    "tests.support.sample_flow",
    "tests.support.components",
    "tests.support.keystores",
    "tests.support.git_server",
    "tests.support.browser",
    "tests.support.console_client",
    "tests.support.console_scene",
]

register_profiles()

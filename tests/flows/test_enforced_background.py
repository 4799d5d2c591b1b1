"""An enforced account without its one living human gets nothing in the background either: a run that waits
for its executor is given nothing once either party, or what binds them, is gone or another.
"""

import sqlite3
from contextlib import closing, suppress

import pytest

from app.errors import Refusal
from app.flows.start import StartRequest, start
from app.ledger.record import Actor
from app.settings import Settings
from app.wiring import Components
from tests.support.sample_flow import FLOW, PROJECT

pytestmark = pytest.mark.slow

BY = Actor(name="worker")
COMMANDS = {
    "the human is disabled": [("user", "disable", "alice")],
    "the account is disabled": [("service-account", "disable", "duo")],
    "the delegation is revoked": [("delegation", "revoke", "1")],
    "the delegation is revoked, and there is another": [
        ("delegation", "revoke", "1"),
        ("delegation", "grant", "--user", "alice", "--service-account", "duo"),
    ],
    "the human is no member": [("member", "remove", PROJECT, "user:alice")],
    "the account is no member": [("member", "remove", PROJECT, "service_account:duo")],
    "the project is deleted": [("project", "delete", PROJECT)],
}
EDITS = {
    "the human is deleted": "DELETE FROM users WHERE login = 'alice'",
    "the human never was": "UPDATE runs SET user_id = 999",
    "the human is another": "UPDATE runs SET user_id = 2",
    "the human is a machine": "UPDATE runs SET user_id = 3",
    "the account is deleted": "DELETE FROM service_accounts WHERE name = 'duo'",
    "the account is a human": "UPDATE runs SET service_account_id = 1",
    "the account acts in its own name now": "UPDATE service_accounts SET is_composite = 0",
    "the delegation is deleted": "DELETE FROM delegations WHERE id = 1",
    "the delegation is another human's": "UPDATE runs SET delegation_id = 2",
    "the delegation is over": "UPDATE delegations SET expires_at = '2020-01-01 00:00:00.000000'",
}


@pytest.fixture
def flow(sample_flow):
    id_tokens = {"VAULT_ID_TOKEN": {"aud": "https://vault.example"}}
    sample_flow.configure_flow('touch "$OUT/ran"', id_tokens=id_tokens)
    return sample_flow


@pytest.fixture
def components(flow):
    components = Components(Settings.from_env(flow.installation.environment))
    yield components
    components.database.dispose()


@pytest.fixture
def waiting(components):
    """A run's number; alice's, by duo."""
    request = StartRequest(
        project=PROJECT, flow=FLOW, user="alice", service_account="duo", inputs={}, source="test"
    )
    return start(components.database, components.clock, request, BY)


def execute(components, number):
    with suppress(Refusal):
        components.executions.execute(number, lambda _: None, BY)


def test_one_that_nothing_has_changed_for_succeeds(flow, components, waiting):
    execute(components, waiting)
    assert flow.rows("SELECT state FROM runs") == [("succeeded",)]
    assert flow.count("issued_tokens") == 2
    assert (flow.out / "ran").exists()


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_one_for_which(flow, components, waiting, words):
    for each in words:
        flow.cli(*each)
    execute(components, waiting)
    assert_nothing_was_given(flow)
    [(state, reason)] = flow.rows("SELECT state, reason FROM runs")
    assert state in {"failed", "cancelled"}
    assert reason


@pytest.mark.parametrize("statement", EDITS.values(), ids=EDITS)
def test_one_for_which_in_the_database(flow, components, waiting, statement):
    """Whoever did that: no command does."""
    with closing(sqlite3.connect(flow.database)) as connection:
        connection.execute(statement)
        connection.commit()
    execute(components, waiting)
    assert_nothing_was_given(flow)


def assert_nothing_was_given(flow):
    assert flow.count("issued_tokens") == 0
    assert not (flow.out / "ran").exists()
    assert flow.rows("SELECT count(*) FROM runs WHERE state = 'succeeded'") == [(0,)]

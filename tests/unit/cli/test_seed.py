"""The sample of `make run`, on an installation that is not new."""

from datetime import timedelta

import pytest

from app.cli import console
from app.cli.sample import seed
from app.clock import system_clock
from app.flows import configurations
from app.identity import accounts, delegations, projects, sign_in_links
from app.secret import Secret
from app.settings import Settings
from app.wiring import Components
from tests.support.server import Installation


@pytest.fixture
def here(tmp_path):
    installation = Installation(tmp_path)
    opened = console.Installation(Settings.from_env(installation.environment))
    opened.components.prepare(opened.actor)
    yield opened
    opened.components.database.dispose()


def delegated(here):
    with here.reading() as session:
        rows = delegations.listed(session)
        return [(each.user.login, each.service_account.name) for each in rows]


def configured(here):
    with here.reading() as session:
        return configurations.newest(session, projects.find_project(session, seed.PROJECT)).body


def test_is_made_once(here):
    for _ in range(2):
        seed.sample(here)
    assert delegated(here) == [("alice", "duo")]


def test_has_a_delegation_on_the_second_day_too(here):
    seed.sample(here)
    here.components = Components(here.settings, lambda: system_clock() + timedelta(days=2))
    seed.sample(here)
    assert delegated(here) == [("alice", "duo")] * 2


def test_has_its_own_delegation_whoever_else_has_one(here):
    with here.writing() as session:
        by_now = {"by": here.actor, "now": here.now}
        bob = accounts.create_user(session, "bob", "bob@acme.example", is_admin=False, **by_now)
        trio = accounts.create_service_account(session, "trio", is_composite=True, **by_now)
        until = here.now + timedelta(days=9)
        delegations.grant(session, bob, trio, scopes=None, project=None, expires_at=until, **by_now)
    seed.sample(here)
    assert sorted(delegated(here)) == [("alice", "duo"), ("bob", "trio")]


def test_ends_with_a_link_that_signs_its_administrator_in(here):
    seed.sample(here)
    secret = Secret(seed.sign_in_link(here).partition("/console/sign-in#")[2])
    with here.writing() as session:
        user = sign_in_links.redeem(session, secret, here.now)
        assert (user.login, user.is_admin) == ("alice", True)


@pytest.mark.parametrize(
    ("flows", "missing"),
    [
        ("{verify: {script: [a]}, open-vault: {script: [b]}}", None),
        ("{verify: {script: [a]}}", "without flow open-vault: "),
        ("{}", "without flow open-vault and verify: "),
    ],
)
def test_leaves_a_changed_configuration_alone_and_says_what_it_lacks(here, flows, missing):
    seed.sample(here)
    body = f"flows: {flows}\n".encode()
    parts = here.components
    configurations.store(parts.database, parts.clock, seed.PROJECT, body, here.actor)
    if missing is None:
        seed.sample(here)
    else:
        with pytest.raises(console.Refused, match=missing):
            seed.sample(here)
    assert configured(here) == body

"""A page that asks whether to kill is for whoever may: everybody else is refused before it is shown."""

import pytest

from app.identity import accounts
from tests.support import living_run
from tests.support.console_client import text_of


@pytest.fixture
def people(world):
    world.change(accounts.create_user, "root", "root@example.com", is_admin=True)
    world.change(accounts.create_user, "carol", "carol@example.com", is_admin=False, is_auditor=True)
    world.new_user("bob")
    living_run.configure(world)
    return world, living_run.begun(world).number


PAGES = {
    "service account": ("/service-accounts/duo/kill", {"root": 200, "carol": 403, "bob": 403}),
    "human": ("/users/alice/kill", {"root": 200, "carol": 403, "alice": 200, "bob": 404}),
    "delegation": (
        "/delegations/{world.delegation}/kill",
        {"root": 200, "carol": 403, "alice": 200, "bob": 404},
    ),
    "run": ("/runs/{run}/kill", {"root": 200, "carol": 403, "alice": 200, "bob": 404}),
}


@pytest.mark.parametrize(
    ("path", "who", "status"),
    [
        pytest.param(path, who, status, id=f"{name}-{who}")
        for name, (path, answers) in PAGES.items()
        for who, status in answers.items()
    ],
)
def test_who_is_asked(people, visit, path, who, status):
    page = visit(who).get(path.format(world=people[0], run=people[1]))
    assert page.status_code == status, text_of(page)
    assert ('name="reason"' in page.text) == (status == 200)

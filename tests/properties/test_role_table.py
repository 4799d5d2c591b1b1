"""Every cell of the documented table, the denied ones too, as a resource server is answered."""

import re

import pytest

from app.identity import members
from tests.support.components import ManualClock, inhabited
from tests.support.resource_server import resource_server
from tests.support.tools import ROOT

PAGE = (ROOT / "docs/reference/permissions.md").read_text()
ROWS = re.findall(r"^\| `([a-z._]+)` \| (?:`([a-z]+)` \| )?", PAGE, re.MULTILINE)
ROLES = [None, *(name for name, weakest in ROWS if not weakest)]
NEEDS = {name: weakest for name, weakest in ROWS if weakest}


@pytest.fixture(scope="module")
def world(peopled, tmp_path_factory):
    with inhabited(peopled, tmp_path_factory.mktemp("world"), ManualClock()) as world:
        yield world


@pytest.fixture(scope="module")
def api(world):
    return resource_server(world)


def give(world, place, named, role):
    def change(session, **by_now):
        where = members.find_place(session, place)
        members.add_member(session, where, named, role or "guest", **by_now)
        session.flush()
        if role is None:
            members.remove_member(session, where, named, **by_now)

    world.change(change)


def answers(api, subject, kind, path):
    body = {
        "subject": subject,
        "resource": {"type": kind, "id": path},
        "evaluations": [{"action": {"name": name}} for name in NEEDS],
    }
    headers = {"Authorization": api.authorization}
    api.world.clock.advance(seconds=1)
    found = api.world.http.post("/access/v1/evaluations", json=body, headers=headers).get_json()
    return dict(zip(NEEDS, (each["decision"] for each in found["evaluations"]), strict=True))


def documented(role):
    return {
        name: role is not None and ROLES.index(role) >= ROLES.index(weakest)
        for name, weakest in NEEDS.items()
    }


def test_the_table_was_read():
    assert ROLES == [None, "guest", "reporter", "developer", "maintainer", "owner"]
    assert len(NEEDS) == 12


@pytest.mark.parametrize("place", ["acme", "acme/webapp"])
@pytest.mark.parametrize("role", ROLES)
def test_a_human_has_what_the_page_says_and_nothing_else(world, api, place, role):
    kind = "project" if "/" in place else "group"
    for path, given in (("acme", None), ("acme/webapp", None), (place, role)):
        give(world, path, "user:alice", given)
    assert answers(api, {"type": "user", "id": str(world.alice)}, kind, place) == documented(role)


@pytest.mark.parametrize("human", ROLES)
@pytest.mark.parametrize("account", ROLES)
def test_a_pair_has_what_the_weaker_of_the_two_has(world, api, human, account):
    give(world, "acme", "user:alice", None)
    give(world, "acme/webapp", "user:alice", human)
    give(world, "acme/webapp", "service_account:duo", account)
    subject = {
        "type": "service_account",
        "id": str(world.duo),
        "properties": {"on_behalf_of": f"user:{world.alice}"},
    }
    weaker = min(human, account, key=ROLES.index)
    assert answers(api, subject, "project", "acme/webapp") == documented(weaker)

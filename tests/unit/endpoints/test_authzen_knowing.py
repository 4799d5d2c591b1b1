"""AuthZEN tells nobody what is not theirs to know, and tells the ledger what it refused."""

import pytest

from app.identity import accounts, cut_offs
from tests.support.components import basic, on_every_database, parts
from tests.support.resource_server import resource_server
from tests.unit.endpoints.test_authzen import Door, composite, human, refusing, shown

DENIED = "identity:access:evaluate"
MAY_NOT_ASK = {
    "decision": False,
    "context": {"error": {"status": 403, "message": "subject: it is not this caller's to ask about"}},
}


@pytest.fixture
def door(world):
    return Door(world)


def account(world, name):
    number, secret = world.new_account(name, is_composite=False)
    return number, basic(f"sa_{number}", secret.reveal())


def denials(world):
    return world.events(DENIED)


def test_who_may_ask_about_whom(door):
    world = door.world
    bob = world.new_user("bob")
    nosy, secret = account(world, "nosy")
    world.change(
        lambda session, by, now: accounts.create_user(
            session, "root", "root@example.com", is_admin=True, by=by, now=now
        )
    )
    world.change(accounts.create_user, "carol", "carol@example.com", is_admin=False, is_auditor=True)
    own = "Bearer " + world.ask(scope=f"api {world.scope}").get_json()["access_token"]
    subjects = {
        "pair": door.pair,
        "alice": human(world.alice),
        "bob": human(bob),
        "nosy": {"type": "service_account", "id": str(nosy)},
        "nobody": human(999_999),
    }
    may_ask = {
        door.authorization: set(subjects),
        door.personal("root"): set(subjects),
        door.personal("root", "code.read"): set(),
        door.personal("carol"): set(subjects),
        door.personal("carol", "code.read"): set(),
        door.personal("alice"): {"pair", "alice"},
        door.personal("bob"): {"bob"},
        own: {"pair"},
        secret: {"nosy"},
    }
    for authorization, allowed in may_ask.items():
        answers = {name: door.ask(each, authorization=authorization) for name, each in subjects.items()}
        assert {name for name, answer in answers.items() if "reasons" in answer["context"]} == allowed
        assert all(answers[name] == MAY_NOT_ASK for name in subjects.keys() - allowed)


def test_a_foreign_token_and_a_dead_one_are_told_in_the_same_words(door):
    _, nosy = account(door.world, "nosy")
    token = door.token("api")
    foreign = door.ask(shown(token), authorization=nosy)
    with door.world.components.database.writing() as session:
        cut_offs.add(
            session,
            cut_offs.CutOffKind.TOKEN,
            parts(token)[1]["jti"],
            at=door.world.clock(),
            reason="test",
            actor="operator:tester",
        )
    dead, garbage = (door.ask(shown(each), authorization=nosy) for each in (token, "a.b.c"))
    assert foreign == dead == garbage
    assert len(foreign["context"]["reasons"]) == 1
    assert door.ask(shown(token)) == dead


def test_a_private_project_is_told_of_as_if_it_did_not_exist(door):
    bob, me = door.world.new_user("bob"), door.personal("bob")
    there, not_there = (
        door.ask(human(bob), resource=each, authorization=me) for each in ("acme/webapp", "acme/nothing")
    )
    assert there == not_there
    assert refusing(there) == ["human"]
    told = door.ask(human(bob))["context"]["reasons"][0]["reason"]
    assert told == "bob is no member in acme/webapp; code.write needs developer"


def test_whoever_may_read_the_project_is_told_of_it(door):
    answer = door.ask(door.pair, "member.manage", authorization=door.personal("alice"))
    assert answer["context"]["reasons"][0]["reason"].startswith("alice is developer in acme/webapp")


@pytest.mark.parametrize("named", ["user:{bob}", "user:{alice}", "user:999", 42, None])
def test_a_human_acts_for_nobody(door, named):
    bob = door.world.new_user("bob")
    named = named.format(bob=bob, alice=door.world.alice) if isinstance(named, str) else named
    chain = human(door.world.alice) | {"properties": {"on_behalf_of": named}}
    assert refusing(door.ask(chain)) == ["human"]


@pytest.mark.parametrize("registered", ["https://API.acme.example/", "https://api.acme.example"])
def test_an_audience_is_compared_as_introspection_does(world, registered):
    api = resource_server(world, registered)
    token = api.token()
    assert api.is_active(token)
    assert Door.ask(_Asking(world, api.authorization), shown(token))["decision"] is True


class _Asking(Door):
    def __init__(self, world, authorization):
        self.world, self.authorization = world, authorization


# The ledger


@on_every_database
def test_a_denial_is_in_the_ledger_once_a_minute_and_kind(world):
    door = Door(world)
    assert door.ask(door.pair)["decision"] is True
    assert denials(world) == []
    for _ in range(20):
        door.ask(door.pair, "member.manage")
    [told] = denials(world)
    assert (told.outcome, told.user, told.project) == ("denied", f"user:{world.alice}", "acme/webapp")
    assert told.service_account == f"service_account:{world.duo}"
    assert told.actor == f"service_account:{door.shop}"
    assert told.detail["permission"] == "member.manage"
    assert told.detail["cause"].startswith("human: alice is developer")
    world.clock.advance(minutes=1)
    door.ask(door.pair, "project.admin")
    assert sorted(each.detail.get("repeated", 0) for each in denials(world)) == [0, 0, 19]


def test_a_denial_to_the_agent_itself_names_both(door):
    own = "Bearer " + door.world.ask(scope=f"api {door.world.scope}").get_json()["access_token"]
    door.ask(door.pair, "member.manage", authorization=own)
    [told] = denials(door.world)
    assert (told.user, told.service_account) == (
        f"user:{door.world.alice}",
        f"service_account:{door.world.duo}",
    )


def test_nobody_makes_the_ledger_grow_by_asking(door):
    _, nosy = account(door.world, "nosy")
    for number in range(1, 151):
        door.ask(human(number), authorization=nosy)
    assert len(denials(door.world)) == 101
    door.ask(door.pair, "member.manage")
    assert len(denials(door.world)) == 102, "another's are told all the same"


@on_every_database
def test_a_dead_credential_leaves_a_row_that_names_its_parties(world):
    door = Door(world)
    own = world.ask(scope=f"api {world.scope}").get_json()["access_token"]
    world.set_active("alice", active=False)
    for _ in range(20):
        assert door.post({}, authorization=f"Bearer {own}").status_code == 401
    [told] = world.events("identity:client:authenticate")
    assert (told.actor, told.user, told.service_account, told.jti) == (
        "anonymous",
        f"user:{world.alice}",
        f"service_account:{world.duo}",
        parts(own)[1]["jti"],
    )
    assert told.detail["cause"] == "active: alice is disabled"


def test_a_credential_from_a_node_whose_clock_is_ahead(world):
    """As introspection has it."""
    door = Door(world)
    own = "Bearer " + world.ask(scope=f"api {world.scope}").get_json()["access_token"]
    world.clock.advance(seconds=-60)
    assert door.ask(composite(world), authorization=own)["decision"] is True
    world.clock.advance(seconds=-60)
    assert door.post({}, authorization=own).status_code == 401

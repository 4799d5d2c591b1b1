"""An enforced account without its one living human is nobody at our own API, even under our own signature."""

import pytest
from sqlalchemy import delete, insert, update

from app.identity.models import Delegation, Principal, ServiceAccount, User
from app.protocol.claims import ACCESS_TOKEN_TYPE
from app.tokens.models import IssuedToken
from tests.support.components import on_every_database, parts
from tests.unit.ledger.ledgers import Editor

ASKED = {
    "subject": {"type": "user", "id": "1"},
    "action": {"name": "code.read"},
    "resource": {"type": "project", "id": "acme/webapp"},
}


class Bearer:
    """A token of duo's for our API, and whoever may write into tables and sign what they like."""

    def __init__(self, world):
        self.world = world
        self.claims = parts(world.ask(scope=f"api {world.scope}").get_json()["access_token"])[1]
        [row] = world.tokens()
        self.columns = {each.name: getattr(row, each.name) for each in IssuedToken.__table__.columns}
        self.editor = Editor(world.components)

    def status(self, said=None, stored=None):
        """Of a request with the same token but for what it says, or what is stored of it."""
        claims = {k: v for k, v in (self.claims | (said or {}) | {"jti": "mine"}).items() if v is not None}
        self.editor.do(delete(IssuedToken).where(IssuedToken.jti == "mine"))
        self.editor.do(insert(IssuedToken).values(self.columns | (stored or {}) | {"jti": "mine"}))
        token = self.world.components.keyring.current().active.sign(ACCESS_TOKEN_TYPE, claims).reveal()
        headers = {"Authorization": f"Bearer {token}"}
        answer = self.world.http.post("/access/v1/evaluation", json=ASKED, headers=headers)
        assert answer.status_code in {200, 401}
        return answer.status_code


@pytest.fixture
def bearer(world):
    bearer = Bearer(world)
    assert bearer.status() == 200
    yield bearer
    bearer.editor.close()


def no_human(_world):
    return {"user_id": None, "user_login": None, "scope": "api"}, {"user_id": None, "scope": "api"}


def no_human_and_no_delegation(world):
    said, stored = no_human(world)
    return said | {"delegation_id": None}, stored | {"delegation_id": None}


def another_human(world):
    return named(world.new_user("bob"))


def a_machine(world):
    return named(world.duo)


def a_human_who_never_was(_world):
    return named(999)


def named(number):
    scope = f"api user:{number}"
    return {"user_id": str(number), "scope": scope}, {"user_id": number, "scope": scope}


def no_delegation(_world):
    return {"delegation_id": None}, {"delegation_id": 999}


def a_delegation_of_another_human(world):
    world.new_user("bob")
    number = world.delegate("bob")
    return {"delegation_id": str(number)}, {"delegation_id": number}


def a_human_who_is_not_the_stored_one(world):
    return named(world.new_user("bob"))[0], {}


def a_human_who_is_stored_alone(world):
    return {}, named(world.new_user("bob"))[1]


def a_second_human(world):
    return {"scope": f"api {world.scope} user:{world.new_user('bob')}"}, {}


def a_wider_scope_than_was_stored(world):
    return {}, {"scope": f"code.read {world.scope}"}


@pytest.mark.parametrize(
    "differ",
    [
        no_human,
        no_human_and_no_delegation,
        another_human,
        a_machine,
        a_human_who_never_was,
        no_delegation,
        a_delegation_of_another_human,
        a_human_who_is_not_the_stored_one,
        a_human_who_is_stored_alone,
        a_second_human,
        a_wider_scope_than_was_stored,
    ],
)
def test_a_token_with(world, bearer, differ):
    assert bearer.status(*differ(world)) == 401


def delete_the_human(world, editor):
    editor.do(delete(User).where(User.id == world.alice))
    editor.do(delete(Principal).where(Principal.id == world.alice))


def delete_the_account(world, editor):
    editor.do(delete(ServiceAccount).where(ServiceAccount.id == world.duo))


def delete_the_delegation(_world, editor):
    editor.do(delete(Delegation))


def disable_the_human(world, _editor):
    world.set_active("alice", active=False)


def disable_the_account(world, _editor):
    world.set_active("duo", active=False)


def make_it_act_alone(_world, editor):
    editor.do(update(ServiceAccount).values(is_composite=False))


def make_the_human_a_machine(world, editor):
    """As if the one sequence of numbers had been broken."""
    editor.do(delete(User).where(User.id == world.alice))
    editor.do(insert(ServiceAccount).values(id=world.alice, name="alice", is_composite=False))


@on_every_database
@pytest.mark.parametrize(
    "act",
    [
        delete_the_human,
        delete_the_account,
        delete_the_delegation,
        disable_the_human,
        disable_the_account,
        make_it_act_alone,
        make_the_human_a_machine,
    ],
)
def test_once_somebody_did(world, bearer, act):
    act(world, bearer.editor)
    assert bearer.status() == 401
    answer = world.ask(scope=f"api {world.scope}")
    assert answer.status_code in {400, 401}

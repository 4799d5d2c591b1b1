"""Who may call which operation of people, accounts, credentials and delegations: every cell."""

import pytest

from app.operations.delegations import delegations
from app.operations.me import me
from app.operations.memberships import memberships
from app.operations.secrets import secrets
from app.operations.service_accounts import service_accounts
from app.operations.tokens import tokens
from app.operations.users import users
from tests.support.components import inhabited

from .conftest import CALLERS, in_api, problem

RESOURCES = (me, users, memberships, tokens, service_accounts, secrets, delegations)
DUO, ALICE = "/service-accounts/duo", "/users/alice"
NEW_DELEGATION, FOR_ALICE = {"service_account": "duo"}, {"service_account": "duo", "user": "alice"}
UNTIL = {"expires_at": "2027-01-01T00:00:00Z"}

# Nobody, a client's secret, a composite token, an account, a narrow token: how each is refused. Then what a
# stranger, alice herself and an administrator get.
IN_PERSON = (401, 401, 403, 403, 403)
TABLE = [
    ("get_me", "GET", "/me", None, (401, 401, 200, 200, 200, 200, 200, 200)),
    ("list_users", "GET", "/users", None, (*IN_PERSON, 403, 403, 200)),
    ("get_user", "GET", ALICE, None, (*IN_PERSON, 404, 200, 200)),
    ("get_user", "GET", "/users/root", None, (*IN_PERSON, 404, 404, 200)),
    ("get_user", "GET", "/users/none", None, (*IN_PERSON, 404, 404, 404)),
    ("put_user", "PUT", ALICE, {"email": "alice@example.com", "admin": False}, (*IN_PERSON, 403, 403, 200)),
    ("put_user_active", "PUT", f"{ALICE}/active", {"active": True}, (*IN_PERSON, 403, 403, 200)),
    ("list_tokens", "GET", f"{ALICE}/tokens", None, (*IN_PERSON, 404, 200, 200)),
    ("create_token", "POST", f"{ALICE}/tokens", {"scopes": ["api"]}, (*IN_PERSON, 404, 201, 403)),
    ("get_token", "GET", f"{ALICE}/tokens/{{token}}", None, (*IN_PERSON, 404, 200, 200)),
    ("get_token", "GET", "/users/root/tokens/{token}", None, (*IN_PERSON, 404, 404, 404)),
    ("revoke_token", "DELETE", f"{ALICE}/tokens/{{token}}", None, (*IN_PERSON, 404, 204, 204)),
    ("list_service_accounts", "GET", "/service-accounts", None, (*IN_PERSON, 200, 200, 200)),
    ("get_service_account", "GET", DUO, None, (*IN_PERSON, 200, 200, 200)),
    ("put_service_account", "PUT", DUO, {"composite": True}, (*IN_PERSON, 403, 403, 200)),
    ("put_service_account_active", "PUT", f"{DUO}/active", {"active": True}, (*IN_PERSON, 403, 403, 200)),
    ("list_secrets", "GET", f"{DUO}/secrets", None, (*IN_PERSON, 403, 403, 200)),
    ("create_secret", "POST", f"{DUO}/secrets", UNTIL, (*IN_PERSON, 403, 403, 201)),
    ("get_secret", "GET", f"{DUO}/secrets/{{secret}}", None, (*IN_PERSON, 403, 403, 200)),
    ("get_secret", "GET", "/service-accounts/shop/secrets/{secret}", None, (*IN_PERSON, 403, 403, 404)),
    ("revoke_secret", "DELETE", f"{DUO}/secrets/{{secret}}", None, (*IN_PERSON, 403, 403, 204)),
    ("list_secret_standings", "GET", "/client-secrets", None, (*IN_PERSON, 403, 403, 200)),
    ("list_what_runs_for_me", "GET", "/me/runs", None, (*IN_PERSON, 200, 200, 200)),
    ("list_user_memberships", "GET", f"{ALICE}/memberships", None, (*IN_PERSON, 404, 200, 200)),
    ("list_user_memberships", "GET", "/users/root/memberships", None, (*IN_PERSON, 404, 404, 200)),
    ("list_service_account_memberships", "GET", f"{DUO}/memberships", None, (*IN_PERSON, 403, 403, 200)),
    ("list_delegations", "GET", "/delegations", None, (*IN_PERSON, 200, 200, 200)),
    ("list_who_may_act_for_me", "GET", "/me/delegations", None, (*IN_PERSON, 200, 200, 200)),
    ("grant_delegation", "POST", "/delegations", NEW_DELEGATION, (*IN_PERSON, 201, 201, 201)),
    ("grant_delegation", "POST", "/delegations", FOR_ALICE, (*IN_PERSON, 403, 201, 201)),
    ("get_delegation", "GET", "/delegations/{delegation}", None, (*IN_PERSON, 404, 200, 200)),
    ("get_delegation", "GET", "/delegations/999", None, (*IN_PERSON, 404, 404, 404)),
    ("revoke_delegation", "DELETE", "/delegations/{delegation}", None, (*IN_PERSON, 404, 204, 204)),
]
CELLS = [
    pytest.param(*row[1:4], caller, status, id=f"{row[0]}-{row[2]}-{caller}".replace(" ", "-"))
    for row in TABLE
    for caller, status in zip(CALLERS, row[4], strict=True)
]


def test_the_table_has_every_operation():
    assert {row[0] for row in TABLE} == {each.id for resource in RESOURCES for each in resource.operations}


@pytest.fixture(scope="module")
def spare(shared_api):
    """Numbers of what may be ended here without ending a caller."""
    path = f"{ALICE}/tokens"
    return {
        "token": shared_api("alice", "POST", path, {"scopes": ["api"]}).get_json()["id"],
        "secret": shared_api("administrator", "POST", f"{DUO}/secrets", {}).get_json()["id"],
        "delegation": shared_api("alice", "POST", "/delegations", NEW_DELEGATION).get_json()["id"],
    }


@pytest.mark.parametrize(("method", "path", "body", "caller", "status"), CELLS)
def test_a_cell(shared_api, spare, method, path, body, caller, status):
    """A denial has its row; that there is nothing has none."""
    answer = shared_api(caller, method, path.format(**spare), body)
    assert answer.status_code == status, answer.text
    if status >= 400:
        problem(answer, status)
        is_denial = not (caller == "administrator" and status == 404)
        if caller not in {"nobody", "client secret"}:
            assert [row.outcome for row in shared_api.told(answer)] == ["denied"] * is_denial


def test_what_an_agent_is_denied_is_told_under_both_names(shared_api):
    refused = problem(shared_api("composite token", "POST", "/delegations", NEW_DELEGATION), 403)
    assert refused["detail"] == "This is for a human in person."
    row = shared_api.last_event()
    world = shared_api.world
    assert (row.action, row.outcome) == ("api:operation:call", "denied")
    assert (row.actor, row.user) == (f"service_account:{world.duo}", f"user:{world.alice}")
    assert row.service_account == f"service_account:{world.duo}"
    assert row.detail["operation"] == "grant_delegation"
    assert row.request_id == refused["request_id"]


def test_what_is_hidden_and_what_is_not_there_look_the_same(shared_api):
    hidden, absent = (
        problem(shared_api("stranger", "GET", path), 404) for path in ("/users/alice", "/users/none")
    )
    assert hidden | {"request_id": ""} == absent | {"request_id": ""}


def test_a_client_secret_is_answered_with_what_is_accepted_here(shared_api):
    answer = shared_api("client secret", "GET", "/me")
    assert answer.headers.getlist("WWW-Authenticate") == ['Bearer realm="countersign"']


def test_strangers_cannot_make_the_ledger_grow(peopled, tmp_path, clock):
    with inhabited(peopled, tmp_path, clock) as world:
        api = in_api(world)
        answers = [api("client secret", "GET", "/me") for _ in range(5)]
        assert [len(api.told(answer)) for answer in answers] == [1, 0, 0, 0, 0]
        clock.advance(minutes=1)
        [row] = api.told(api("client secret", "GET", "/me"))
        assert row.action == "identity:client:authenticate"
        assert world.events()[1].detail["repeated"] == 4


def test_who_am_i(shared_api):
    world = shared_api.world
    pair = shared_api("composite token", "GET", "/me").get_json()
    assert (pair["user"]["id"], pair["service_account"]["id"]) == (world.alice, world.duo)
    assert (pair["proof"], pair["scopes"], pair["in_person"]) == ("access_token", ["api"], False)
    assert pair["delegation_id"] == world.delegation
    human = shared_api("narrow", "GET", "/me").get_json()
    assert (human["user"]["login"], human["service_account"]) == ("alice", None)
    assert (human["scopes"], human["in_person"], human["administrator"]) == (["code.read"], False, False)
    root = shared_api("administrator", "GET", "/me").get_json()
    assert (root["in_person"], root["administrator"]) == (True, True)


@pytest.mark.parametrize("end", ["disable", "kill", "expire"])
def test_a_caller_who_has_ended_is_nobody(peopled, tmp_path, clock, end):
    with inhabited(peopled, tmp_path, clock) as world:
        api = in_api(world)
        assert api("composite token", "GET", "/me").status_code == 200
        if end == "expire":
            clock.advance(hours=1)
            assert api("alice", "GET", "/me").status_code == 200
        elif end == "disable":
            assert api("administrator", "PUT", "/users/alice/active", {"active": False}).status_code == 200
            problem(api("alice", "GET", "/me"), 401)
        else:
            assert api("alice", "DELETE", f"/delegations/{world.delegation}").status_code == 204
        problem(api("composite token", "GET", "/me"), 401)

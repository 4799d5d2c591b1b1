"""OpenID AuthZEN 1.0: the shapes of its specification, and the one decision behind them."""

import json
from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select

from app.identity import accounts, credentials, cut_offs, delegations, members, projects
from app.identity.permissions import PERMISSIONS, SCOPES, Role
from app.tokens.models import Audience, AudienceIntrospector
from tests.support.components import (
    ISSUER,
    OPERATOR,
    ManualClock,
    basic,
    inhabited,
    installed,
    on_every_database,
    parts,
)
from tests.support.effort import count

EVALUATION, EVALUATIONS = "/access/v1/evaluation", "/access/v1/evaluations"
API = "https://api.acme.example"


class Door:
    """A resource server `shop` whose audience is API, and the tokens of the others."""

    def __init__(self, world):
        self.world = world
        self.shop, secret = world.new_account("shop", is_composite=False)
        self.authorization = basic(f"sa_{self.shop}", secret.reveal())
        with world.components.database.writing() as session:
            audience = Audience(
                uri=API, canonical=API, kind="api", algorithm="RS256", created_at=world.clock()
            )
            session.add(audience)
            session.flush()
            session.execute(
                insert(AudienceIntrospector).values(audience_id=audience.id, service_account_id=self.shop)
            )

    def post(self, body, path=EVALUATION, authorization=None, **headers):
        headers |= {"Authorization": authorization or self.authorization}
        return self.world.http.post(path, json=body, headers=headers)

    def ask(self, subject, action="code.write", resource="acme/webapp", authorization=None):
        answer = self.post(asked(subject, action, resource), authorization=authorization)
        assert answer.status_code == 200, answer.text
        return answer.get_json()

    def personal(self, login, *scopes):
        with self.world.components.database.writing() as session:
            _, token = credentials.create_personal_access_token(
                session,
                accounts.find_user(session, login),
                scopes or ["api"],
                expires_at=None,
                by=OPERATOR,
                now=self.world.clock(),
            )
        return f"Bearer {token.reveal()}"

    def token(self, *scopes, resource=API):
        answer = self.world.ask(scope=" ".join([*scopes, self.world.scope]), resource=resource)
        assert answer.status_code == 200, answer.text
        return answer.get_json()["access_token"]

    @property
    def pair(self):
        return composite(self.world)


def composite(world):
    properties = {"on_behalf_of": f"user:{world.alice}"}
    return {"type": "service_account", "id": str(world.duo), "properties": properties}


def human(number):
    return {"type": "user", "id": str(number)}


def shown(token):
    return {"type": "access_token", "id": token}


def asked(subject, action="code.write", resource="acme/webapp"):
    return {
        "subject": subject,
        "action": {"name": action},
        "resource": {"type": "project", "id": resource},
    }


def refusing(answer):
    assert answer["decision"] is False
    return [each["name"] for each in answer["context"]["reasons"] if not each["allowed"]]


@pytest.fixture
def door(world):
    return Door(world)


@pytest.fixture(scope="module")
def shared_door(shared_world):
    return Door(shared_world)


def test_a_composite_identity_is_allowed_what_both_are(door):
    answer = door.ask(door.pair)
    assert answer["decision"] is True
    names = [each["name"] for each in answer["context"]["reasons"]]
    assert names == ["human", "service_account", "delegation", "scope", "active"]


def test_each_reason_is_told_as_the_policy_words_it(door):
    answer = door.ask(door.pair, "member.manage")
    assert refusing(answer) == ["human", "service_account"]
    reason = answer["context"]["reasons"][0]
    assert reason == {
        "name": "human",
        "allowed": False,
        "reason": "alice is developer in acme/webapp; member.manage needs owner",
    }


def test_a_human_alone_and_an_account_alone(door):
    assert door.ask(human(door.world.alice))["decision"] is True
    assert refusing(door.ask({"type": "service_account", "id": str(door.world.duo)})) == ["human"]
    door.world.change(
        lambda session, **by_now: members.add_member(
            session, members.find_place(session, "acme"), "service_account:shop", "developer", **by_now
        )
    )
    assert door.ask({"type": "service_account", "id": str(door.shop)})["decision"] is True
    acting = {"type": "service_account", "id": str(door.shop), "properties": door.pair["properties"]}
    assert refusing(door.ask(acting)) == ["service_account", "delegation"]


@pytest.mark.parametrize(
    "named",
    [
        "service_account:{duo}",
        "user:0",
        "user:alice",
        "alice",
        "",
        "user:*",
        "user:999",
        None,
        42,
        [],
        "user:{alice} ",
    ],
)
def test_whoever_is_no_human_is_not_acted_for(shared_door, named):
    world = shared_door.world
    if isinstance(named, str):
        named = named.format(alice=world.alice, duo=world.duo)
    for account in (world.duo, shared_door.shop):
        subject = {"type": "service_account", "id": str(account), "properties": {"on_behalf_of": named}}
        assert "human" in refusing(shared_door.ask(subject))


@pytest.mark.parametrize(
    ("subject", "resource"),
    [
        ({"type": "user", "id": "alice@example.com"}, "acme/webapp"),
        ({"type": "user", "id": "9" * 40}, "acme/webapp"),
        ({"type": "robot", "id": "1"}, "acme/webapp"),
        ({"type": "service_account", "id": "{alice}"}, "acme/webapp"),
        ({"type": "user", "id": "{duo}"}, "acme/webapp"),
        ({"type": "user", "id": "{alice}"}, "acme/none"),
        ({"type": "user", "id": "{alice}"}, "acme"),
        ({"type": "user", "id": "{alice}"}, "acme/web\0app"),
    ],
)
def test_what_is_not_known_is_a_denial_and_no_error(shared_door, subject, resource):
    world = shared_door.world
    subject["id"] = subject["id"].format(alice=world.alice, duo=world.duo)
    assert shared_door.ask(subject, resource=resource)["decision"] is False


def test_a_deleted_project_denies(door):
    door.world.change(
        lambda session, **by_now: projects.delete_project(
            session, projects.find_project(session, "acme/webapp"), **by_now
        )
    )
    assert refusing(door.ask(door.pair)) == ["human", "service_account"]


def test_a_group_is_a_resource_too(door):
    body = asked(human(door.world.alice)) | {"resource": {"type": "group", "id": "acme"}}
    assert door.post(body).get_json()["decision"] is False
    door.world.clock.advance(seconds=1)
    door.world.change(
        lambda session, **by_now: members.add_member(
            session, members.find_place(session, "acme"), "user:alice", "developer", **by_now
        )
    )
    assert door.post(body).get_json()["decision"] is True


def test_a_revocation_is_seen_within_the_bound(door):
    assert door.ask(door.pair)["decision"] is True
    door.world.set_active("alice", active=False)
    door.world.clock.advance(seconds=1)
    assert refusing(door.ask(door.pair)) == ["active"]


# Tokens as subjects


def test_a_tokens_scopes_and_delegation_count(door):
    token = door.token("code.read")
    assert door.ask(shown(token), "code.read")["decision"] is True
    assert refusing(door.ask(shown(token), "code.write")) == ["scope"]


def test_a_token_dies_with_the_delegation_that_it_lives_from_though_there_is_another(door):
    token = door.token("api")
    with door.world.components.database.writing() as session:
        named = parts(token)[1]["delegation_id"]
        delegations.revoke(session, int(named), by=OPERATOR, now=door.world.clock())
    door.world.delegate()
    assert door.ask(door.pair)["decision"] is True
    assert refusing(door.ask(shown(token))) == ["delegation"]


@pytest.mark.parametrize("kind", ["user", "service_account", "delegation", "token"])
def test_a_token_that_was_cut_off_is_dead_at_once(door, kind):
    token = door.token("api")
    assert door.ask(shown(token))["decision"] is True
    target = {
        "user": door.world.alice,
        "service_account": door.world.duo,
        "delegation": door.world.delegation,
    }
    with door.world.components.database.writing() as session:
        cut_offs.add(
            session,
            cut_offs.CutOffKind(kind),
            target.get(kind, parts(token)[1]["jti"]),
            at=door.world.clock(),
            reason="test",
            actor="operator:tester",
        )
    assert refusing(door.ask(shown(token))) == ["active"]


def test_an_expired_a_forged_and_another_kind_of_token_are_denied(door):
    token = door.token("api")
    head, payload, signature = token.split(".")
    flipped = ("A" if signature[0] != "A" else "B") + signature[1:]
    for text in (f"{head}.{payload}.{flipped}", "x.y.z", "csrun_" + "a" * 40, "é.é.é", "a" * 100_000):
        assert refusing(door.ask(shown(text))) == ["active"]
    door.world.clock.advance(hours=2)
    assert refusing(door.ask(shown(token))) == ["active"]


def test_a_token_for_another_audience_is_not_this_resource_servers_to_ask_about(door):
    ours = door.world.ask(scope=f"api {door.world.scope}").get_json()["access_token"]
    assert refusing(door.ask(shown(ours))) == ["active"]
    assert door.ask(shown(ours), authorization=f"Bearer {ours}")["decision"] is True
    stranger, secret = door.world.new_account("stranger", is_composite=False)
    foreign = basic(f"sa_{stranger}", secret.reveal())
    assert refusing(door.ask(shown(door.token("api")), authorization=foreign)) == ["active"]


def test_the_answer_is_the_same_whoever_may_ask(door):
    own = "Bearer " + door.world.ask(scope=f"api {door.world.scope}").get_json()["access_token"]
    for action in ("code.write", "member.manage"):
        answers = [
            door.ask(door.pair, action, authorization=each)
            for each in (door.authorization, door.personal("alice"), own)
        ]
        assert answers[0]["decision"] is (action == "code.write")
        assert answers[0] == answers[1] == answers[2]


# Who is calling


def test_nobody_is_answered_without_credentials(door):
    answer = door.world.http.post(EVALUATION, json=asked(door.pair))
    assert answer.status_code == 401
    assert answer.content_type == "application/problem+json"
    schemes = [each.split()[0] for each in answer.headers.getlist("WWW-Authenticate")]
    assert schemes == ["Basic", "Bearer"]
    assert door.world.events("identity:client:authenticate") == []


@pytest.mark.parametrize(
    "authorization",
    [
        basic("sa_999", "cssa_x"),
        basic("alice", "x"),
        "Basic ?",
        "Basic",
        "Bearer",
        "Bearer cspat_unknown",
        "Bearer a.b.c",
        "Digest x=y",
        "Bearer é",
    ],
)
def test_wrong_credentials_are_refused_and_told_to_the_ledger(door, authorization):
    answer = door.post(asked(door.pair), authorization=authorization)
    assert answer.status_code == 401
    told = door.world.events("identity:client:authenticate")
    assert {event.outcome for event in told} <= {"denied"}


def test_an_enforced_account_is_nobody_by_its_secret_alone(door):
    assert door.post(asked(door.pair), authorization=door.world.basic()).status_code == 401


def test_an_access_token_for_another_api_is_no_credential_here(door):
    assert door.post(asked(door.pair), authorization=f"Bearer {door.token('api')}").status_code == 401


@pytest.mark.parametrize("login", ["alice", "duo"])
def test_a_credential_dies_with_its_holder(door, login):
    own = "Bearer " + door.world.ask(scope=f"api {door.world.scope}").get_json()["access_token"]
    callers = [own, door.personal("alice")] if login == "alice" else [own]
    door.world.set_active(login, active=False)
    assert [door.post(asked(door.pair), authorization=each).status_code for each in callers] == [401] * len(
        callers
    )


# The shapes of the specification


ALICE = {"type": "user", "id": "alice@example.com"}
ACCOUNT = {"type": "account", "id": "123"}
DOCUMENTS = [{"resource": {"type": "document", "id": name}} for name in ("1", "2", "3")]
TIME = {"time": "2024-05-31T15:22-07:00"}
PUBLISHED = [
    {
        "subject": ALICE,
        "resource": ACCOUNT,
        "action": {"name": "can_read", "properties": {"method": "GET"}},
        "context": {"time": "1985-10-26T01:22-07:00"},
    },
    {
        "subject": ALICE | {"properties": {"department": "Sales", "ip_address": "172.217.22.14"}},
        "resource": {
            "type": "book",
            "id": "123",
            "properties": {"library_record": {"isbn": "978-0593383322"}},
        },
        "action": {"name": "can_read"},
    },
]


@pytest.mark.parametrize("body", PUBLISHED)
@pytest.mark.parametrize("path", [EVALUATION, EVALUATIONS])
def test_the_published_examples_of_one_evaluation_are_answered(shared_door, body, path):
    answer = shared_door.post(body, path)
    assert answer.status_code == 200
    assert answer.content_type == "application/json"
    assert answer.get_json()["decision"] is False


PUBLISHED_BATCHES = [
    {
        "evaluations": [
            {"subject": ALICE, "action": {"name": "can_read"}, "context": TIME, **each} for each in DOCUMENTS
        ]
    },
    {
        "subject": ALICE,
        "context": TIME,
        "evaluations": [{"action": {"name": "can_read"}, **each} for each in DOCUMENTS],
    },
    {
        "subject": ALICE,
        "context": TIME,
        "action": {"name": "can_read"},
        "evaluations": [*DOCUMENTS[:2], {"action": {"name": "can_edit"}, **DOCUMENTS[2]}],
        "options": {"evaluations_semantic": "execute_all", "another_option": "value"},
    },
]


@pytest.mark.parametrize("body", PUBLISHED_BATCHES)
def test_the_published_examples_of_many_evaluations_are_answered(shared_door, body):
    answer = shared_door.post(body, EVALUATIONS)
    assert answer.status_code == 200
    assert [each["decision"] for each in answer.get_json()["evaluations"]] == [False] * 3


def batch(door, *actions, **rest):
    body = {
        "subject": door.pair,
        "resource": {"type": "project", "id": "acme/webapp"},
        "evaluations": [{"action": {"name": action}} for action in actions],
    }
    answer = door.post(body | rest, EVALUATIONS)
    assert answer.status_code == 200, answer.text
    return [each["decision"] for each in answer.get_json()["evaluations"]]


YES, NO = "code.write", "member.manage"


@pytest.mark.parametrize(
    ("semantic", "actions", "decisions"),
    [
        (None, [YES, NO, YES], [True, False, True]),
        ("execute_all", [NO, YES, NO], [False, True, False]),
        ("deny_on_first_deny", [YES, NO, YES], [True, False]),
        ("deny_on_first_deny", [YES, YES], [True, True]),
        ("permit_on_first_permit", [NO, YES, NO], [False, True]),
        ("permit_on_first_permit", [NO, NO], [False, False]),
    ],
)
def test_a_semantic_says_where_to_stop(shared_door, semantic, actions, decisions):
    options = {"options": {"evaluations_semantic": semantic}} if semantic else {}
    assert batch(shared_door, *actions, **options) == decisions


def test_a_key_of_its_own_replaces_the_default_as_a_whole(shared_door):
    alone = {"type": "service_account", "id": shared_door.pair["id"]}
    body = asked(shared_door.pair) | {
        "evaluations": [
            {},
            {"action": {"name": "member.manage"}},
            {"resource": {"type": "project", "id": "acme/none"}},
            {"subject": alone},
        ]
    }
    answer = shared_door.post(body, EVALUATIONS).get_json()
    assert [each["decision"] for each in answer["evaluations"]] == [True, False, False, False]


def test_one_fault_is_denied_in_its_place_and_the_others_are_answered(shared_door):
    body = {
        "subject": shared_door.pair,
        "action": {"name": "code.write"},
        "evaluations": [{"resource": {"type": "project", "id": "acme/webapp"}}, {}, {"resource": 1}, []],
    }
    answers = shared_door.post(body, EVALUATIONS).get_json()["evaluations"]
    assert [each["decision"] for each in answers] == [True, False, False, False]
    assert answers[1]["context"] == {"error": {"status": 400, "message": "resource must be an object"}}


def test_without_evaluations_it_is_a_single_one(shared_door):
    for body in (asked(shared_door.pair), asked(shared_door.pair) | {"evaluations": []}):
        assert shared_door.post(body, EVALUATIONS).get_json()["decision"] is True


def without(*path):
    body = asked({"type": "user", "id": "1"})
    inner = body
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return body


MALFORMED = [
    *(
        without(*path)
        for path in (["subject"], ["action"], ["resource"], ["subject", "type"], ["subject", "id"])
    ),
    *(without(*path) for path in (["action", "name"], ["resource", "type"], ["resource", "id"])),
    asked("alice"),
    asked({"type": "user", "id": 1}),
    asked({"type": "user", "id": ""}),
    asked({"type": "user", "id": "1", "properties": []}),
    asked({"type": "user", "id": "1"}, 123),
    asked({"type": "user", "id": "1"}, resource=None),
    asked({"type": "user", "id": "1"}) | {"context": "now"},
    [],
    "text",
    None,
    1,
]


@pytest.mark.parametrize("body", MALFORMED)
@pytest.mark.parametrize("path", [EVALUATION, EVALUATIONS])
def test_a_malformed_request_is_a_400_that_names_the_key(shared_door, body, path):
    answer = shared_door.post(body, path)
    assert answer.status_code == 400
    problem = answer.get_json()
    assert answer.content_type == "application/problem+json"
    assert problem["status"] == 400
    assert problem["detail"]


@pytest.mark.parametrize(
    "body",
    [
        {"evaluations": {}},
        {"evaluations": [{}] * 257},
        {"evaluations": [{}], "options": []},
        {"evaluations": [{}], "options": {"evaluations_semantic": "some"}},
        {"evaluations": [{}], "options": {"evaluations_semantic": []}},
    ],
)
def test_a_malformed_batch_is_a_400(shared_door, body):
    assert shared_door.post(body, EVALUATIONS).status_code == 400


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 100_000, b'{"subject": NaN}'])
@pytest.mark.parametrize("path", [EVALUATION, EVALUATIONS])
def test_what_is_no_json_is_a_400(shared_door, data, path):
    headers = {"Authorization": shared_door.authorization, "Content-Type": "application/json"}
    assert shared_door.world.http.post(path, data=data, headers=headers).status_code == 400


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_another_content_type_is_a_400(shared_door, content_type):
    headers = {"Authorization": shared_door.authorization, "Content-Type": content_type}
    data = json.dumps(asked(shared_door.pair))
    assert shared_door.world.http.post(EVALUATION, data=data, headers=headers).status_code == 400


def test_keys_of_the_future_are_ignored(shared_door):
    body = asked(shared_door.pair | {"colour": 1}) | {
        "foo": "bar",
        "futureField": {"nested": True},
        "context": {},
    }
    assert shared_door.post(body).get_json()["decision"] is True


def test_the_request_identifier_comes_back(shared_door):
    given = "bfe9eb29-ab87-4ca3-be83-a1d5d8305716"
    for body, status in ((asked(shared_door.pair), 200), ({}, 400)):
        answer = shared_door.post(body, **{"X-Request-ID": given})
        assert (answer.status_code, answer.headers["X-Request-ID"]) == (status, given)
    unauthorized = shared_door.world.http.post(EVALUATION, headers={"X-Request-ID": given})
    assert unauthorized.headers["X-Request-ID"] == given
    for given in (None, "x" * 200):
        headers = {"X-Request-ID": given} if given else {}
        made = shared_door.post(asked(shared_door.pair), **headers).headers.getlist("X-Request-ID")
        assert len(made) == 1
        assert 8 <= len(made[0]) <= 64


def test_the_metadata_name_what_is_there(shared_door):
    answer = shared_door.world.http.get("/.well-known/authzen-configuration")
    assert answer.status_code == 200
    assert answer.get_json() == {
        "policy_decision_point": ISSUER,
        "access_evaluation_endpoint": ISSUER + EVALUATION,
        "access_evaluations_endpoint": ISSUER + EVALUATIONS,
    }


def test_the_metadata_of_an_issuer_with_a_path_stand_between_host_and_path(prepared, tmp_path, clock):
    issuer = "http://localhost:8000/identity"
    with installed(prepared, tmp_path, clock, ISSUER=issuer) as app:
        http = app.test_client()
        for path in (
            "/.well-known/authzen-configuration/identity",
            "/identity/.well-known/authzen-configuration",
        ):
            assert http.get(path).get_json()["policy_decision_point"] == issuer
        assert http.post(f"/identity{EVALUATION}").status_code == 401


@pytest.mark.parametrize("path", [EVALUATION, EVALUATIONS])
def test_a_question_is_posted(shared_door, path):
    answer = shared_door.world.http.get(path)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "OPTIONS, POST")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
keys = [
    "subject",
    "action",
    "resource",
    "context",
    "evaluations",
    "options",
    "type",
    "id",
    "name",
    "properties",
]
texts = st.sampled_from(
    ["user", "service_account", "access_token", "project", "group", "1", "2", "acme/webapp"]
)
entities = st.dictionaries(st.sampled_from(keys), values | texts, max_size=5)
requests = st.dictionaries(
    st.sampled_from(keys), values | entities | st.lists(entities, max_size=3), max_size=6
)


@settings(max_examples=count(ci=60, proof=5000))
@given(body=requests | values)
def test_no_request_is_a_fault_of_ours(shared_door, body):
    for path in (EVALUATION, EVALUATIONS):
        answer = shared_door.post(body, path)
        assert answer.status_code in {200, 400}
        if answer.status_code == 200 and "decision" in answer.get_json():
            assert isinstance(answer.get_json()["decision"], bool)


@settings(max_examples=count(ci=100, proof=2000))
@given(data=st.binary(max_size=200))
def test_no_bytes_are_a_fault_of_ours(shared_door, data):
    headers = {"Authorization": shared_door.authorization, "Content-Type": "application/json"}
    assert shared_door.world.http.post(EVALUATION, data=data, headers=headers).status_code in {200, 400}


# The law, through the doors


PLACES = ("acme", "acme/webapp")
roles = st.fixed_dictionaries(dict.fromkeys(PLACES, st.sampled_from([None, *Role, Role.OWNER])))
scope_lists = st.lists(st.sampled_from(sorted(SCOPES)), min_size=1, max_size=3, unique=True)


def assign(world, principal, given):
    with world.components.database.writing() as session:
        by_now = {"by": OPERATOR, "now": world.clock()}
        _, number = members.find_principal(session, principal)
        for path, role in given.items():
            place = members.find_place(session, path)
            own = [each for each in members.members_of(session, place) if each.source == path]
            if role is not None:
                members.add_member(session, place, principal, role.label, **by_now)
            elif number in {each.principal_id for each in own}:
                members.remove_member(session, place, principal, **by_now)


def delegate_anew(world, scopes):
    with world.components.database.writing() as session:
        for each in delegations.listed(session):
            if each.revoked_at is None:
                delegations.revoke(session, each.id, by=OPERATOR, now=world.clock())
    world.delegate(scopes=scopes, life=timedelta(hours=1))


def strongest(given):
    return max((role for role in given.values() if role is not None), default=None)


def is_enough(role, permission):
    return role is not None and role >= PERMISSIONS[permission]


def covers(scopes, permission):
    return scopes is None or bool({"api", permission} & set(scopes))


@pytest.fixture(scope="module")
def changing_door(peopled, tmp_path_factory):
    with inhabited(peopled, tmp_path_factory.mktemp("changing"), ManualClock()) as world:
        yield Door(world)


def test_through_every_door_the_pair_may_what_both_may_and_no_more(changing_door):
    door, world, answers = changing_door, changing_door.world, Counter()

    @settings(max_examples=count(ci=40, proof=1000))
    @given(
        alice=roles,
        duo=roles,
        delegated=st.none() | scope_lists,
        requested=scope_lists | st.just(["api"]),
        permission=st.sampled_from(sorted(PERMISSIONS)),
    )
    def law(alice, duo, delegated, requested, permission):
        assign(world, "user:alice", alice)
        assign(world, "service_account:duo", duo)
        delegate_anew(world, delegated)
        world.clock.advance(seconds=2)

        both = all(is_enough(strongest(held), permission) for held in (alice, duo))
        expected = both and covers(delegated, permission)
        answers["pair", expected] += 1
        assert door.ask(door.pair, permission)["decision"] is expected
        alone = door.ask(human(world.alice), permission)["decision"]
        assert alone is is_enough(strongest(alice), permission)

        issued = world.ask(scope=" ".join([*requested, world.scope]), resource=API)
        assert (issued.status_code == 200) is all(covers(delegated, each) for each in requested)
        if issued.status_code == 200:
            expected = expected and covers(requested, permission)
            answers["token", expected] += 1
            token = issued.get_json()["access_token"]
            assert door.ask(shown(token), permission)["decision"] is expected

    law()
    assert all(answers[door, allowed] for door in ("pair", "token") for allowed in (True, False)), answers


@on_every_database
def test_it_is_so_on_every_database(world):
    door = Door(world)
    assert door.ask(door.pair)["decision"] is True
    assert door.ask(shown(door.token("code.write")))["decision"] is True
    assert door.ask(human(world.alice), resource="acme/web\0")["decision"] is False
    with world.components.database.reading() as session:
        assert session.scalar(select(AudienceIntrospector.service_account_id)) == door.shop

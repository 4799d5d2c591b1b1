"""The kill switch: what it ends, what it leaves, and that nothing slips past it."""

import threading
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text

from app.errors import InvalidInput, NotFound
from app.flows.kill import Killed, kill
from app.identity import accounts, credentials, cut_offs
from app.identity.cut_offs import CutOffKind
from app.identity.models import CutOff, Delegation, PersonalAccessToken, User
from app.tokens.aftermath import cut_off
from app.tokens.assembly import IdTokenGrant, Parties, Signed
from app.tokens.commit import commit
from app.tokens.grants import Account, GrantRefused, decide
from app.tokens.mint import RunTokens
from tests.support.components import ISSUER, NOW, OPERATOR, World, basic, on_every_database, parts
from tests.support.effort import count
from tests.support.resource_server import REVOKE, ResourceServer, resource_server

VERIFIER = "https://vault.acme.example"


@pytest.fixture
def api(world):
    return resource_server(world)


def pull(world, kind: CutOffKind, named: str) -> Killed:
    return world.change(kill, kind, named, reason="laptop stolen")


def decided(api, connection, now):
    world = api.world
    account = Account(world.duo, "duo", is_composite=True)
    return decide(connection, account, f"api {world.scope}", [api.uri], issuer=ISSUER, now=now)


def mint(api) -> Signed:
    return api.world.components.mint.access_token(
        lambda connection, now: decided(api, connection, now), OPERATOR
    )


def mint_for_run(api, run: int) -> RunTokens:
    """What a run with this number is given."""
    world = api.world
    with world.components.database.reading_connection() as connection:
        access = replace(decided(api, connection, world.clock()), run_id=run)
    parties = Parties(
        service_account=world.duo,
        user=world.alice,
        delegation=world.delegation,
        run=run,
        project="acme/webapp",
    )
    id_token = IdTokenGrant(
        name="VAULT_ID_TOKEN",
        subject="project_path:acme/webapp:flow:fix-ci",
        audience=(VERIFIER,),
        life=timedelta(hours=1),
        claims={"user_id": str(world.alice)},
        parties=parties,
    )
    return world.components.mint.for_run(access, [id_token], OPERATOR)


def name_of(world, kind: CutOffKind, token: str) -> str:
    return {
        CutOffKind.USER: "alice",
        CutOffKind.SERVICE_ACCOUNT: "duo",
        CutOffKind.DELEGATION: str(world.delegation),
        CutOffKind.TOKEN: parts(token)[1]["jti"],
    }[kind]


WITHOUT_RUNS = [kind for kind in CutOffKind if kind is not CutOffKind.RUN]


@on_every_database
@pytest.mark.parametrize("kind", WITHOUT_RUNS)
def test_what_was_issued_is_dead_at_once_and_stays_so(world, api, kind):
    token = api.token()
    pull(world, kind, name_of(world, kind, token))
    assert not api.is_active(token)
    for name in ("alice", "duo"):
        world.set_active(name, active=True)
    assert not api.is_active(token)


@pytest.mark.parametrize("kind", [CutOffKind.USER, CutOffKind.SERVICE_ACCOUNT])
def test_enabling_undoes_the_disabling_and_not_the_cut_off(world, api, kind):
    old = api.token()
    pull(world, kind, name_of(world, kind, old))
    assert world.ask(scope=world.scope).status_code in {400, 401}
    world.clock.advance(microseconds=1)
    world.set_active("alice", active=True)
    world.set_active("duo", active=True)
    assert api.is_active(api.token())
    assert not api.is_active(old)


def test_a_killed_delegation_is_revoked_and_another_one_works(world, api):
    old = api.token()
    pull(world, CutOffKind.DELEGATION, str(world.delegation))
    assert world.ask(scope=world.scope).status_code == 400
    world.delegate()
    assert api.is_active(api.token())
    assert not api.is_active(old)


def test_a_killed_token_is_one_token(world, api):
    one, two = api.token(), api.token()
    pull(world, CutOffKind.TOKEN, parts(one)[1]["jti"])
    assert [api.is_active(each) for each in (one, two)] == [False, True]


def test_two_cut_offs_at_once_do_not_undo_each_other(world, api):
    one, two = api.token(), api.token()
    pull(world, CutOffKind.TOKEN, parts(one)[1]["jti"])
    pull(world, CutOffKind.USER, "alice")
    world.set_active("alice", active=True)
    assert not any(api.is_active(each) for each in (one, two))
    pull(world, CutOffKind.TOKEN, parts(two)[1]["jti"])
    assert not any(api.is_active(each) for each in (one, two))


@on_every_database
def test_a_personal_access_token_of_a_killed_human_is_refused_even_after_enable(world):
    with world.components.database.writing() as session:
        alice = accounts.find_user(session, "alice")
        row, token = credentials.create_personal_access_token(
            session, alice, ["api"], expires_at=None, by=OPERATOR, now=world.clock()
        )
    assert pull(world, CutOffKind.USER, "alice").personal_access_tokens == (row.id,)
    world.set_active("alice", active=True)
    with world.components.database.reading_connection() as connection:
        revoked = select(PersonalAccessToken.revoked_at).where(PersonalAccessToken.id == row.id)
        assert connection.execute(revoked).scalar_one() is not None
        found = credentials.authenticate_personal_access_token(connection, token, world.clock())
        assert found is None


@pytest.mark.parametrize(
    ("kind", "named", "error"),
    [
        (CutOffKind.USER, "nobody", NotFound),
        (CutOffKind.USER, "duo", NotFound),
        (CutOffKind.SERVICE_ACCOUNT, "alice", NotFound),
        (CutOffKind.DELEGATION, "999", NotFound),
        (CutOffKind.DELEGATION, "one", InvalidInput),
        (CutOffKind.DELEGATION, "1" * 19, InvalidInput),
        (CutOffKind.RUN, "999", NotFound),
        (CutOffKind.RUN, "-1", InvalidInput),
        (CutOffKind.TOKEN, "unknown", NotFound),
        (CutOffKind.TOKEN, "a\0b", NotFound),
    ],
)
def test_what_is_not_there_cannot_be_killed(world, kind, named, error):
    before = len(world.events())
    with pytest.raises(error):
        pull(world, kind, named)
    assert len(world.events()) == before


@on_every_database
def test_a_personal_access_token_that_a_kill_did_not_see_is_dead_too(world):
    """As when it is made while the kill commits, which on PostgreSQL then does not find its row."""
    before = world.clock()
    pull(world, CutOffKind.USER, "alice")
    world.set_active("alice", active=True)
    world.clock.advance(seconds=1)
    found = []
    for made_at in (before, world.clock()):
        with world.components.database.writing() as session:
            alice = accounts.find_user(session, "alice")
            _, token = credentials.create_personal_access_token(
                session, alice, ["api"], expires_at=None, by=OPERATOR, now=made_at
            )
        with world.components.database.reading_connection() as connection:
            found.append(
                credentials.authenticate_personal_access_token(connection, token, world.clock()) is not None
            )
    assert found == [False, True]


@pytest.mark.parametrize("reason", ["", "  ", "x" * 501, "a\0b", "two\nlines", "\x1b[2J", "\u202e"])
def test_a_kill_has_a_reason(world, reason):
    with pytest.raises(InvalidInput, match="reason"):
        world.change(kill, CutOffKind.USER, "alice", reason=reason)


class TestTheAnswer:
    """How much died, and what cannot be undone."""

    def test_tokens_are_counted_by_kind_and_offline_acceptance_is_told(self, world, api):
        mint_for_run(api, 7)
        mint(api)
        after = pull(world, CutOffKind.USER, "alice").aftermath
        assert (after.access_tokens, after.id_tokens) == (2, 1)
        assert after.audiences == tuple(sorted([api.uri, VERIFIER]))
        assert after.accepted_offline_until == NOW + timedelta(hours=1)

    def test_a_token_that_is_dead_already_is_not_counted_and_still_accepted_offline(self, world, api):
        made = mint(api)
        pull(world, CutOffKind.TOKEN, made.claims["jti"])
        after = pull(world, CutOffKind.USER, "alice").aftermath
        assert after.access_tokens == 0
        assert after.audiences == (api.uri,)
        assert after.accepted_offline_until == NOW + timedelta(minutes=10)

    def test_nothing_is_accepted_once_it_has_expired(self, world, api):
        mint_for_run(api, 7)
        world.clock.advance(hours=1)
        after = pull(world, CutOffKind.USER, "alice").aftermath
        assert (after.access_tokens, after.id_tokens, after.audiences) == (0, 0, ())
        assert after.accepted_offline_until is None

    def test_others_are_not_concerned(self, world, api):
        mint(api)
        world.new_user("bob")
        after = pull(world, CutOffKind.USER, "bob").aftermath
        assert (after.access_tokens, after.audiences) == (0, ())

    @pytest.mark.parametrize("kind", WITHOUT_RUNS)
    def test_the_ledger_tells_it_in_one_row(self, world, api, kind):
        token = api.token()
        killed = pull(world, kind, name_of(world, kind, token))
        [event] = world.events("identity:cut_off:create")
        assert event.actor == OPERATOR.name
        assert event.detail["reason"] == "laptop stolen"
        assert (event.detail["kind"], event.detail["target"]) == (kind.value, killed.target)
        assert event.detail["audiences"] == [api.uri]
        parties = {"user": f"user:{world.alice}", "service_account": f"service_account:{world.duo}"}
        single = {CutOffKind.USER: "user", CutOffKind.SERVICE_ACCOUNT: "service_account"}
        for name, party in parties.items():
            expected = party if single.get(kind, name) == name else None
            assert getattr(event, name) == expected

    def test_disabling_and_revoking_have_rows_of_their_own(self, world):
        pull(world, CutOffKind.USER, "alice")
        pull(world, CutOffKind.SERVICE_ACCOUNT, "duo")
        pull(world, CutOffKind.DELEGATION, str(world.delegation))
        for action in (
            "identity:user:disable",
            "identity:service_account:disable",
            "identity:delegation:revoke",
        ):
            assert len(world.events(action)) == 1


class TestARunsTokens:
    """They die with it; `flows` writes the cut-off, introspection reads it."""

    @pytest.mark.parametrize("run", [7, 8])
    @on_every_database
    def test_they_are_dead_when_it_has_ended_and_anothers_are_not(self, world, api, run):
        access = mint_for_run(api, 7).access.token.reveal()
        with world.components.database.writing() as session:
            cut_off(session, CutOffKind.RUN, run, reason="the run succeeded", actor="worker", now=NOW)
        assert api.is_active(access) is (run != 7)

    @on_every_database
    def test_none_are_minted_for_it_afterwards(self, world, api):
        with world.components.database.writing() as session:
            cut_off(session, CutOffKind.RUN, 7, reason="killed", actor="worker", now=NOW)
        world.clock.advance(seconds=1)
        with pytest.raises(Exception, match="no longer valid: cut_off"):
            mint_for_run(api, 7)
        assert world.tokens() == []


class TestClocks:
    """Nodes' clocks differ; a slow one kills no less, and an ahead one issues nothing past a kill."""

    def test_the_killers_clock_is_behind(self, world, api):
        token = api.token()
        world.clock.advance(seconds=-50)
        assert pull(world, CutOffKind.USER, "alice").aftermath.at == NOW
        world.set_active("alice", active=True)
        world.clock.advance(seconds=50)
        assert not api.is_active(token)

    def test_a_kill_counts_to_the_microsecond(self, world, api):
        old = api.token()
        pull(world, CutOffKind.USER, "alice")
        world.set_active("alice", active=True)
        assert world.ask(scope=world.scope).status_code == 400
        world.clock.advance(microseconds=1)
        assert [api.is_active(each) for each in (old, api.token())] == [False, True]

    def test_a_node_that_is_behind_issues_nothing_before_the_cut_off(self, world):
        pull(world, CutOffKind.USER, "alice")
        world.set_active("alice", active=True)
        world.clock.advance(seconds=-5)
        answer = world.ask(scope=world.scope)
        assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_scope")
        assert world.in_ledger(answer).detail["cause"] == "no longer valid: cut_off"


@on_every_database
@pytest.mark.parametrize("kind", [CutOffKind.USER, CutOffKind.SERVICE_ACCOUNT, CutOffKind.DELEGATION])
def test_a_decision_that_a_kill_overtakes_is_not_committed(world, api, kind):
    """Even when whoever was disabled has been enabled again before the commit."""

    def overtaken(connection, now):
        grant = decided(api, connection, now)
        connection.rollback()
        pull(world, kind, named[kind])
        world.set_active("alice", active=True)
        world.set_active("duo", active=True)
        return grant

    named = {
        CutOffKind.USER: "alice",
        CutOffKind.SERVICE_ACCOUNT: "duo",
        CutOffKind.DELEGATION: str(world.delegation),
    }
    with pytest.raises(GrantRefused):
        world.components.mint.access_token(overtaken, OPERATOR)
    assert world.tokens() == []
    [event] = world.events("tokens:access_token:issue")
    assert event.outcome == "denied"
    assert "cut_off" in event.detail["cause"]
    assert (event.user, event.service_account) == (f"user:{world.alice}", f"service_account:{world.duo}")


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
@pytest.mark.usefixtures("unhurried")
def test_a_kill_waits_for_a_mint_that_is_about_to_commit(world, api):
    """Its clock is ahead and its rows are not visible yet: the cut-off still comes to lie behind it.

    SQLite has one writer at a time, which waits anyway.
    """
    ahead = NOW + timedelta(seconds=30)
    mint_ = world.components.mint
    with world.components.database.reading_connection() as connection:
        grant = decided(api, connection, NOW)
        assembler = mint_._assembler(connection, OPERATOR, ahead)
        signed = assembler.access_token(grant, timedelta(minutes=10))
    killed: list[Killed] = []
    with world.components.database.writing_connection() as connection:
        commit(connection, signed.commit)
        killer = threading.Thread(target=lambda: killed.append(pull(world, CutOffKind.USER, "alice")))
        killer.start()
        killer.join(0.3)
        assert killer.is_alive()
    killer.join(60)
    assert killed[0].aftermath.at == ahead
    world.set_active("alice", active=True)
    world.clock.now = ahead
    assert not api.is_active(signed.token.reveal())


@on_every_database
@pytest.mark.usefixtures("unhurried")
def test_a_kill_while_four_threads_issue(world, api):
    """Whatever came out, before the kill or after it, is dead; and something came out before."""
    issued: list[str] = []
    came, refusals, stop = threading.Semaphore(0), threading.Semaphore(0), threading.Event()
    world.components.keyring.current()

    def issue():
        while not stop.is_set():
            try:
                issued.append(mint(api).token.reveal())
            except GrantRefused:
                refusals.release()
                stop.wait(0.001)
            else:
                came.release()

    threads = [threading.Thread(target=issue) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(12):
        assert came.acquire(timeout=60)
    pull(world, CutOffKind.USER, "alice")
    for _ in range(12):
        assert refusals.acquire(timeout=60)
    stop.set()
    for thread in threads:
        thread.join(60)
    refused = [event for event in world.events("tokens:access_token:issue") if event.outcome == "denied"]
    assert issued
    assert refused
    assert [token for token in issued if api.is_active(token)] == []
    world.set_active("alice", active=True)
    assert [token for token in issued if api.is_active(token)] == []


@dataclass
class Model:
    """What introspection must say, in the plainest words: when things ended, and who is off."""

    ended: dict[str, datetime] = field(default_factory=dict)
    disabled: set[str] = field(default_factory=set)
    revoked: bool = False

    def end(self, target: str, at: datetime) -> None:
        self.ended[target] = max(at, self.ended.get(target, at))

    def is_active(self, jti: str, issued_at: datetime) -> bool:
        lineage = {"user", "service_account", "delegation", jti} & self.ended.keys()
        killed = any(self.ended[each] >= issued_at for each in lineage)
        return not (killed or self.disabled or self.revoked)


@dataclass
class Story:
    """A pair of its own, what it was issued, and the model that is told the same."""

    api: ResourceServer
    model: Model = field(default_factory=Model)
    issued: dict[str, tuple[str, datetime]] = field(default_factory=dict)

    @property
    def now(self) -> datetime:
        return self.api.world.clock()

    def tick(self, microseconds: int) -> None:
        self.api.world.clock.advance(microseconds=microseconds)

    def issue(self, _: str) -> None:
        allowed = self.model.is_active("new", self.now)
        try:
            signed = mint(self.api)
        except GrantRefused:
            assert not allowed
        else:
            assert allowed
            self.issued[signed.claims["jti"]] = (signed.token.reveal(), self.now)

    def kill(self, what: str) -> None:
        world = self.api.world
        named = {
            "user": f"user:{world.alice}",
            "service_account": f"service_account:{world.duo}",
            "delegation": str(world.delegation),
        }
        pull(world, CutOffKind(what), named[what])
        self.model.end(what, max([self.now, *(at for _, at in self.issued.values())]))
        self.model.revoked |= what == "delegation"
        if what != "delegation":
            self.model.disabled.add(what)

    def kill_token(self, _: str) -> None:
        for jti, (_, at) in list(self.issued.items())[:1]:
            pull(self.api.world, CutOffKind.TOKEN, jti)
            self.model.end(jti, max(self.now, at))

    def revoke_token(self, _: str) -> None:
        world = self.api.world
        for jti, (token, at) in list(self.issued.items())[-1:]:
            headers = {"Authorization": basic(world.client_id, world.secret.reveal())}
            answer = world.http.post(REVOKE, data={"token": token}, headers=headers)
            assert (answer.status_code == 200) is ("service_account" not in self.model.disabled)
            if answer.status_code == 200:
                self.model.end(jti, max(self.now, at))

    def enable(self, who: str) -> None:
        self._set_active(who, active=True)
        self.model.disabled.discard(who)

    def disable(self, who: str) -> None:
        self._set_active(who, active=False)
        self.model.disabled.add(who)

    def _set_active(self, who: str, *, active: bool) -> None:
        world = self.api.world
        with world.components.database.writing() as session:
            told = {"active": active, "by": OPERATOR, "now": self.now}
            if who == "user":
                user = accounts.find_user(session, f"user:{world.alice}")
                accounts.set_user_active(session, user, **told)
            else:
                account = accounts.find_service_account(session, world.client_id)
                accounts.set_service_account_active(session, account, **told)


PARTIES = st.sampled_from(["user", "service_account"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("issue"), st.just("")),
        st.tuples(st.just("kill"), st.sampled_from(["user", "service_account", "delegation"])),
        st.tuples(st.sampled_from(["kill_token", "revoke_token"]), st.just("")),
        st.tuples(st.sampled_from(["enable", "disable"]), PARTIES),
        st.tuples(st.just("tick"), st.sampled_from([-3_000_000, -1, 0, 1, 2_000_000])),
    ),
    min_size=3,
    max_size=14,
)


@pytest.fixture(scope="module")
def shared_api(shared_world) -> ResourceServer:
    return resource_server(shared_world)


def newcomers(world: World) -> World:
    """The same installation, seen by a pair that nobody has met yet."""
    name = f"pair-{len(world.events('identity:delegation:grant'))}"
    user, (account, secret) = world.new_user(name), world.new_account(name)
    return replace(world, alice=user, duo=account, secret=secret, delegation=world.delegate(name, name))


@settings(max_examples=count(ci=40, proof=1000))
@given(steps=STEPS)
def test_introspection_equals_the_model(shared_world, shared_api, steps):
    """Any sequence of issuing, killing, enabling and revoking, under a clock that goes back and forth."""
    story = Story(replace(shared_api, world=newcomers(shared_world)))
    for step, what in [("issue", ""), *steps]:
        getattr(story, step)(what)
    seen = {jti: story.api.is_active(token) for jti, (token, _) in story.issued.items()}
    assert seen == {jti: story.model.is_active(jti, at) for jti, (_, at) in story.issued.items()}


def test_a_cut_off_is_found_by_its_index(world):
    """Not by reading all of them: a kill switch that slows everything down is not pulled."""
    hit = cut_offs.hits({CutOffKind.USER: User.id, CutOffKind.DELEGATION: Delegation.id}, CutOff.at)
    query = select(hit).select_from(User).join(Delegation, Delegation.user_id == User.id)
    with world.components.database.reading_connection() as connection:
        sql = str(query.compile(connection, compile_kwargs={"literal_binds": True}))
        plan = [row.detail for row in connection.execute(text(f"EXPLAIN QUERY PLAN {sql}"))]
    assert [line for line in plan if "SCAN cut_offs" in line] == []
    assert any("ix_cut_offs_kind_target_at" in line for line in plan)

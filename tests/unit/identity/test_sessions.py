"""Who is signed in, since when, for how long, and what ends it."""

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import event

from app.errors import Denied, NotFound
from app.flows.kill import kill
from app.identity import accounts, cut_offs, session_ends, sessions, sign_in_upkeep
from app.identity.csrf import csrf_token, is_csrf_token
from app.identity.cut_offs import CutOffKind
from app.identity.session_models import BrowserSession
from app.identity.sessions import Browser, Limits, Method
from app.secret import Secret
from tests.support.components import OPERATOR, on_every_database

LIMITS = Limits(idle=timedelta(hours=1), life=timedelta(hours=12))
BROWSER = Browser(agent="Mozilla/5.0", address="192.0.2.77", request_id="r1")
INSTANT = timedelta(microseconds=1)


class Console:
    """The world's alice before a browser."""

    def __init__(self, world):
        self.world = world

    @property
    def by_now(self):
        return {"by": OPERATOR, "now": self.world.clock()}

    def begin(self, login="alice", browser=BROWSER, method=Method.LINK):
        with self.world.components.database.writing() as session:
            user = accounts.find_user(session, login)
            return sessions.begin(session, user, method=method, browser=browser, now=self.world.clock())

    def renew(self, session_id, login="alice", browser=BROWSER):
        with self.world.components.database.writing() as session:
            user, now = accounts.find_user(session, login), self.world.clock()
            told = {"method": Method.PASSWORD, "browser": browser, "now": now, "limits": LIMITS}
            return sessions.renew(session, user, session_id, **told)

    def sign_in(self, login, present):
        with self.world.components.database.writing() as session:
            user, now = accounts.find_user(session, login), self.world.clock()
            told = {"method": Method.LINK, "browser": BROWSER, "now": now, "limits": LIMITS}
            return sessions.sign_in(session, user, present=present, **told)

    def holder(self, secret):
        with self.world.components.database.reading_connection() as connection:
            return sessions.authenticate(connection, secret, self.world.clock(), LIMITS)

    def is_alive(self, secret):
        return self.holder(secret) is not None

    def touch(self, session_id):
        with self.world.components.database.writing_connection() as connection:
            sessions.touch(connection, session_id, self.world.clock())

    def kill(self):
        with self.world.components.database.writing() as session:
            kill(session, CutOffKind.USER, "alice", reason="laptop stolen", **self.by_now)

    def listed(self, user_id):
        with self.world.components.database.reading() as session:
            return [row.id for row in sessions.of_user(session, user_id, self.world.clock(), LIMITS)]

    def do(self, ending, *arguments, **keywords):
        with self.world.components.database.writing() as session:
            return ending(session, *arguments, **keywords, **self.by_now)


@pytest.fixture
def console(world):
    return Console(world)


class TestASession:
    def test_names_its_human_and_when_they_must_sign_in_anew(self, console, world):
        begun = console.begin()
        holder = console.holder(begun.secret)
        now = world.clock()
        assert (holder.session_id, holder.user_id, holder.login) == (begun.id, world.alice, "alice")
        assert (holder.is_admin, holder.is_auditor) == (False, False)
        assert (holder.created_at, holder.authenticated_at) == (now, now)
        assert holder.expires_at == now + LIMITS.life

    def test_has_a_secret_of_256_bits_of_which_a_hash_is_stored(self, console, world):
        begun = console.begin()
        assert re.fullmatch(r"[A-Za-z0-9_-]{43}", begun.secret.reveal())
        assert begun.secret.reveal() not in repr(begun)
        with world.components.database.reading() as session:
            row = session.get_one(BrowserSession, begun.id)
            assert re.fullmatch(r"[0-9a-f]{64}", row.sha256)
            assert begun.secret.reveal() not in repr(vars(row))

    def test_is_nobodys_under_another_secret(self, console):
        begun = console.begin()
        value = begun.secret.reveal()
        for other in ("", value[:-1], value + "A", value.swapcase(), "ä" * 43):
            assert not console.is_alive(Secret(other))

    @pytest.mark.parametrize(
        ("address", "network"),
        [
            ("192.0.2.77", "192.0.2.0/24"),
            ("::ffff:192.0.2.77", "192.0.2.0/24"),
            ("2001:db8:1:2::3", "2001:db8:1::/48"),
            ("", "other"),
            ("unix:", "other"),
        ],
    )
    def test_keeps_the_network_of_an_address_and_no_more(self, console, world, address, network):
        begun = console.begin(browser=replace(BROWSER, address=address, agent="A\x00\né" + "b" * 500))
        with world.components.database.reading() as session:
            row = session.get_one(BrowserSession, begun.id)
            assert (row.network, row.agent) == (network, "A" + "b" * 199)

    def test_knows_its_humans_role_as_it_is_now(self, console, world):
        begun = console.begin()
        with world.components.database.writing() as session:
            user = accounts.find_user(session, "alice")
            accounts.change_user(
                session, user, email=user.email, is_admin=True, is_auditor=True, **console.by_now
            )
        holder = console.holder(begun.secret)
        assert (holder.is_admin, holder.is_auditor) == (True, True)

    def test_is_found_by_one_statement(self, console, world):
        begun, asked = console.begin(), []
        engine = world.components.database.engine
        with world.components.database.reading_connection() as connection:
            connection.exec_driver_sql("SELECT 1")
            event.listen(engine, "before_cursor_execute", lambda *told: asked.append(told[2]))
            assert sessions.authenticate(connection, begun.secret, world.clock(), LIMITS)
        assert len(asked) == 1


class TestItsLimits:
    @pytest.mark.parametrize(
        ("wait", "alive"), [(LIMITS.idle - INSTANT, True), (LIMITS.idle, False), (LIMITS.idle * 2, False)]
    )
    def test_it_ends_when_it_is_not_used(self, console, world, wait, alive):
        begun = console.begin()
        world.clock.now += wait
        assert console.is_alive(begun.secret) is alive

    def test_it_ends_some_time_after_the_sign_in_however_busy(self, console, world):
        begun = console.begin()
        for _ in range(23):
            world.clock.advance(minutes=30)
            assert console.is_alive(begun.secret)
            console.touch(begun.id)
        world.clock.advance(minutes=30)
        assert not console.is_alive(begun.secret)

    def test_a_use_is_noted_once_a_minute(self, console, world):
        begun = console.begin()
        began = world.clock()
        for seconds, due, seen in [(0, False, 0), (59, False, 0), (60, True, 60), (90, False, 60)]:
            world.clock.now = began + timedelta(seconds=seconds)
            assert console.holder(begun.secret).use_is_due is due
            console.touch(begun.id)
            with world.components.database.reading() as session:
                row = session.get_one(BrowserSession, begun.id)
                assert row.last_seen_at == began + timedelta(seconds=seen)

    def test_what_has_ended_is_not_used_again(self, console, world):
        begun = console.begin()
        console.do(session_ends.sign_out, world.alice, begun.id)
        before = world.clock()
        world.clock.advance(minutes=2)
        console.touch(begun.id)
        with world.components.database.reading() as session:
            assert session.get_one(BrowserSession, begun.id).last_seen_at == before


class TestSigningInAgain:
    def test_is_the_same_session_under_a_new_secret_and_the_old_one_is_dead(self, console, world):
        first = console.begin()
        began = world.clock()
        world.clock.advance(minutes=50)
        second = console.renew(first.id, browser=replace(BROWSER, address="198.51.100.1"))
        assert second.id == first.id
        assert not console.is_alive(first.secret)
        holder = console.holder(second.secret)
        assert (holder.created_at, holder.authenticated_at) == (began, world.clock())
        assert holder.expires_at == world.clock() + LIMITS.life
        assert world.events("identity:user:authenticate")[0].detail == {
            "method": "password",
            "session": first.id,
            "again": True,
            "network": "198.51.100.0/24",
        }

    def test_is_refused_once_it_has_ended(self, console, world):
        signed_out, idle = console.begin(), console.begin()
        console.do(session_ends.sign_out, world.alice, signed_out.id)
        with pytest.raises(Denied, match=r"The session has ended: sign in anew\."):
            console.renew(signed_out.id)
        world.clock.now += LIMITS.idle
        with pytest.raises(Denied, match="has ended"):
            console.renew(idle.id)

    def test_never_takes_over_somebody_elses(self, console, world):
        world.new_user("bob")
        bobs = console.begin("bob")
        with pytest.raises(Denied, match="has ended"):
            console.renew(bobs.id)
        assert console.is_alive(bobs.secret)

    def test_as_somebody_else_ends_the_one_that_was_there(self, console, world):
        world.new_user("bob")
        bobs = console.begin("bob")
        alices = console.sign_in("alice", console.holder(bobs.secret))
        assert alices.id != bobs.id
        assert not console.is_alive(bobs.secret)
        assert console.holder(alices.secret).login == "alice"

    def test_as_oneself_renews_it(self, console):
        first = console.begin()
        second = console.sign_in("alice", console.holder(first.secret))
        assert (second.id, console.is_alive(first.secret)) == (first.id, False)


class TestItEnds:
    @pytest.fixture
    def begun(self, console):
        return console.begin()

    def test_by_signing_out(self, console, world, begun):
        for _ in range(2):
            console.do(session_ends.sign_out, world.alice, begun.id)
        assert not console.is_alive(begun.secret)
        [told] = world.events("identity:session:end")
        assert (told.user, told.detail) == (f"user:{world.alice}", {"sessions": [begun.id]})

    def test_from_elsewhere_told_once(self, console, world, begun):
        for _ in range(2):
            console.do(session_ends.end, begun.id, user_id=world.alice)
        assert not console.is_alive(begun.secret)
        assert [row.detail for row in world.events("identity:session:revoke")] == [{"sessions": [begun.id]}]

    def test_by_its_own_human_alone(self, console, world, begun):
        bob = world.new_user("bob")
        for number, user in ((begun.id, bob), (4711, world.alice)):
            with pytest.raises(NotFound, match=f"there is no session {number} of this user"):
                console.do(session_ends.end, number, user_id=user)
        assert console.is_alive(begun.secret)

    def test_with_all_others_but_one(self, console, world, begun):
        world.new_user("bob")
        bobs, here, third = console.begin("bob"), console.begin(), console.begin()
        assert console.do(session_ends.end_others, world.alice, but=here.id) == (begun.id, third.id)
        assert [console.is_alive(each.secret) for each in (begun, here, third, bobs)] == [
            *(False, True, False, True)
        ]
        assert console.do(session_ends.end_others, world.alice, but=here.id) == ()
        assert len(world.events("identity:session:revoke")) == 1

    def test_when_its_human_is_disabled_and_for_good(self, console, world, begun):
        world.set_active("alice", active=False)
        assert not console.is_alive(begun.secret)
        with pytest.raises(Denied, match=r"This user is disabled\."):
            console.begin()
        world.set_active("alice", active=True)
        assert not console.is_alive(begun.secret)
        assert world.events("identity:user:disable")[0].detail == {"sessions": [begun.id]}
        assert console.is_alive(console.begin().secret)

    def test_by_the_kill_switch_and_for_good(self, console, world, begun):
        console.kill()
        assert not console.is_alive(begun.secret)
        world.clock.advance(seconds=1)
        world.set_active("alice", active=True)
        assert not console.is_alive(begun.secret)
        assert console.is_alive(console.begin().secret)

    @pytest.mark.parametrize(("lag", "alive"), [(timedelta(0), False), (INSTANT, False), (-INSTANT, True)])
    def test_by_a_cut_off_that_is_not_older_than_it(self, console, world, begun, lag, alive):
        """Such as that of a node whose clock is ahead: the statement that finds the session asks."""
        with world.components.database.writing() as session:
            at = world.clock() + lag
            cut_offs.add(session, CutOffKind.USER, world.alice, at=at, reason="a test", actor="operator:x")
        assert console.is_alive(begun.secret) is alive


def test_a_humans_sessions_are_listed_the_last_used_first(console, world):
    world.new_user("bob")
    console.begin("bob")
    idle = console.begin()
    world.clock.advance(minutes=40)
    first, second, ended = console.begin(), console.begin(), console.begin()
    console.do(session_ends.sign_out, world.alice, ended.id)
    world.clock.advance(minutes=2)
    console.touch(first.id)
    assert console.listed(world.alice) == [first.id, second.id, idle.id]
    world.clock.advance(minutes=30)
    assert console.listed(world.alice) == [first.id, second.id]


def test_a_sign_in_is_told(console, world):
    begun = console.begin()
    [told] = world.events("identity:user:authenticate")
    assert (told.outcome, told.actor, told.user) == ("success", *[f"user:{world.alice}"] * 2)
    assert told.request_id == "r1"
    expected = {"method": "link", "session": begun.id, "again": False, "network": "192.0.2.0/24"}
    assert told.detail == expected


@on_every_database
@pytest.mark.usefixtures("unhurried")
def test_none_outlives_a_disabling_that_comes_at_the_same_moment(console, world):
    for _ in range(10):
        world.set_active("alice", active=True)
        with ThreadPoolExecutor(2) as threads:
            disabled = threads.submit(world.set_active, "alice", active=False)
            try:
                begun = threads.submit(console.begin).result()
            except Denied:
                begun = None
            disabled.result()
        world.set_active("alice", active=True)
        assert begun is None or not console.is_alive(begun.secret)


@on_every_database
def test_what_ended_long_ago_is_forgotten(console, world):
    ended, unused, lively = console.begin(), console.begin(), console.begin()
    console.do(session_ends.sign_out, world.alice, ended.id)
    for _ in range(30):
        world.clock.advance(days=1)
        console.touch(lively.id)
    database = world.components.database
    sign_in_upkeep.forget_old(database, world.clock() - timedelta(seconds=1))
    with database.reading() as session:
        assert {row.id for row in session.query(BrowserSession)} == {ended.id, unused.id, lively.id}
    sign_in_upkeep.forget_old(database, world.clock())
    with database.reading() as session:
        assert {row.id for row in session.query(BrowserSession)} == {lively.id}


class TestItsCsrfToken:
    def test_is_the_sessions_and_no_other(self):
        one, other = Secret("one"), Secret("other")
        assert is_csrf_token(one, csrf_token(one))
        for given in ("", csrf_token(other), csrf_token(one)[:-1], csrf_token(one) + "A", "ä", "\udcff"):
            assert not is_csrf_token(one, given)

    def test_tells_nothing_of_the_secret_and_fits_a_form(self):
        assert re.fullmatch(r"[A-Za-z0-9_-]{86}", csrf_token(Secret("s" * 43)))
        assert "sss" not in csrf_token(Secret("s" * 43))

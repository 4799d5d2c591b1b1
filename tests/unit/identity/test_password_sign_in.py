"""Signing in with a password: what is refused alike, how often one may try, and what the ledger is told."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from argon2 import PasswordHasher, extract_parameters

from app.errors import Denied
from app.identity import (
    accounts,
    guesses,
    password_sign_in,
    passwords,
    sessions,
    sign_in_links,
    sign_in_upkeep,
)
from app.identity.guesses import (
    BURST,
    OF_A_LOGIN,
    OF_A_NETWORK,
    OF_A_SESSION,
    WINDOW,
    Guessing,
    Pace,
    TooManyGuesses,
)
from app.identity.session_models import Guesses, Password
from app.identity.sessions import Browser
from app.secret import Secret
from tests.support.components import NOW, OPERATOR, on_every_database

GOOD = Secret("four random words")
WRONG = Secret("four other words")
QUICK = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
HERE = Browser(agent="Firefox", address="192.0.2.77", request_id="r1")


@pytest.fixture
def quick(monkeypatch):
    """Hashing as in the product, at a hundredth of its cost."""
    monkeypatch.setattr(passwords, "_hasher", QUICK)
    monkeypatch.setattr(passwords, "NOBODYS", QUICK.hash("nobody's"))


class Door:
    def __init__(self, world):
        self.world = world
        self.components = world.components

    def set_password(self, password=GOOD, login="alice", **keywords):
        with self.components.database.writing() as session:
            user = accounts.find_user(session, login)
            made = passwords.hashed(password, user.login, user.email)
            passwords.set_password(session, user, made, by=OPERATOR, now=self.world.clock(), **keywords)

    def sign_in(self, login="alice", password=GOOD, browser=HERE, present=None):
        return self.components.password_sign_in.sign_in(login, password, browser, present)

    def holder(self, begun):
        limits, now = self.components.session_limits, self.world.clock()
        with self.components.database.reading_connection() as connection:
            return sessions.authenticate(connection, begun.secret, now, limits)

    def unhurried(self):
        """For as many tries as a test wants at one moment."""
        self.components.password_sign_in._pace = Pace(burst=10_000)

    def denials(self):
        rows = self.world.events("identity:user:authenticate")
        return [(row.user, row.detail["cause"]) for row in reversed(rows) if row.outcome == "denied"]


@pytest.fixture
def door(world, quick):
    door = Door(world)
    door.set_password()
    door.unhurried()
    return door


@on_every_database
@pytest.mark.parametrize("login", ["alice", " Alice ", "ALICE"])
def test_the_right_password_signs_in(door, world, login):
    begun = door.sign_in(login)
    assert door.holder(begun).user_id == world.alice
    assert world.events("identity:user:authenticate")[0].detail["method"] == "password"


def test_a_sign_in_where_one_is_signed_in_renews_the_session(door):
    first = door.sign_in()
    second = door.sign_in(present=door.holder(first))
    assert (second.id, door.holder(first)) == (first.id, None)


NO_SUCH = "there is no such login"
WRONG_ONES = (
    ("alice", WRONG, "the password is wrong"),
    ("alice", Secret(""), "the password is wrong"),
    ("alice", Secret("\ud800" * 12), "the password is wrong"),
    ("bob", GOOD, "the user has no password"),
    ("carol", GOOD, "the user is disabled"),
    ("carol", WRONG, "the password is wrong"),
    *((login, GOOD, NO_SUCH) for login in ("nobody", "", "user:1", "duo", "\ud800", "\x00", "a" * 10_000)),
)


class TestAWrongOne:
    @pytest.fixture
    def door(self, door, world):
        world.new_user("bob")
        world.new_user("carol")
        door.set_password(login="carol")
        with door.components.database.writing() as session:
            carol = accounts.find_user(session, "carol")
            accounts.set_user_active(session, carol, active=False, by=OPERATOR, now=world.clock())
        return door

    @pytest.mark.parametrize(("login", "password", "cause"), WRONG_ONES)
    def test_gets_the_same_words_whatever_is_wrong_and_the_ledger_the_cause(
        self, door, login, password, cause
    ):
        with pytest.raises(Denied) as refused:
            door.sign_in(login, password)
        assert str(refused.value) == "The login or the password is wrong."
        with door.components.database.reading() as session:
            user = None if cause == NO_SUCH else f"user:{accounts.find_user(session, login).id}"
        assert door.denials() == [(user, cause)]

    @pytest.mark.parametrize(("login", "password", "_cause"), WRONG_ONES)
    def test_costs_one_verification(self, door, monkeypatch, login, password, _cause):
        costs = []

        class Counting:
            def verify(self, stored, text):
                costs.append(extract_parameters(stored))
                return QUICK.verify(stored, text)

        monkeypatch.setattr(passwords, "_hasher", Counting())
        with pytest.raises(Denied):
            door.sign_in(login, password)
        assert costs == [extract_parameters(QUICK.hash("any"))]

    def test_leaves_nothing_of_what_was_typed_for_a_login(self, door, world):
        with pytest.raises(Denied):
            door.sign_in("hunter2-canary", WRONG)
        with door.components.database.reading() as session:
            kept = [repr(vars(row)) for row in (*session.query(Guesses), *world.events())]
        assert "hunter2" not in "".join(kept)


class TestHowOftenOneMayTry:
    def guess(self, door, count, login="alice", browser=HERE):
        for _ in range(count):
            with pytest.raises(Denied):
                door.sign_in(login, WRONG, browser)

    def from_many(self, door, count):
        """Each from a network of its own."""
        for number in range(count):
            self.guess(door, 1, browser=Browser(agent="", address=f"10.0.{number}.1"))

    @pytest.mark.parametrize("login", ["alice", "nobody"])
    def test_a_login_is_shut_after_ten_wrong_ones_known_or_not(self, door, world, login):
        self.guess(door, OF_A_LOGIN, login)
        world.clock.advance(minutes=5)
        with pytest.raises(TooManyGuesses) as refused:
            door.sign_in(login.upper(), GOOD)
        assert "wait until 10:15 UTC" in str(refused.value)
        assert "sign-in link" in str(refused.value)
        assert refused.value.seconds == 600

    def test_wherever_the_guesses_come_from(self, door):
        self.from_many(door, OF_A_LOGIN)
        with pytest.raises(TooManyGuesses):
            door.sign_in()

    def test_it_opens_again_after_a_quarter_of_an_hour(self, door, world):
        self.guess(door, OF_A_LOGIN)
        world.clock.now += WINDOW - timedelta(microseconds=1)
        with pytest.raises(TooManyGuesses):
            door.sign_in()
        world.clock.now += timedelta(microseconds=1)
        assert door.sign_in()

    def test_a_right_one_forgets_what_was_counted(self, door):
        self.guess(door, OF_A_LOGIN - 1)
        door.sign_in()
        self.guess(door, OF_A_LOGIN - 1)
        assert door.sign_in()

    def test_the_sign_in_link_stays_open(self, door, world):
        self.guess(door, OF_A_LOGIN)
        with door.components.database.writing() as session:
            alice = accounts.find_user(session, "alice")
            link = sign_in_links.issue(session, alice, by=OPERATOR, now=world.clock())
            assert sign_in_links.redeem(session, link.secret, world.clock()).login == "alice"

    def test_a_network_is_shut_after_a_hundred_for_any_login_and_no_other_network(self, door):
        for number in range(OF_A_NETWORK):
            self.guess(door, 1, f"nobody{number}")
        neighbour, stranger = (Browser(agent="", address=each) for each in ("192.0.2.1", "198.51.100.1"))
        with pytest.raises(TooManyGuesses):
            door.sign_in(browser=neighbour)
        assert door.sign_in(browser=stranger)

    def test_a_right_one_counts_nothing_against_its_network(self, door):
        for _ in range(OF_A_NETWORK + 1):
            door.sign_in()

    def test_the_ledger_is_told_of_each_guess_and_once_that_they_were_too_many(self, door):
        self.guess(door, OF_A_LOGIN)
        for _ in range(5):
            with pytest.raises(TooManyGuesses):
                door.sign_in()
        causes = [cause for _, cause in door.denials()]
        assert causes == ["the password is wrong"] * OF_A_LOGIN + ["too many passwords were tried"]

    def test_a_human_is_not_shut_out_of_the_session_that_they_are_in(self, door):
        present = door.holder(door.sign_in())
        self.guess(door, OF_A_LOGIN)
        with pytest.raises(TooManyGuesses):
            door.sign_in()
        door.components.password_sign_in.prove("alice", GOOD, HERE, present.session_id)
        assert door.sign_in(present=present)

    def test_a_session_is_shut_after_as_many_and_no_login_with_it(self, door):
        present = door.holder(door.sign_in())
        for _ in range(OF_A_SESSION):
            with pytest.raises(Denied):
                door.sign_in(password=WRONG, present=present)
        with pytest.raises(TooManyGuesses):
            door.sign_in(present=present)
        assert door.sign_in()

    def test_somebody_elses_session_is_none(self, door, world):
        present = door.holder(door.sign_in())
        world.new_user("bob")
        for _ in range(OF_A_LOGIN):
            with pytest.raises(Denied):
                door.sign_in("bob", WRONG, present=present)
        with pytest.raises(TooManyGuesses):
            door.sign_in("bob", WRONG, present=present)

    def test_a_network_that_is_shut_shuts_no_login_and_makes_no_rows(self, door):
        for number in range(OF_A_NETWORK):
            self.guess(door, 1, f"nobody{number}")
        for login in ["alice"] * (OF_A_LOGIN + 1) + [f"another{number}" for number in range(5)]:
            with pytest.raises(TooManyGuesses):
                door.sign_in(login, WRONG)
        with door.components.database.reading() as session:
            assert session.query(Guesses).count() == OF_A_NETWORK + 1
        assert door.sign_in(browser=Browser(agent="", address="198.51.100.1"))

    @on_every_database
    @pytest.mark.usefixtures("unhurried")
    def test_as_many_at_once_are_no_more_on_two_nodes(self, door):
        """Counted before they are checked."""
        nodes = [Guessing(door.components.database, b"key") for _ in range(2)]

        def guess(number):
            try:
                nodes[number % 2].take("alice", f"10.0.{number}.1", NOW)
            except TooManyGuesses as refused:
                return refused.is_first
            return "taken"

        with ThreadPoolExecutor(6) as threads:
            outcomes = list(threads.map(guess, range(3 * OF_A_LOGIN)))
        assert (outcomes.count("taken"), outcomes.count(True)) == (OF_A_LOGIN, 1)

    def test_what_is_counted_is_forgotten_in_time(self, door, world):
        self.guess(door, 3)
        for wait, left in ((WINDOW - timedelta(microseconds=1), 2), (WINDOW, 0)):
            sign_in_upkeep.forget_old(door.components.database, world.clock() + wait)
            with door.components.database.reading() as session:
                assert session.query(Guesses).count() == left


class TestTheirPace:
    def test_is_ten_at_once_and_then_one_a_second(self):
        pace = Pace()
        for _ in range(BURST):
            pace.take(NOW)
        with pytest.raises(TooManyGuesses, match="try again in a few seconds") as refused:
            pace.take(NOW + timedelta(milliseconds=900))
        assert refused.value.seconds == 1
        pace.take(NOW + timedelta(seconds=1))
        with pytest.raises(TooManyGuesses):
            pace.take(NOW + timedelta(seconds=1))

    def test_is_no_faster_under_a_clock_that_goes_back(self):
        pace = Pace(burst=1)
        pace.take(NOW)
        for seconds in (-3600, -3600, -3601):
            with pytest.raises(TooManyGuesses):
                pace.take(NOW + timedelta(seconds=seconds))
        pace.take(NOW + timedelta(seconds=-3599))

    def test_a_try_that_comes_too_fast_is_no_guess(self, door):
        door.components.password_sign_in._pace = Pace(burst=0)
        for _ in range(OF_A_LOGIN + 1):
            with pytest.raises(TooManyGuesses, match="Many sign in at this moment"):
                door.sign_in()
        door.unhurried()
        assert door.sign_in()
        assert door.denials() == []


class TestWhatChangesWhileAPasswordIsChecked:
    """Which is outside of any transaction."""

    @pytest.mark.parametrize("change", ["password", "disabled"])
    def test_counts(self, door, world, monkeypatch, change):
        def meanwhile(stored, password, matches=passwords.matches):
            if change == "password":
                door.set_password(WRONG)
            else:
                world.set_active("alice", active=False)
            return matches(stored, password)

        monkeypatch.setattr(password_sign_in.passwords, "matches", meanwhile)
        with pytest.raises(Denied, match="The login or the password is wrong"):
            door.sign_in()
        assert all(row.outcome == "denied" for row in world.events("identity:user:authenticate"))


def test_a_hash_of_yesterdays_parameters_is_made_anew(door, world, monkeypatch):
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher(time_cost=2, memory_cost=64, parallelism=1))
    door.sign_in()
    with door.components.database.reading() as session:
        assert "t=2" in session.get_one(Password, world.alice).hash
    assert door.sign_in()


def test_a_login_is_stored_under_a_key(quick):
    one, other = (guesses.Subjects.of(key, "alice", "192.0.2.1") for key in (b"one", b"other"))
    assert one.who != other.who
    assert one.network == other.network == "network:192.0.2.0/24"

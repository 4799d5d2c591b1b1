"""One-time links: one human, one use, a quarter of an hour."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest

from app.errors import Denied
from app.flows.kill import kill
from app.identity import accounts, sign_in_links, sign_in_upkeep
from app.identity.cut_offs import CutOffKind
from app.identity.session_models import SignInLink
from app.secret import Secret
from tests.support.components import ISSUER, OPERATOR, on_every_database


class Links:
    def __init__(self, world):
        self.world = world

    def issue(self, login="alice"):
        with self.world.components.database.writing() as session:
            user = accounts.find_user(session, login)
            return sign_in_links.issue(session, user, by=OPERATOR, now=self.world.clock())

    def redeem(self, secret):
        """The login, or `None`."""
        with self.world.components.database.writing() as session:
            user = sign_in_links.redeem(session, secret, self.world.clock(), request_id="r1")
            return user and user.login

    def denials(self):
        rows = self.world.events("identity:user:authenticate")
        return [(row.actor, row.user, row.detail["cause"]) for row in rows if row.outcome == "denied"]


@pytest.fixture
def links(world):
    return Links(world)


def test_a_link_signs_in_once(links):
    issued = links.issue()
    assert [links.redeem(issued.secret) for _ in range(3)] == ["alice", None, None]


def test_a_link_is_good_for_a_quarter_of_an_hour(links, world):
    early, late = links.issue(), None
    assert early.expires_at == world.clock() + timedelta(minutes=15)
    world.clock.now = early.expires_at - timedelta(microseconds=1)
    assert links.redeem(early.secret) == "alice"
    late = links.issue()
    world.clock.now = late.expires_at
    assert links.redeem(late.secret) is None


def test_its_secret_is_256_bits_in_the_fragment_and_a_hash_in_the_database(links, world):
    issued = links.issue()
    assert re.fullmatch(
        re.escape(ISSUER) + r"/console/sign-in#[A-Za-z0-9_-]{43}", sign_in_links.url(ISSUER, issued.secret)
    )
    assert issued.secret.reveal() not in repr(issued)
    with world.components.database.reading() as session:
        row = session.get_one(SignInLink, issued.id)
        assert re.fullmatch(r"[0-9a-f]{64}", row.sha256)
        assert issued.secret.reveal() not in repr(vars(row))


def test_a_new_link_kills_the_humans_earlier_one_and_nobody_elses(links, world):
    world.new_user("bob")
    bobs, first, second = links.issue("bob"), links.issue(), links.issue()
    assert [links.redeem(each.secret) for each in (first, second, bobs)] == [None, "alice", "bob"]


def test_a_secret_that_never_was_one_is_nobody_and_leaves_no_row(links, world):
    links.issue()
    before = len(world.events())
    for text in ("", "A" * 43, "ä", "\x00"):
        assert links.redeem(Secret(text)) is None
    assert len(world.events()) == before


def test_none_is_issued_to_a_disabled_user(links, world):
    world.set_active("alice", active=False)
    with pytest.raises(Denied, match="alice is disabled: countersign user enable alice"):
        links.issue()


def disable_and_enable(world):
    world.set_active("alice", active=False)
    world.set_active("alice", active=True)


def kill_and_enable(world):
    with world.components.database.writing() as session:
        kill(session, CutOffKind.USER, "alice", reason="a test", by=OPERATOR, now=world.clock())
    world.set_active("alice", active=True)


@pytest.mark.parametrize("end", [disable_and_enable, kill_and_enable])
def test_a_disabling_and_a_kill_end_it_for_good(links, world, end):
    issued = links.issue()
    end(world)
    assert links.redeem(issued.secret) is None
    world.clock.advance(seconds=1)
    assert links.redeem(links.issue().secret) == "alice"


class TestTheLedger:
    def test_is_told_of_the_issue(self, links, world):
        issued = links.issue()
        [told] = world.events("identity:sign_in_link:issue")
        assert (told.actor, told.user) == (OPERATOR.name, f"user:{world.alice}")
        assert told.detail == {"link": issued.id}

    @pytest.mark.parametrize(
        ("end", "cause"),
        [
            (lambda links, issued: links.redeem(issued.secret), "was used already"),
            (lambda links, _: links.issue(), "was replaced, or ended with a password or a disabling"),
            (lambda links, _: links.world.clock.advance(minutes=15), "has expired"),
        ],
    )
    def test_is_told_of_a_dead_link_once_with_the_cause(self, links, world, end, cause):
        issued = links.issue()
        end(links, issued)
        for _ in range(3):
            assert links.redeem(issued.secret) is None
        assert links.denials() == [("anonymous", f"user:{world.alice}", cause)]


@on_every_database
@pytest.mark.usefixtures("unhurried")
def test_two_browsers_at_once_are_one_sign_in(links):
    for _ in range(5):
        secret, ready = links.issue().secret, Barrier(4)

        def redeem(secret=secret, ready=ready):
            ready.wait()
            return links.redeem(secret)

        with ThreadPoolExecutor(4) as threads:
            found = [each.result() for each in [threads.submit(redeem) for _ in range(4)]]
        assert sorted(found, key=str) == [None, None, None, "alice"]


@on_every_database
@pytest.mark.usefixtures("unhurried")
def test_two_links_at_once_are_one(links):
    for _ in range(5):
        with ThreadPoolExecutor(2) as threads:
            issued = [each.result() for each in [threads.submit(links.issue) for _ in range(2)]]
        assert sorted((links.redeem(each.secret) for each in issued), key=str) == [None, "alice"]


def test_an_old_link_is_forgotten(links, world):
    issued = links.issue()
    database = world.components.database
    for wait, left in ((timedelta(days=1) - timedelta(seconds=1), 1), (timedelta(days=1), 0)):
        sign_in_upkeep.forget_old(database, issued.expires_at + wait)
        with database.reading() as session:
            assert session.query(SignInLink).count() == left

"""Which passwords may be set, how they are kept, and what a change of one ends."""

import unicodedata

import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.profiles import RFC_9106_LOW_MEMORY
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidInput
from app.identity import accounts, password_rules, passwords, sessions, sign_in_links
from app.identity.session_models import Password
from app.identity.sessions import Browser, Method
from app.secret import Secret
from tests.support.components import OPERATOR, on_every_database

GOOD = "four random words"


def refusal(text, login="alice", email="al.smith@example.com"):
    """What is said, or nothing."""
    try:
        password_rules.check(Secret(text), login, email)
    except InvalidInput as refused:
        return str(refused)
    return ""


class TestAPasswordThatMayBeSet:
    @pytest.mark.parametrize(
        "text",
        [
            GOOD,
            "abcde" + "f" * 7,
            "ab cd ef 123",
            "tomato-lamp-river" * 7,
            "\u4f60\u597d\u4e16\u754c\u548c\u5e73\u6625\u590f\u79cb\u51ac\u5c71\u6c34",
            "\U0001f600\U0001f601\U0001f602\U0001f603 and words",
            "a secret of seven seas",
            "alice and a white rabbit",
            "482910472918",
        ],
    )
    def test_is_of_any_characters_from_12_to_128(self, text):
        assert refusal(text) == ""

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "use at least 12 characters"),
            ("eleven char", "use at least 12 characters"),
            ("\ufb03\ufb03\ufb03abc" * 11, "use at most 128 characters"),
            ("abcdefgh " * 15, "use at most 128 characters"),
            ("four\nrandom words", "no control characters"),
            ("four random words\x00", "no control characters"),
            ("four random words\ud800", "no control characters"),
            ("aaaaaaaaaaaaaaaa", "repeats a few characters"),
            ("abcabcabcabcabc", "repeats a few characters"),
            ("AbCdabcdABCD", "repeats a few characters"),
        ],
    )
    def test_is_neither_short_nor_endless_nor_a_pattern(self, text, said):
        assert said in refusal(text)

    @pytest.mark.parametrize(
        "text",
        [
            "al.smith@example.com",
            "AL.SMITH@EXAMPLE.COM1",
            "countersign!!!",
            "Countersign-2026",
            "alicealicealice",
            "alice.countersign",
            "al.smith20261",
        ],
    )
    def test_is_not_what_everybody_knows_of_its_human(self, text):
        assert "is your login, your e-mail address or this product's name" in refusal(text)

    @pytest.mark.parametrize(
        "text",
        [
            *("password1234", "Password123456!", "passwordpassword", "P@ssw0rd2026", "123456789012"),
            *("1234567890123", "qwertyuiop[]", "qwerty123456", "QwertyQwerty1", "1qaz2wsx3edc"),
            *("1q2w3e4r5t6y", "iloveyou1234", "welcome12345", "changemechangeme", "administrator1"),
            *("letmeinletmein", "correcthorsebatterystaple", "thisismypassword", "abcdefghijkl"),
        ],
    )
    def test_is_not_among_those_that_are_tried_first(self, text):
        assert "is among those that are tried first" in refusal(text)

    def test_is_judged_beside_a_login_that_is_next_to_nothing(self):
        assert refusal("a barn and a cat", login="a", email="a@b.c") == ""

    @given(st.text(min_size=0, max_size=140))
    def test_any_text_is_taken_or_refused_and_never_repeated(self, text):
        said = refusal(text)
        assert len(text) < 8 or text not in said
        if not said:
            assert 12 <= len(unicodedata.normalize("NFKC", text)) <= 128


class TestAHash:
    def test_is_argon2id_as_rfc_9106_recommends_for_little_memory(self):
        made = passwords.hashed(Secret(GOOD), "alice", "a@example.com")
        assert made.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
        assert extract_parameters(made) == RFC_9106_LOW_MEMORY
        assert made != passwords.hashed(Secret(GOOD), "alice", "a@example.com")
        assert passwords.hashed_anew(made, Secret(GOOD)) is None

    def test_matches_its_password_however_that_is_composed(self):
        made = passwords.hashed(Secret("caf\u00e9 and three words"), "alice", "a@example.com")
        assert passwords.matches(made, Secret("cafe\u0301 and three words"))
        assert not passwords.matches(made, Secret("cafe and three words"))

    @pytest.mark.parametrize("text", ["", GOOD, "\ud800" * 12, "\x00", "a" * 100_000])
    def test_of_nobody_matches_nothing_and_costs_the_same(self, text):
        assert extract_parameters(passwords.NOBODYS) == RFC_9106_LOW_MEMORY
        assert not passwords.matches(None, Secret(text))

    def test_of_other_parameters_is_made_anew(self):
        old = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(GOOD)
        assert passwords.matches(old, Secret(GOOD))
        anew = passwords.hashed_anew(old, Secret(GOOD))
        assert extract_parameters(anew) == RFC_9106_LOW_MEMORY
        assert passwords.matches(anew, Secret(GOOD))


@on_every_database
def test_a_change_ends_other_sessions_and_links_and_is_told(world):
    browser, by_now = Browser(agent="", address=""), {"by": OPERATOR, "now": world.clock()}
    first, second = (passwords.hashed(Secret(GOOD + end), "alice", "a@b.c") for end in "12")
    with world.components.database.writing() as session:
        alice = accounts.find_user(session, "alice")
        here, there = (
            sessions.begin(session, alice, method=Method.LINK, browser=browser, now=world.clock())
            for _ in range(2)
        )
        link = sign_in_links.issue(session, alice, **by_now)
    with world.components.database.writing() as session:
        assert passwords.set_password(session, alice, first, but=here.id, **by_now) == (there.id,)
        assert sign_in_links.redeem(session, link.secret, world.clock()) is None
    with world.components.database.writing() as session:
        assert passwords.set_password(session, alice, second, **by_now) == (here.id,)
    with world.components.database.reading() as session:
        assert session.get_one(Password, alice.id).hash == second
    assert [row.detail for row in reversed(world.events("identity:password:set"))] == [
        {"changed": False, "sessions": [there.id]},
        {"changed": True, "sessions": [here.id]},
    ]

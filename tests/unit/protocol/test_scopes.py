"""The grammar of scopes: which texts name a human, and that nothing else does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.identity.permissions import SCOPES
from app.protocol.principals import (
    PrincipalKind,
    client_id,
    parse_client_id,
    parse_principal,
    service_account_principal,
    user_principal,
)
from app.protocol.scopes import ScopeError, composite_scope, covers, parse_scope

NUMBERS = st.integers(1, 2**31 - 1)
NAMES = st.lists(st.sampled_from(sorted(SCOPES)), unique=True)


@given(number=NUMBERS, names=NAMES, at=st.integers(0, 10))
def test_what_is_well_formed_is_read_as_it_was_written(number, names, at):
    words = [*names]
    words.insert(at, user_principal(number))
    requested = parse_scope(" ".join(words), SCOPES)
    assert requested.names == tuple(names)
    assert requested.user_id == number


@given(names=NAMES)
def test_without_a_human_there_is_none(names):
    assert parse_scope(" ".join(names), SCOPES).user_id is None


@given(number=NUMBERS, names=NAMES)
def test_what_a_token_says_is_read_back(number, names):
    requested = parse_scope(composite_scope(names, number), SCOPES)
    assert (requested.names, requested.user_id) == (tuple(names), number)


@given(st.text(max_size=60) | st.text("user:0123456789 *+-\u0667x", max_size=20))
def test_a_human_is_named_in_one_way_only(text):
    """Whatever is accepted is its own canonical form, word for word."""
    try:
        requested = parse_scope(text, SCOPES)
    except ScopeError:
        return
    written = [*requested.names] + ([user_principal(requested.user_id)] if requested.user_id else [])
    assert sorted(text.split(" ") if text else []) == sorted(written)


@given(st.lists(NUMBERS, min_size=2, max_size=4), NAMES)
def test_two_humans_are_refused(numbers, names):
    with pytest.raises(ScopeError):
        parse_scope(" ".join([*map(user_principal, numbers), *names]), SCOPES)


@given(st.text(max_size=30).filter(lambda text: not text.isdecimal() or text[0] == "0" or not text.isascii()))
def test_only_a_decimal_number_names_a_human(text):
    with pytest.raises(ScopeError):
        parse_scope(f"user:{text}", SCOPES)


def test_a_cause_never_repeats_what_was_asked():
    for text in ("canary", "user:canary", "api canary", "user:1 user:canary", "canary canary"):
        with pytest.raises(ScopeError) as refused:
            parse_scope(text, SCOPES)
        assert "canary" not in str(refused.value)


def test_a_thousand_characters_are_the_most():
    assert parse_scope("a" * 1000, {"a" * 1000}).names == ("a" * 1000,)
    with pytest.raises(ScopeError, match="longer"):
        parse_scope("a" * 1001, {"a" * 1001})


@pytest.mark.parametrize(
    ("granted", "asked", "covered"),
    [
        (None, ["code.read"], True),
        (None, [], True),
        (["api"], ["code.read", "flow.start"], True),
        (["code.read"], ["code.read"], True),
        (["code.read"], [], True),
        (["code.read"], ["code.write"], False),
        (["code.read"], ["code.read", "code.write"], False),
        (["code.read"], ["api"], False),
        ([], ["code.read"], False),
        ([], ["api"], False),
    ],
)
def test_what_a_grant_covers(granted, asked, covered):
    assert covers(granted, asked) is covered


@given(granted=NAMES, one=NAMES, other=NAMES)
def test_covering_two_is_covering_each(granted, one, other):
    assert covers(granted, [*one, *other]) == (covers(granted, one) and covers(granted, other))


class TestAPrincipal:
    @given(NUMBERS)
    def test_is_read_back(self, number):
        assert parse_principal(user_principal(number)) == (PrincipalKind.USER, number)
        assert parse_principal(service_account_principal(number)) == (PrincipalKind.SERVICE_ACCOUNT, number)
        assert parse_client_id(client_id(number)) == number

    @pytest.mark.parametrize(
        "text",
        [
            *("", "user", "user:", ":1", "user:0", "user:01", "user:+1", "user:1.0", "user:1_000", "User:1"),
            *("group:1", "user:1:", "user:alice", "service-account:1", "user:1\n", "user:\u0661"),
        ],
    )
    def test_is_written_in_one_way(self, text):
        assert parse_principal(text) is None

    @pytest.mark.parametrize(
        "text", ["", "sa_", "sa_0", "sa_01", "SA_1", "sa:1", "sa_1\n", "sa_-1", "sa_\u0661"]
    )
    def test_has_a_client_id_of_one_form(self, text):
        assert parse_client_id(text) is None

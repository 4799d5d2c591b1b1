from datetime import UTC, datetime, timedelta

import pytest

from app.clock import rfc3339
from app.web.lifecycle import stages

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
MOMENTS = ("published_at", "signs_from", "retired_at", "leaves_jwks_by", "removed_at", "revoked_at")


def hours(number):
    return rfc3339(NOW + timedelta(hours=number))


def key(state, kid="kid", alg="RS256", **moments):
    """A key of which each moment is told in hours from now."""
    told = dict.fromkeys(MOMENTS) | {name: hours(number) for name, number in moments.items()}
    return {"kid": kid, "alg": alg, "state": state} | told


def only_entry(state, **moments):
    return next(entry for stage in stages([key(state, **moments)], NOW) for entry in stage.entries)


def test_the_stages_are_always_the_same_four():
    assert [stage.state for stage in stages([], NOW)] == ["next", "active", "retired", "removed"]
    assert all(stage.entries == () and stage.more == 0 for stage in stages([], NOW))


@pytest.mark.parametrize(
    ("state", "stage"),
    [("next", 0), ("active", 1), ("retired", 2), ("removed", 3), ("revoked", 3)],
)
def test_a_key_stands_in_the_stage_of_its_state(state, stage):
    found = [[entry.kid for entry in each.entries] for each in stages([key(state)], NOW)]
    assert found == [["kid"] if number == stage else [] for number in range(4)]


def test_a_next_key_counts_down_to_when_it_may_sign():
    until = only_entry("next", published_at=-6, signs_from=18).until
    assert (until.label, until.at, until.reached, until.percent) == ("May sign", hours(18), "now", 25)


def test_one_that_may_sign_says_so():
    assert only_entry("next", published_at=-30, signs_from=-6).until.percent == 100


def test_an_active_key_counts_down_only_before_it_signs():
    assert only_entry("active", published_at=-1, signs_from=1).until.percent == 50
    assert only_entry("active", published_at=-30, signs_from=-6).until is None


@pytest.mark.parametrize(("first", "words"), [(1, "Signs from"), (0, "Signs since"), (-6, "Signs since")])
def test_an_active_key_that_is_yet_to_sign_is_not_said_to_have_signed(first, words):
    assert only_entry("active", published_at=-30, signs_from=first).dates[1] == (words, hours(first))


def test_a_retired_key_counts_down_to_when_it_leaves():
    until = only_entry("retired", published_at=-900, retired_at=-20, leaves_jwks_by=5).until
    assert (until.label, until.at, until.percent) == ("Leaves the JWKS", hours(5), 80)


def test_a_moment_that_is_not_known_is_not_counted_down_to():
    assert only_entry("retired", retired_at=-20).until is None


def test_of_the_removed_the_newest_are_shown_and_the_others_counted():
    gone = [key("removed", kid=str(number), removed_at=-number) for number in (4, 1, 3)]
    *_, removed = stages([*gone, key("revoked", kid="2", revoked_at=-2)], NOW, shown=2)
    assert ([entry.kid for entry in removed.entries], removed.more) == (["1", "2"], 2)

"""What of the keys needs attention, and what does not."""

from datetime import timedelta

import pytest

from app.web.signing_state import attention, fetchers, pairs
from tests.unit.web.test_lifecycle import NOW, key

ACTIVE = key("active", "a", published_at=-50, signs_from=-26)
NEXT = key("next", "n", published_at=-26, signs_from=-2)
FETCH = {"agent": "Vault", "network": "10.0.0.0/24"}
OTHER = {"agent": "Envoy", "network": "10.0.0.0/24"}
BOTH = {"n": [FETCH, OTHER]}
FRESH = key("next", "n", published_at=-0.5, signs_from=23.5)
RETIRED = [key("retired", str(number), published_at=-99, retired_at=-26) for number in range(6)]
NEW = [
    key("active", "e", "ES256", published_at=-1, signs_from=23),
    key("next", "f", "ES256", published_at=-1, signs_from=23),
]


@pytest.mark.parametrize(
    ("keys", "since", "said"),
    [
        ([ACTIVE, NEXT], BOTH, []),
        ([ACTIVE, NEXT], None, []),
        ([ACTIVE, FRESH], {"n": []}, []),
        ([ACTIVE, NEXT], {"n": []}, ["Nobody has fetched the next RS256 key"]),
        ([ACTIVE, NEXT], {"n": [FETCH]}, ["Only one client has fetched the next RS256 key"]),
        ([ACTIVE], {}, ["RS256 has no next key"]),
        ([*NEW, ACTIVE, NEXT], BOTH, ["ES256 is new"]),
        ([ACTIVE, NEXT, *RETIRED], BOTH, ["The JWKS is full, with 8 keys"]),
    ],
)
def test_what_is_told(keys, since, said):
    notices = attention(keys, NOW, since)
    assert len(notices) == len(said)
    assert all(notice.text.startswith(start) for notice, start in zip(notices, said, strict=True))


def test_pairs_are_in_one_order_and_know_whether_they_are_early():
    first, second = pairs([*NEW, FRESH, ACTIVE], NOW)
    assert (first.alg, first.is_early, first.is_waiting) == ("RS256", True, False)
    assert (second.alg, second.is_early, second.is_waiting) == ("ES256", True, True)
    [ripe] = pairs([ACTIVE, key("next", "n", published_at=-24, signs_from=0)], NOW)
    assert not ripe.is_early
    [alone] = pairs([ACTIVE], NOW + timedelta(hours=1))
    assert alone.following is None


def test_whoever_fetched_is_held_against_each_next_key():
    found = fetchers([FETCH, OTHER], {"n": [FETCH], "m": []})
    assert [each["seen"] for each in found] == [{"n"}, set()]

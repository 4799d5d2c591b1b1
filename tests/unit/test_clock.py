"""Times as they are said: NumericDate, RFC 3339, durations."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.clock import parse_duration, rfc3339, system_clock, timestamp

MOMENTS = st.integers(0, 250_000_000_000_000_000).map(
    lambda microseconds: datetime(1971, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
)


@given(MOMENTS)
def test_a_numeric_date_never_lies_ahead(moment):
    assert moment - timedelta(seconds=1) < datetime.fromtimestamp(timestamp(moment), UTC) <= moment


@given(MOMENTS)
def test_rfc3339_is_read_back_exactly(moment):
    text = rfc3339(moment)
    assert text is not None
    assert text.endswith("Z")
    assert datetime.fromisoformat(text) == moment


def test_rfc3339_is_in_utc_with_microseconds():
    tokyo = timezone(timedelta(hours=9))
    assert rfc3339(datetime(2026, 11, 22, 9, tzinfo=tokyo)) == "2026-11-22T00:00:00.000000Z"
    assert rfc3339(None) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("24h", timedelta(hours=24)),
        ("30d", timedelta(days=30)),
        ("1h30m", timedelta(minutes=90)),
        ("0s", timedelta()),
        ("36500d", timedelta(days=36_500)),
    ],
)
def test_a_duration(text, expected):
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    "text", ["", "15", "m", "15 m", "-1h", "1.5h", "1H", "1w", "٣h", "1h\n", "9999999999d"]
)
def test_what_is_no_duration(text):
    with pytest.raises(ValueError, match="is a duration such as"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["36501d", "36500d1s", "999999999d", "999999999d" * 100])
def test_a_duration_is_at_most_a_hundred_years(text):
    with pytest.raises(ValueError, match="is longer than 36500d"):
        parse_duration(text)


def test_the_systems_clock_is_in_utc():
    assert system_clock().tzinfo is UTC

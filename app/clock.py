"""Time is an input: whoever needs it is handed a clock."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]
"""Returns the present as an aware datetime in UTC."""


def system_clock() -> datetime:
    return datetime.now(UTC)


def timestamp(moment: datetime) -> int:
    """A JWT NumericDate in whole seconds, rounded down so that it never lies ahead (RFC 7519 §2)."""
    return int(moment.timestamp())


def rfc3339(moment: datetime | None) -> str | None:
    """The text form of a time in every JSON answer, in UTC; absent stays absent."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_LONGEST_DAYS = 36_500  # so that every time from now is one that a calendar has


def duration_text(duration: timedelta) -> str:
    """As ``parse_duration`` reads it, in whole seconds."""
    left, parts = int(duration.total_seconds()), []
    for unit, seconds in reversed(_SECONDS.items()):
        count, left = divmod(left, seconds)
        parts += [f"{count}{unit}"] if count else []
    return "".join(parts) or "0s"


def parse_duration(text: str) -> timedelta:
    """``90s``, ``15m``, ``24h``, ``30d`` or a sum such as ``1h30m``; ``ValueError`` otherwise."""
    if not re.fullmatch(r"(?:[0-9]{1,9}[smhd])+", text, re.ASCII):
        raise ValueError("is a duration such as 15m, 24h or 30d")
    seconds = sum(int(count) * _SECONDS[unit] for count, unit in re.findall(r"([0-9]+)([smhd])", text))
    if seconds > _LONGEST_DAYS * _SECONDS["d"]:
        raise ValueError(f"is longer than {_LONGEST_DAYS}d")
    return timedelta(seconds=seconds)

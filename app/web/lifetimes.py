"""How long something is to live: the choices of a form, and what was chosen."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta

from app.clock import rfc3339

CHOICES = (
    ("1", "1 day"),
    ("7", "7 days"),
    ("30", "30 days"),
    ("90", "90 days"),
    ("365", "a year"),
    ("date", "on a date"),
)
FOR_EVER = ("never", "never")
SOON = timedelta(days=14)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def chosen(form: Mapping[str, str], now: datetime) -> str | None:
    """RFC 3339; of a date its end in UTC; ``None``: never. The operation refuses what is no time ahead."""
    days = form.get("lives", "")
    if days == "date":
        date = form.get("date", "")
        return f"{date}T23:59:59Z" if _DATE.fullmatch(date) else "no date"
    if days == "never":
        return None
    return rfc3339(now + timedelta(days=int(days) if days in dict(CHOICES) else 0))


def fault(form: Mapping[str, str]) -> str | None:
    """Why no choice can be read from it: a date that another choice would pass over."""
    if form.get("date") and form.get("lives") != "date":
        return "A date is written below: choose “on a date”, or clear it."
    return None


def state(expires_at: str | None, revoked_at: str | None, now: datetime, soon: timedelta = SOON) -> str:
    """``live``, ``expiring``, ``expired`` or ``revoked``, of times as operations answer them."""
    if revoked_at is not None:
        return "revoked"
    if expires_at is None:
        return "live"
    left = datetime.fromisoformat(expires_at) - now
    if left <= timedelta(0):
        return "expired"
    return "expiring" if left <= soon else "live"

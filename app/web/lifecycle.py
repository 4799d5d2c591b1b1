"""The life of the signing keys as a row of stages, with what is due next in each."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.representation import Shape


@dataclass(frozen=True)
class Until:
    """A moment ahead, and how much of the way to it is done."""

    label: str
    at: str
    reached: str
    percent: int


@dataclass(frozen=True)
class Entry:
    kid: str
    alg: str
    state: str
    until: Until | None
    dates: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True)
class Stage:
    """``more``: how many keys it has beyond ``entries``."""

    state: str
    title: str
    meaning: str
    entries: tuple[Entry, ...]
    more: int


_STAGES = (
    ("next", "Next", "Published so that verifiers learn it. Signs nothing yet."),
    ("active", "Active", "Signs every new token; the first key of an algorithm once verifiers know it."),
    ("retired", "Retired", "Signs nothing more. Verifies what it signed until that has expired."),
    ("removed", "Removed", "No longer in the JWKS: nothing that it signed is accepted."),
)
_GONE = ("removed", "revoked")
_DATES = {
    "next": (("Published", "published_at"), ("From", "signs_from")),
    "active": (("Published", "published_at"), ("Signs since", "signs_from")),
    "retired": (("Signed until", "retired_at"), ("By", "leaves_jwks_by")),
    "removed": (("Signed until", "retired_at"), ("Removed", "removed_at")),
    "revoked": (("Published", "published_at"), ("Revoked", "revoked_at")),
}
_AHEAD = (("Published", "published_at"), ("Signs from", "signs_from"))
_UNTIL = {
    "next": ("May sign", "published_at", "signs_from", "now"),
    "active": ("Signs", "published_at", "signs_from", "now"),
    "retired": ("Leaves the JWKS", "retired_at", "leaves_jwks_by", "any moment"),
}


def stages(keys: Sequence[Shape], now: datetime, *, shown: int = 3) -> tuple[Stage, ...]:
    """From *next* to *removed*, of keys as ``list_keys`` answers them; of the last, the newest ``shown``."""
    return tuple(_stage(keys, now, shown, *told) for told in _STAGES)


def is_ahead(key: Shape, now: datetime) -> bool:
    """Active, and its first signature is still to come: the first key of a new algorithm."""
    return key["state"] == "active" and signs_later(key, now)


def signs_later(key: Shape, now: datetime) -> bool:
    begins = key["signs_from"]
    return begins is not None and datetime.fromisoformat(begins) > now


def _stage(keys: Sequence[Shape], now: datetime, shown: int, state: str, title: str, meaning: str) -> Stage:
    here = [key for key in keys if key["state"] == state or (state == "removed" and key["state"] in _GONE)]
    if state == "removed":
        here.sort(key=_gone_at, reverse=True)
    else:
        shown = len(here)
    return Stage(state, title, meaning, tuple(_entry(key, now) for key in here[:shown]), len(here[shown:]))


def _entry(key: Shape, now: datetime) -> Entry:
    told = _AHEAD if is_ahead(key, now) else _DATES[key["state"]]
    dates = tuple((label, key[moment]) for label, moment in told)
    return Entry(key["kid"], key["alg"], key["state"], _until(key, now), dates)


def _until(key: Shape, now: datetime) -> Until | None:
    if key["state"] not in _UNTIL:
        return None
    label, begins, ends, reached = _UNTIL[key["state"]]
    if not key[begins] or not key[ends]:
        return None
    begin, end = datetime.fromisoformat(key[begins]), datetime.fromisoformat(key[ends])
    if key["state"] == "active" and end <= now:
        return None
    percent = 100 if end <= now or end <= begin else max(0, int(100 * (now - begin) / (end - begin)))
    return Until(label, key[ends], reached, percent)


def _gone_at(key: Shape) -> str:
    return key["removed_at"] or key["revoked_at"] or ""

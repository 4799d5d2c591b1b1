"""What the key screen says of the signing keys beyond their timeline: pairs, and what needs attention."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.representation import Shape
from app.signing.algorithms import ALWAYS
from app.signing.models import PUBLISHED
from app.signing.transitions import MOST_PUBLISHED
from app.web.lifecycle import signs_later

_PATIENCE = timedelta(hours=1)
"""For so long a new key may be unknown to everybody without anybody being told."""


@dataclass(frozen=True)
class Pair:
    """An algorithm in use; ``following`` is its *next*, which a keystore may not have made yet."""

    alg: str
    active: Shape
    following: Shape | None
    is_early: bool
    is_waiting: bool
    """Nothing is signed with it yet: it was just taken into use."""


@dataclass(frozen=True)
class Notice:
    kind: str
    text: str


def pairs(keys: Sequence[Shape], now: datetime) -> tuple[Pair, ...]:
    """Of keys as ``list_keys`` answers them; the algorithm that everybody takes is first."""
    following = {key["alg"]: key for key in keys if key["state"] == "next"}
    actives = sorted((key for key in keys if key["state"] == "active"), key=_rs256_first)
    return tuple(_pair(key, following.get(key["alg"]), now) for key in actives)


def in_turn(keys: Sequence[Shape]) -> list[Shape]:
    """By algorithm, so that the stages of the timeline have one order."""
    return sorted(keys, key=_rs256_first)


def fetchers(known: Sequence[Shape], since: Mapping[str, Sequence[Shape]]) -> list[Shape]:
    """Whoever fetched the JWKS, with the ``kid`` of each *next* key that they have seen."""
    seen = {kid: {_name(each) for each in those} for kid, those in since.items()}
    return [each | {"seen": {kid for kid in seen if _name(each) in seen[kid]}} for each in known]


def attention(
    keys: Sequence[Shape], now: datetime, since: Mapping[str, Sequence[Shape]] | None
) -> tuple[Notice, ...]:
    """``since``: who has fetched the JWKS since each *next* key is in it; ``None``: not for this reader."""
    found = [notice for pair in pairs(keys, now) for notice in _of_pair(pair, now, since)]
    published = sum(key["state"] in PUBLISHED for key in keys)
    if published >= MOST_PUBLISHED:
        text = f"The JWKS is full, with {published} keys: a rotation waits until a retired one has left."
        found.append(Notice("warn", text))
    return tuple(found)


def of_conditions(conditions: Sequence[Shape]) -> tuple[Notice, ...]:
    """Of keys as ``list_key_conditions`` answers them."""
    dumb = (_dumb(each) for each in conditions if each["can_sign"] is False)
    overdue = (_overdue(each["alg"]) for each in conditions if each["overdue"])
    return (*dumb, *overdue)


def _dumb(key: Shape) -> Notice:
    so = "no token is signed with it" if key["state"] == "active" else "a rotation is refused"
    named = f"The {key['state']} {key['alg']} key"
    cause = f"{named} cannot sign: the keystore {key['keystore']} does not give it."
    return Notice("bad", f"{cause} Until it does, {so}. countersign doctor tells the reason.")


def _overdue(alg: str) -> Notice:
    cause = f"The active {alg} key is overdue: no worker has rotated it. Is one running?"
    return Notice("warn", f"{cause} You can rotate it here.")


def _pair(active: Shape, following: Shape | None, now: datetime) -> Pair:
    is_early = following is not None and signs_later(following, now)
    return Pair(active["alg"], active, following, is_early, signs_later(active, now))


def _of_pair(pair: Pair, now: datetime, since: Mapping[str, Sequence[Shape]] | None) -> list[Notice]:
    if pair.following is None:
        text = f"{pair.alg} has no next key: the keystore could not make one. It is tried again by itself."
        return [Notice("warn", text)]
    if pair.is_waiting:
        text = f"{pair.alg} is new: {ALWAYS} signs instead until its first key has been public long enough."
        return [Notice("info", text)]
    published = datetime.fromisoformat(pair.following["published_at"])
    if since is None or now - published < _PATIENCE:
        return []
    return _of_fetchers(pair.alg, len(since.get(pair.following["kid"], ())))


def _of_fetchers(alg: str, count: int) -> list[Notice]:
    if count == 0:
        text = f"Nobody has fetched the next {alg} key yet: whoever caches the JWKS would refuse its tokens."
        return [Notice("warn", text)]
    if count == 1:
        return [
            Notice("info", f"Only one client has fetched the next {alg} key. Are those all your verifiers?")
        ]
    return []


def _rs256_first(key: Shape) -> tuple[bool, str]:
    return key["alg"] != ALWAYS, key["alg"]


def _name(fetch: Shape) -> tuple[str, str]:
    return fetch["agent"], fetch["network"]

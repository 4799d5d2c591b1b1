"""A rotation as it is asked for: of one algorithm, or of all that are in use."""

from collections.abc import Mapping
from dataclasses import dataclass

from app.errors import Conflict
from app.ledger.record import Actor
from app.signing.algorithms import Algorithm
from app.signing.checks import Permit, TooEarly, anybody
from app.signing.keyring import Keyring
from app.signing.lifecycle import Lifecycle
from app.signing.models import KeyState


@dataclass(frozen=True)
class Rotated:
    """``kid`` of the key that signs from now on, and of the one that does no more."""

    alg: Algorithm
    active: str
    retired: str


@dataclass(frozen=True)
class Rotations:
    """``waiting``: why not yet, of each algorithm that has to wait."""

    rotated: list[Rotated]
    waiting: Mapping[Algorithm, str]


@dataclass(frozen=True, kw_only=True)
class Wish:
    """``algorithm`` of ``None``: each that is in use. ``expected``: the active ``kid`` that was seen."""

    algorithm: Algorithm | None = None
    expected: str | None = None
    override: str | None = None


def rotate(
    lifecycle: Lifecycle, keyring: Keyring, wish: Wish, actor: Actor, permit: Permit = anybody
) -> Rotations:
    """Each algorithm on its own: one that has to wait holds up no other. ``TooEarly`` if all have to."""
    actives = {Algorithm(row.alg): row.kid for row in keyring.history() if row.state == KeyState.ACTIVE}
    if not actives:
        raise Conflict("there are no keys yet: countersign init")
    rotated: list[Rotated] = []
    waiting: dict[Algorithm, str] = {}
    for algorithm in [*actives] if wish.algorithm is None else [wish.algorithm]:
        active = wish.expected or actives.get(algorithm, "")
        try:
            kid = lifecycle.rotate(algorithm, actor, expected=active, override=wish.override, permit=permit)
        except TooEarly as early:
            waiting[algorithm] = str(early)
        else:
            rotated.append(Rotated(algorithm, kid, active))
    if not rotated:
        raise TooEarly(next(iter(waiting.values())))
    return Rotations(rotated, waiting)

"""A rotation as it is asked for: of one algorithm, or of all that are in use."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from app.errors import Conflict, Denied, Refusal
from app.ledger.record import Actor
from app.signing.algorithms import ALWAYS, Algorithm
from app.signing.checks import AnotherWasFaster, Permit, TooEarly, anybody
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
    """``waiting``: why not yet, of each algorithm that was refused."""

    rotated: list[Rotated]
    waiting: Mapping[Algorithm, Refusal]

    @property
    def failed(self) -> list[Algorithm]:
        """Those for which waiting is not enough: a keystore's fault, or a JWKS that is full."""
        passing = (TooEarly, AnotherWasFaster)
        return [alg for alg, refusal in self.waiting.items() if not isinstance(refusal, passing)]


@dataclass(frozen=True, kw_only=True)
class Wish:
    """``algorithm`` of ``None``: each that is in use. ``expected``: the active ``kid`` that was seen."""

    algorithm: Algorithm | None = None
    expected: str | None = None
    override: str | None = None


def rotate(
    lifecycle: Lifecycle, keyring: Keyring, wish: Wish, actor: Actor, permit: Permit = anybody
) -> Rotations:
    """Each algorithm on its own: one that is refused holds up no other. Raises if all are."""
    actives = {Algorithm(row.alg): row.kid for row in keyring.history() if row.state == KeyState.ACTIVE}
    if not actives:
        raise Conflict("there are no keys yet: countersign init")
    rotated: list[Rotated] = []
    refused: dict[Algorithm, Refusal] = {}
    for algorithm in in_turn(actives) if wish.algorithm is None else [wish.algorithm]:
        active = wish.expected or actives.get(algorithm, "")
        try:
            kid = lifecycle.rotate(algorithm, actor, expected=active, override=wish.override, permit=permit)
        except Denied:
            raise  # this is about who asks
        except Refusal as refusal:
            refused[algorithm] = refusal
        else:
            rotated.append(Rotated(algorithm, kid, active))
    if not rotated:
        raise next(iter(refused.values()))
    return Rotations(rotated, refused)


def in_turn(algorithms: Iterable[Algorithm]) -> list[Algorithm]:
    """Where the JWKS has no room for all, the one that every verifier takes is not the one to wait."""
    return sorted(algorithms, key=lambda each: (each is not ALWAYS, each))

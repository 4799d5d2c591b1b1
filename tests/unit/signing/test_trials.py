"""Trying keys: no more often than once a minute, and never for long."""

import pytest

from app.signing.models import SIGNING
from app.signing.trials import Trials


class Stopwatch:
    """Each look at it finds `step` seconds gone."""

    def __init__(self):
        self.now, self.step = 0.0, 0.0

    def __call__(self):
        self.now += self.step
        return self.now


@pytest.fixture
def elapsed():
    return Stopwatch()


@pytest.fixture
def tell(world, elapsed):
    """`tell()`: what is known of the keys that sign or will, in order of their states."""
    parts = world.components
    trials = Trials(parts.keystores, world.clock, elapsed)

    def tell():
        rows = sorted(
            (row for row in parts.keyring.history() if row.state in SIGNING), key=lambda row: row.state
        )
        found = trials.of(rows)
        return [found[row.kid] for row in rows]

    return tell


def lose(world):
    for file in world.components.settings.keys_dir.glob("*.pem"):
        file.unlink()


def test_what_was_found_holds_for_a_minute(world, tell):
    assert tell() == [True, True]
    lose(world)
    world.clock.advance(seconds=59)
    assert tell() == [True, True]
    world.clock.advance(seconds=1)
    assert tell() == [False, False]


def test_what_there_is_no_time_for_is_not_known_until_it_is_tried(world, tell, elapsed):
    elapsed.step = 3.0
    assert tell() == [True, None]
    elapsed.step = 0.0
    lose(world)
    assert tell() == [True, False]

"""Rounds: everyone in turn, in an order that rotates, so that nobody always goes first."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True)
class Sample:
    """What `count` operations took."""

    count: int
    cpu_seconds: float
    wall_seconds: float

    @property
    def cpu_microseconds(self) -> float:
        """For one operation."""
        return self.cpu_seconds / self.count * 1e6

    @property
    def per_second(self) -> float:
        return self.count / self.wall_seconds


@dataclass(frozen=True)
class Contestant:
    """`work` does the operation `count` times; `cpu` tells the seconds spent on it so far."""

    name: str
    count: int
    work: Callable[[int], object]
    cpu: Callable[[], float] = time.process_time

    def sample(self) -> Sample:
        cpu, wall = self.cpu(), time.perf_counter()
        self.work(self.count)
        return Sample(self.count, self.cpu() - cpu, time.perf_counter() - wall)


Round = Mapping[str, Sample]


def alternate(contestants: Sequence[Contestant], rounds: int) -> Iterator[Round]:
    """Each round has a sample of everyone; what happened before the first one is warming up."""
    for each in contestants:
        each.sample()
    for number in range(rounds):
        yield {each.name: each.sample() for each in rotated(contestants, number)}


def rotated(items: Sequence[Item], by: int) -> list[Item]:
    start = by % len(items)
    return [*items[start:], *items[:start]]


def median_cpu(rounds: Sequence[Round], name: str) -> float:
    """Microseconds for one operation."""
    return median(each[name].cpu_microseconds for each in rounds)


def median_rate(rounds: Sequence[Round], name: str) -> float:
    return median(each[name].per_second for each in rounds)


def median_ratio(rounds: Sequence[Round], name: str, to: str) -> float:
    """Of CPU time, each round for itself: what slowed a whole round cancels out."""
    return median(each[name].cpu_microseconds / each[to].cpu_microseconds for each in rounds)

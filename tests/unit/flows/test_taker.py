"""Whatever goes wrong with one run or one look, the taker goes on; one that cannot is seen to have ended."""

import threading
from contextlib import ExitStack
from types import SimpleNamespace

import pytest

from app import worker
from app.flows import runs, taker
from app.flows.models import RunState
from app.flows.queue import Begun
from app.flows.taker import Taker
from app.secret import Secret
from tests.unit.flows.test_queue import House

LIMIT_SECONDS = 30


class Node:
    """Has runs to begin, one after another, of which an exception is raised."""

    def __init__(self, *there: object) -> None:
        self._there = list(there)
        self.queue = self
        self.carried_out: list[int] = []
        self.given_up: list[int] = []
        self.done = threading.Event()

    def has_some(self) -> bool:
        return bool(self._there)

    def take(self, _: object) -> Begun:
        found = self._there.pop(0)
        if isinstance(found, BaseException):
            raise found
        return Begun(found, Secret("cs_run_x"), None, ExitStack())

    def carry_out(self, begun: Begun, *_: object) -> RunState:
        self.carried_out.append(begun.run_id)
        self.done.set()
        return RunState.SUCCEEDED

    def give_up(self, begun: Begun, _: object) -> None:
        self.given_up.append(begun.run_id)
        self.done.set()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(taker, "_LOOK_EVERY_SECONDS", 0.01)


@pytest.mark.parametrize("fault", [KeyError("ours"), MemoryError(), OSError(24, "files")])
def test_a_fault_of_any_kind_ends_one_look_and_no_more(fault):
    node = Node(fault, 7)
    takes = Taker(lambda: node, at_once=1)
    with takes.taking():
        assert node.done.wait(LIMIT_SECONDS)
        assert takes.is_taking
    assert node.carried_out == [7]
    assert not takes.is_taking


def test_a_run_without_a_thread_is_ended_and_its_place_is_free_again(monkeypatch):
    node = Node(7, 8)
    submit = taker.ThreadPoolExecutor.submit
    refused = []

    def submit_later(pool, do, *given):
        if do.__name__ == "_carry_out" and not refused:
            refused.append(given)
            raise RuntimeError("can't start new thread")
        return submit(pool, do, *given)

    monkeypatch.setattr(taker.ThreadPoolExecutor, "submit", submit_later)
    with Taker(lambda: node, at_once=1).taking():
        assert node.done.wait(LIMIT_SECONDS)
        node.done.clear()
        assert node.done.wait(LIMIT_SECONDS) or node.carried_out
    assert (node.given_up, node.carried_out) == ([7], [8])


def test_a_taker_that_ended_by_itself_is_seen():
    takes = Taker(lambda: Node(SystemExit()), at_once=1)
    with takes.taking():
        assert isinstance(takes._taker.exception(LIMIT_SECONDS), SystemExit)
        assert not takes.is_taking


def test_a_run_that_is_given_up_says_so(world):
    house = House(world)
    number = house.start()
    begun = house.queue.take(runs.WORKER)
    world.components.executions.give_up(begun, runs.WORKER)
    assert (house.run(number).state, house.run(number).reason) == (
        "failed",
        "this server could not carry it out",
    )
    assert not begun.workspace.root.exists()


def test_when_the_clock_leaps_nobody_is_taken_for_dead(world):
    house, parts = House(world), world.components
    number = house.start()
    house.take()
    world.clock.advance(minutes=10)

    def keep_house(*, time_leapt: bool) -> str:
        worker.keep_house(
            parts.database, world.clock, parts.executor, parts.settings.log_retention, time_leapt=time_leapt
        )
        return house.run(number).state

    assert [keep_house(time_leapt=leapt) for leapt in (True, False)] == ["running", "failed"]


@pytest.mark.parametrize(("minutes", "leapt"), [(0.2, False), (10, True), (-10, False)])
def test_a_rest_tells_how_long_it_was(clock, minutes, leapt):
    stop = SimpleNamespace(wait=lambda _: clock.advance(minutes=minutes))
    assert worker.rest(stop, clock) is leapt


def test_one_chore_that_fails_holds_up_no_other(world, caplog):
    house, parts = House(world), world.components
    number = house.start()
    house.take()
    world.clock.advance(minutes=10)
    runs_dir = parts.executor._runs_dir
    for each in runs_dir.iterdir():
        each.rename(runs_dir.with_name("moved"))
    runs_dir.rmdir()
    runs_dir.touch()  # NotADirectoryError
    worker.keep_house(parts.database, world.clock, parts.executor, parts.settings.log_retention)
    assert "Not a directory" in caplog.text
    assert house.run(number).state == "failed"

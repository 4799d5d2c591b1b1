"""Whose turn it is: in order, so many of a project at once, and of several takers one has the run."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from app.db import Database
from app.errors import Conflict, InvalidInput
from app.flows import configurations, idempotency, queue, runs
from app.flows.execution import end_orphans
from app.flows.executors.local import LocalExecutor
from app.flows.models import Run, RunState
from app.flows.queue import Limits, Queue, QueueFull
from app.flows.runs import ABANDONED_AFTER, WORKER
from app.flows.start import Starting, StartRequest
from app.identity import members, projects
from tests.support.components import OPERATOR, on_every_database

YAML = b"flows:\n  fix-ci:\n    script: [make test]\n"
OTHER = "acme/other"


class House:
    """Starts runs of two projects, and takes them."""

    def __init__(self, world, **limits):
        self.world = world
        self.limits = Limits(**limits)
        parts = world.components
        self.queue = Queue(parts.database, parts.clock, self.limits, parts.executor.workspace)
        self.starting = Starting(parts.database, parts.clock, self.limits)
        world.change(projects.create_project, OTHER)
        for path in (world.project, OTHER):
            configurations.store(parts.database, parts.clock, path, YAML, OPERATOR)
            for named in ("user:alice", "service_account:duo"):
                world.change(
                    lambda session, path=path, named=named, **by_now: members.add_member(
                        session, members.find_place(session, path), named, "developer", **by_now
                    )
                )

    def start(self, project=None, **more) -> int:
        request = StartRequest(
            project=project or self.world.project,
            flow="fix-ci",
            user="alice",
            service_account="duo",
            inputs={},
            source="test",
            **({"is_queued": True} | more),
        )
        return self.starting.start(request, OPERATOR).run_id

    def take(self) -> int | None:
        begun = self.queue.take(WORKER)
        return begun and begun.run_id

    def run(self, number) -> Run:
        with self.world.components.database.reading() as session:
            return runs.find_run(session, number)

    def finish(self, number) -> None:
        self.world.change(
            lambda session, **by_now: runs.finish(
                session, runs.held_run(session, number), RunState.SUCCEEDED, None, 0, **by_now
            )
        )

    def allow(self, at_once) -> None:
        self.world.change(
            lambda session, **by_now: queue.set_concurrency(
                session, projects.find_project(session, self.world.project), at_once, **by_now
            )
        )


@pytest.fixture
def house(world):
    return House(world, running=2, waiting=3)


@on_every_database
def test_runs_are_taken_in_order_and_a_project_has_its_number_at_once(house):
    first, second, third = (house.start() for _ in range(3))
    assert [house.take(), house.take(), house.take()] == [first, second, None]
    assert house.queue.has_some() is False
    other = house.start(OTHER)
    assert house.take() == other
    house.finish(second)
    assert house.queue.has_some() is True
    assert [house.take(), house.take()] == [third, None]


@on_every_database
def test_a_run_that_waits_says_for_what_and_one_that_goes_on_says_nothing(house):
    waiting, last = [house.start() for _ in range(3)][::2]
    assert house.run(waiting).reason == "waits for a worker process"
    assert house.run(last).reason == "waits its turn: acme/webapp has at most 2 at once"
    assert house.take() == waiting
    assert (house.run(waiting).state, house.run(waiting).reason) == ("running", None)


@on_every_database
def test_no_more_wait_than_may(house):
    numbers = [house.start() for _ in range(3)]
    with pytest.raises(QueueFull, match="3 runs of acme/webapp are waiting, and no more may"):
        house.start()
    assert house.world.events("flows:run:create")[0].outcome == "denied"
    house.start(OTHER)
    house.world.change(lambda session, **by_now: runs.request_cancel(session, numbers[0], **by_now))
    house.start()


@on_every_database
def test_a_project_may_have_a_number_of_its_own(house):
    house.allow(1)
    first, second = house.start(), house.start()
    assert [house.take(), house.take()] == [first, None]
    house.allow(3)
    assert house.take() == second
    house.allow(None)
    assert house.start()
    assert house.take() is None
    told = house.world.events("flows:concurrency:set")
    assert [(event.project, event.detail) for event in reversed(told)] == [
        ("acme/webapp", {"at_once": number}) for number in (1, 3, None)
    ]


@pytest.mark.parametrize("number", [0, -1, 1000])
def test_a_number_that_none_can_have_is_refused(house, number):
    with pytest.raises(InvalidInput, match="from 1 to 999"):
        house.allow(number)


def test_a_run_whose_starter_executes_it_waits_for_others_to_end_and_no_worker_takes_it(house):
    house.allow(1)
    first = house.start()
    mine = house.start(is_queued=False)
    assert house.run(mine).reason is None
    assert [house.take(), house.queue.begin(mine, OPERATOR)] == [first, None]
    assert house.run(mine).reason == "waits its turn: acme/webapp has at most 1 at once"
    house.finish(first)
    assert house.take() is None
    begun = house.queue.begin(mine, OPERATOR)
    assert (begun.run_id, house.run(mine).state) == (mine, "running")
    with pytest.raises(Conflict, match="not pending any more"):
        house.queue.begin(mine, OPERATOR)


def test_a_run_whose_starter_executes_it_overtakes_none_that_waits(house):
    first, second = house.start(), house.start()
    mine, last = house.start(is_queued=False), house.start()
    assert house.queue.begin(mine, OPERATOR) is None
    assert [house.take(), house.take()] == [first, second]
    house.finish(first)
    assert house.queue.begin(mine, OPERATOR).run_id == mine
    house.finish(second)
    assert house.take() == last


def test_who_waits_writes_of_it_every_five_seconds(house):
    house.allow(1)
    house.start()
    mine = house.start(is_queued=False)
    written: list[str] = []
    event.listen(
        house.world.components.database.engine,
        "before_cursor_execute",
        lambda *told: written.extend([told[2]] if told[2].startswith("UPDATE runs") else []),
    )
    for _ in range(25):
        assert house.queue.begin(mine, OPERATOR) is None
        house.world.clock.advance(seconds=0.5)
    assert len(written) == 3


def test_a_cancelled_run_is_never_taken(house):
    number = house.start()
    house.world.change(lambda session, **by_now: runs.request_cancel(session, number, **by_now))
    assert house.take() is None
    assert house.run(number).reason == "cancelled before it began"


def test_what_waits_for_a_worker_is_not_abandoned_what_waited_for_its_starter_is(house):
    queued, mine = house.start(), house.start(is_queued=False)
    house.world.clock.advance(seconds=2 * ABANDONED_AFTER.total_seconds())
    database, now = house.world.components.database, house.world.clock()
    assert runs.fail_abandoned(database, now) == 1
    assert [house.run(each).state for each in (queued, mine)] == ["pending", "failed"]
    house.take()
    mark = runs.mark_of(house.run(queued).token_sha256)
    gone = [(queued, mark), (mine, mark)]
    assert runs.fail_orphans(database, gone, now) == 1
    assert runs.fail_orphans(database, gone, now) == 0
    assert house.run(queued).reason == "the process that executed it is gone"


@on_every_database
def test_what_an_earlier_attempt_has_left_ends_no_run_that_another_node_has_begun(house, tmp_path):
    number = house.start()
    here = LocalExecutor(runs_dir=tmp_path / "here", user=None)
    killed_before_it_committed = tmp_path / "here" / f"run-{number}-{'a' * 32}"
    killed_before_it_committed.mkdir(parents=True)
    assert house.take() == number
    database, now = house.world.components.database, house.world.clock()
    assert end_orphans(database, here, now) == 0
    assert house.run(number).state == "running"
    assert not killed_before_it_committed.exists()


def test_what_is_left_of_a_run_is_found_again_until_its_end_is_told(house):
    number = house.start()
    parts = house.world.components
    begun = house.queue.take(WORKER)
    killed = begun.workspace.root
    begun.held.close()
    killed.mkdir()
    (killed / "secret").touch()
    with pytest.raises(OperationalError):
        end_orphans(Database(f"sqlite:///{killed}/none/here"), parts.executor, house.world.clock())
    assert (list(killed.iterdir()), house.run(number).state) == ([], "running")
    assert end_orphans(parts.database, parts.executor, house.world.clock()) == 1
    assert (killed.exists(), house.run(number).state) == (False, "failed")


def test_what_it_costs_to_look_does_not_grow_with_the_runs_that_have_ended(house):
    engine = house.world.components.database.engine
    looked: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *told: looked.append(told[2]))
    house.queue.has_some()
    query = looked[-1]
    with engine.connect() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", (0,) * query.count("?"))
        searched = [row[-1] for row in plan if " runs " in row[-1]]
    assert searched
    assert [step for step in searched if "ix_runs_state_project_id_id (state=?" not in step] == []


@on_every_database
@pytest.mark.usefixtures("unhurried")
def test_of_many_takers_one_has_each_run_and_the_limit_holds(world):
    house = House(world, running=5, waiting=20)
    wanted = [house.start() for _ in range(12)]
    together = threading.Barrier(4)

    def take_what_there_is(_: int) -> list[int]:
        together.wait(30)
        taken, misses = [], 0
        while misses < 20:  # another's hold on the project is passed by, not waited for
            number = house.take()
            misses = 0 if number is not None else misses + 1
            taken += [number] if number is not None else []
        return taken

    with ThreadPoolExecutor(4) as threads:
        taken = [number for each in threads.map(take_what_there_is, range(4)) for number in each]
    assert len(taken) == 5
    assert sorted(taken) == wanted[:5]
    assert len(house.world.events("flows:run:start")) == 5


@on_every_database
def test_every_transition_is_told_in_both_names(house):
    number = house.start()
    house.take()
    house.world.change(lambda session, **by_now: runs.request_cancel(session, number, **by_now))
    house.finish(number)
    both = (f"user:{house.world.alice}", f"service_account:{house.world.duo}", "acme/webapp", number)
    told = [event for event in reversed(house.world.events()) if event.action.startswith("flows:run:")]
    assert [event.action.split(":")[-1] for event in told] == ["create", "start", "cancel", "finish"]
    assert {(event.user, event.service_account, event.project, event.run) for event in told} == {both}


@on_every_database
@pytest.mark.usefixtures("unhurried")
def test_the_same_key_at_the_same_moment_is_one_run(house):
    together = threading.Barrier(4)

    def start(_: int) -> int:
        together.wait(30)
        return house.start(idempotency_key="k")

    with ThreadPoolExecutor(4) as threads:
        numbers = set(threads.map(start, range(4)))
    assert len(numbers) == 1
    assert len(house.world.events("flows:run:create")) == 1
    idempotency.forget_old(house.world.components.database, house.world.clock())
    assert house.start(idempotency_key="k") in numbers
    house.world.clock.advance(hours=25)
    idempotency.forget_old(house.world.components.database, house.world.clock())
    assert house.start(idempotency_key="k") not in numbers

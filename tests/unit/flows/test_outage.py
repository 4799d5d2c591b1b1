"""A database that is away for a while ends no run; one that is away for long does, in words."""

import pytest
from sqlalchemy import event
from sqlalchemy.exc import IntegrityError, OperationalError

from app.flows import configurations, outage
from app.flows.log import LogWriter, read_from
from app.flows.models import LogChunk, Run
from app.flows.outage import DatabaseAway, Outage
from app.flows.runs import WORKER
from tests.support.components import OPERATOR
from tests.unit.flows.test_queue import House
from tests.unit.flows.test_vault_logins import run

__all__ = ["run"]  # a fixture

NO_ANSWER = OperationalError("", None, Exception())


class Away:
    """Fails so many times; each costs so many seconds."""

    def __init__(self, times: int, seconds: float = 0) -> None:
        self.left, self.seconds, self.now = times, seconds, 0.0

    def __call__(self) -> str:
        self.left -= 1
        if self.left >= 0:
            self.now += self.seconds
            raise NO_ANSWER
        return "answered"

    def monotonic(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch):
    monkeypatch.setattr(outage, "_PAUSE_SECONDS", 0)


def test_it_is_put_up_with_for_thirty_seconds_from_when_it_is_seen():
    assert Outage((three := Away(3, 14)).monotonic).outlast(three) == "answered"
    with pytest.raises(DatabaseAway, match="the database did not answer"):
        Outage((four := Away(4, 14)).monotonic).outlast(four)


def test_an_answer_ends_it():
    away = Away(0)
    here = Outage(away.monotonic)
    for _ in range(3):
        away.left, away.seconds = 2, 20
        assert here.outlast(away) == "answered"


def test_what_is_no_outage_is_no_matter_of_time():
    def clash() -> None:
        raise IntegrityError("", None, Exception())

    with pytest.raises(IntegrityError):
        Outage().outlast(clash)


def test_what_a_commit_without_an_answer_has_stored_is_stored_once(world, run):
    """The first commit came through, its answer did not."""
    database, clock = world.components.database, world.clock
    log = LogWriter(database, clock, run)
    log.write(b"one ")

    class Unanswering:
        def writing(self):
            raise NO_ANSWER

    log._database = Unanswering()
    with pytest.raises(OperationalError):
        log.store()
    with database.writing() as session:
        session.add(LogChunk(run_id=run, offset=0, content=b"one "))
    log._database = database
    log.write(b"two ")
    log.store()
    log.write(b"three")
    log.store()
    with database.reading() as session:
        assert read_from(session, run, 0) == b"one two three"


class Silent:
    """The database of a world, that says nothing to some statements so many times."""

    def __init__(self, world, **times: int) -> None:
        self.left = {begins.replace("_", " ").upper(): count for begins, count in times.items()}
        event.listen(world.components.database.engine, "before_cursor_execute", self)

    def __call__(self, _connection, _cursor, statement: str, *_: object) -> None:
        for begins, left in self.left.items():
            if left and statement.replace("_", " ").upper().startswith(begins):
                self.left[begins] -= 1
                raise NO_ANSWER


@pytest.fixture
def house(world):
    return House(world)


def carried_out(house) -> Run:
    begun = house.queue.take(WORKER)
    house.world.components.executions.carry_out(begun, lambda _: None, WORKER)
    return house.run(begun.run_id)


def test_a_run_outlives_an_outage_with_its_log_and_its_end(house):
    number = speaking(house)
    silent = Silent(house.world, insert_into_run_log_chunks=2)
    begun = house.queue.take(WORKER)
    silent.left["UPDATE RUNS SET STATE="] = 2
    house.world.components.executions.carry_out(begun, lambda _: None, WORKER)
    assert set(silent.left.values()) == {0}
    assert house.run(number).state == "succeeded"
    with house.world.components.database.reading() as session:
        assert read_from(session, number, 0) == b"hello\n"


def test_a_run_whose_log_cannot_be_kept_for_long_fails_in_words(house, monkeypatch):
    monkeypatch.setattr(outage, "_LONGEST_SECONDS", 0)
    speaking(house)
    Silent(house.world, insert_into_run_log_chunks=99)
    run = carried_out(house)
    assert (run.state, run.reason) == ("failed", "the database did not answer")


def test_a_run_that_cannot_begin_says_why(house):
    speaking(house)
    Silent(house.world, update_runs_set_id_tokens=1)
    run = carried_out(house)
    assert (run.state, run.reason) == ("failed", "the database did not answer")


def speaking(house) -> int:
    parts = house.world.components
    yaml = b"flows: {fix-ci: {script: [echo hello]}}"
    configurations.store(parts.database, parts.clock, house.world.project, yaml, OPERATOR)
    return house.start()

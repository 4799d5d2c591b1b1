"""Runs that mint while they are ended, at random moments: once the end is committed, no token is."""

import random
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError

from app.flows import reminting, runs
from app.flows.kill import kill
from app.flows.models import RunState, TokenToMask
from app.identity import delegations, members
from app.identity.cut_offs import CutOffKind
from app.identity.models import Delegation
from app.tokens.models import IssuedToken
from tests.support import effort
from tests.support.components import World, on_every_database
from tests.support.living_run import LivingRun, begun, configure

pytestmark = pytest.mark.slow

ROUNDS = effort.count(ci=30, proof=1000)
ASKERS = 2
ANSWERS = {200, 401, 403, 429, 503}


def _member(world: World, named: str, *, there: bool) -> None:
    def change(session, **by):
        place = members.find_place(session, world.project)
        if there:
            members.add_member(session, place, named, "developer", **by)
        else:
            members.remove_member(session, place, named, **by)

    world.change(change)


def _revoke(world: World, _run: LivingRun) -> None:
    with world.components.database.reading() as session:
        number = session.scalar(select(func.max(Delegation.id)))
    world.change(delegations.revoke, number)


End = Callable[[World, LivingRun], object]
ENDS: list[tuple[End, Callable[[World], object]]] = [
    (lambda world, run: world.change(runs.request_cancel, run.number), lambda _: None),
    (
        lambda world, run: world.change(kill, CutOffKind.RUN, str(run.number), reason="stop it"),
        lambda _: None,
    ),
    (lambda _, run: run.finish(RunState.FAILED, "the time limit was reached"), lambda _: None),
    (lambda _, run: run.finish(), lambda _: None),
    (
        lambda world, _: world.set_active("alice", active=False),
        lambda world: world.set_active("alice", active=True),
    ),
    (
        lambda world, _: world.set_active("duo", active=False),
        lambda world: world.set_active("duo", active=True),
    ),
    (
        lambda world, _: _member(world, "user:alice", there=False),
        lambda world: _member(world, "user:alice", there=True),
    ),
    (
        lambda world, _: _member(world, "service_account:duo", there=False),
        lambda world: _member(world, "service_account:duo", there=True),
    ),
    (_revoke, lambda world: world.delegate()),
]
"""What ends a run, and what lets the next one begin."""


@contextmanager
def asking(run: LivingRun, answers: list[int]):
    """Threads that mint until they are refused for good."""
    over = threading.Event()

    def ask() -> None:
        client = run.world.http.application.test_client()
        path, bearer = (
            f"/api/v1/runs/{run.number}/id_tokens",
            {"Authorization": f"Bearer {run.token.reveal()}"},
        )
        while not over.is_set():
            answers.append(client.post(path, json={"name": "VAULT_ID_TOKEN"}, headers=bearer).status_code)

    threads = [threading.Thread(target=ask) for _ in range(ASKERS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def until(holds: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def insist(do: Callable[[], object], seconds: float = 60) -> None:
    """SQLite lets a writer wait while others come and go, and then gives up for it."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            do()
        except OperationalError:
            assert time.monotonic() < deadline
        else:
            return


def minted(run: LivingRun) -> int:
    query = select(func.count()).select_from(IssuedToken).where(IssuedToken.run_id == run.number)
    with run.world.components.database.reading() as session:
        return session.scalar(query) or 0


@on_every_database
def test_no_token_is_minted_once_the_run_or_what_it_lives_from_has_ended(world, monkeypatch):
    monkeypatch.setattr(reminting, "BURST", 1_000_000)
    seed = time.time_ns()
    print(f"seed {seed}")  # noqa: T201 - pytest shows it with a failure
    moments = random.Random(seed)  # noqa: S311 - moments, not secrets
    configure(world)
    # Loads the API, as a worker does, in one thread: two that compile routes at once trip over each other
    # in CPython before 3.11.8 (gh-106905).
    assert world.http.get("/api/v1/openapi.json").status_code == 200
    for number in range(ROUNDS):
        end, begin_again = ENDS[number % len(ENDS)]
        run, answers = begun(world), []
        with asking(run, answers):
            until(lambda: 200 in answers)  # noqa: B023 - called at once
            time.sleep(moments.uniform(0, 0.05))
            insist(lambda: end(world, run))  # noqa: B023 - called at once
            after = minted(run)
            time.sleep(moments.uniform(0, 0.05))
        assert minted(run) == after, (number, seed)
        assert set(answers) <= ANSWERS, set(answers)
        insist(run.finish)
        insist(lambda: begin_again(world))  # noqa: B023 - called at once
    with world.components.database.reading() as session:
        assert session.scalars(select(TokenToMask)).all() == []

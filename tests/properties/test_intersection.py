"""The law of the product, at every public door: a pair may what both may, as far as delegation and token go.

Not less either: where human, machine, delegation, scopes and standing all allow, the door does.
"""

import time
from collections import Counter
from itertools import count as numbers

import pytest
from hypothesis import HealthCheck, given, settings

from tests.properties.answering_doors import authzen, callers, explanation, introspection, policy, runs
from tests.properties.issuing_doors import start_of_a_flow, token_endpoint
from tests.properties.tally import Tally
from tests.properties.worlds import inhabit, plans
from tests.support.components import ManualClock, inhabited
from tests.support.effort import count
from tests.support.resource_server import resource_server

WORLDS = count(ci=180, proof=1800)
QUESTIONS = count(ci=1000, proof=10_000)
"""At least, of each door; what a world costs is shared by all of them."""
FEWEST = count(ci=20, proof=200)
"""Of either answer."""
DOORS = (token_endpoint, start_of_a_flow, introspection, callers, runs, policy, explanation, authzen)


@pytest.fixture(scope="module")
def world(peopled, tmp_path_factory):
    with inhabited(peopled, tmp_path_factory.mktemp("world"), ManualClock()) as world:
        yield world


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_no_door_allows_a_pair_more_or_less_than_the_law(world, record_property):
    tally, number, began = Tally(resource_server(world)), numbers(1), time.process_time()

    @settings(max_examples=WORLDS, suppress_health_check=list(HealthCheck))
    @given(plan=plans)
    def law(plan):
        here = inhabit(world, plan, next(number))
        ask(tally, here)
        for event in plan.happens:
            here.happen(event)
        here.happen(("wait", 1.0))  # the bound of what a process keeps
        ask(tally, here)

    law()
    record_property("CPU seconds", round(time.process_time() - began, 1))
    questions = Counter()
    for (door, allowed), asked in sorted(tally.asked.items()):
        record_property(f"{door}: {'allowed' if allowed else 'refused'}", asked)
        questions[door.partition(":")[0]] += asked
    assert len(questions) == len(DOORS) + 2  # AuthZEN is asked about one, a pair and a token
    assert min(questions.values()) >= QUESTIONS, questions
    assert min(tally.asked[door, answer] for door, _ in tally.asked for answer in (True, False)) >= FEWEST


def ask(tally, here):
    for door in DOORS:
        door(tally, here)

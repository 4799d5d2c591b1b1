"""A retry asks for what was given, by the configuration as it is now."""

import pytest

from app.errors import Conflict
from app.flows import configurations
from app.flows.models import RunInput
from app.flows.retry import again
from app.flows.start import StartRequest
from tests.support.components import OPERATOR
from tests.unit.flows.test_queue import House

YAML = """\
flows:
  fix-ci:
    script: [make test]
    inputs:
      target: {{default: {default}}}
      number: {{type: number, default: 1}}
"""


def configure(house, default: str) -> None:
    parts = house.world.components
    body = YAML.format(default=default).encode()
    configurations.store(parts.database, parts.clock, house.world.project, body, OPERATOR)


def started(house, **inputs) -> int:
    request = StartRequest(
        project=house.world.project,
        flow="fix-ci",
        user="alice",
        service_account="duo",
        inputs=inputs,
        source="test",
    )
    return house.starting.start(request, OPERATOR).run_id


def test_a_default_is_that_of_the_configuration_as_it_is_now(world):
    house = House(world)
    configure(house, "staging")
    number = started(house, number=3)
    house.finish(number)
    configure(house, "production")
    with world.components.database.reading() as session:
        request = again(session, number, source="test")
    assert request.inputs == {"number": 3}
    retried = house.starting.start(request, OPERATOR).run_id
    with world.components.database.reading() as session:
        assert session.get_one(RunInput, (number, "target")).value == "staging"
        assert session.get_one(RunInput, (retried, "target")).value == "production"
        assert session.get_one(RunInput, (retried, "number")).value == "3"


def test_a_run_under_way_is_not_retried(world):
    house = House(world)
    number = house.start()
    with world.components.database.reading() as session, pytest.raises(Conflict, match="has not ended"):
        again(session, number, source="test")

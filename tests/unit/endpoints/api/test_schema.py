"""The API is what its description says, for whatever schemathesis can think of: every resource, unasked."""

from collections import Counter

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.support.components import ManualClock, inhabited
from tests.support.effort import count
from tests.support.git_server import git_server
from tests.support.require import require
from tests.support.tools import GIT

from .conftest import PREFIX, in_api
from .scenes import new_run, new_source

NO_SCHEMA_CAN_SAY = [positive_data_acceptance]
"""That a cursor is one of ours, that a time lies ahead, that a name is free."""
QUIET = [HealthCheck.filter_too_much, HealthCheck.too_slow]


@pytest.fixture(scope="module")
def described(peopled, tmp_path_factory):
    """An installation, to be changed at will by its administrator, and its description."""
    require(lambda: GIT.find("git"))
    with (
        inhabited(peopled, tmp_path_factory.mktemp("schema"), ManualClock()) as world,
        git_server(tmp_path_factory.mktemp("repositories")) as host,
    ):
        world.components.checkpoints.make()
        new_run(world)
        new_source(world, host)
        yield in_api(world), schemathesis.openapi.from_wsgi(f"{PREFIX}/openapi.json", world.http.application)


def in_order(operation):
    """What is made is read before it is changed, and ended before what it lies in."""
    depth = len(operation.path) * (-1 if operation.method == "delete" else 1)
    return ["put", "get", "post", "patch", "delete"].index(operation.method), depth


def examples(operation):
    """Of its path's parameters, which name what the installation has."""
    parameters = operation.definition.raw["parameters"]
    return {each["name"]: each["example"] for each in parameters if each["in"] == "path"}


@pytest.mark.timeout(1200)
def test_every_operation_is_as_described(described):
    api, schema = described
    authorization = {"Authorization": api.authorization["administrator"]}
    answered = Counter()

    def try_out(operation, strategy):
        @settings(max_examples=count(ci=3, proof=80), suppress_health_check=QUIET)
        @given(case=strategy)
        def law(case):
            answer = case.call(headers=authorization)
            if "retry-after" not in answer.headers:  # a repository that was slow to answer is left alone
                case.validate_response(answer, headers=authorization, excluded_checks=NO_SCHEMA_CAN_SAY)
            answered[operation.label, answer.status_code // 100] += 1

        law()

    operations = sorted((result.ok() for result in schema.get_all_operations()), key=in_order)
    for operation in operations:
        here = {"If-Match": "*"} if operation.method == "delete" else None
        try_out(operation, operation.as_strategy(path_parameters=examples(operation), headers=here))
        for mode in GenerationMode:
            try_out(operation, operation.as_strategy(generation_mode=mode))
    done = {label for label, kind in answered if kind == 2}
    left = {each.label for each in operations} - done
    assert len(left) < len(operations) / 5, left  # some need what a stranger to the installation cannot know
    assert api("administrator", "GET", "/me").get_json()["administrator"], "it has ended itself"

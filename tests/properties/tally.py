"""What doors answered, beside what the model says."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.support.resource_server import ResourceServer


@dataclass
class Tally:
    """A wrong answer fails at once, and says about whom; right ones are counted by door and answer.

    Questions are asked by `api`, a resource server.
    """

    api: ResourceServer
    asked: Counter[tuple[str, bool]] = field(default_factory=Counter)

    def check(self, door: str, *about: Any, allowed: bool, expected: bool) -> None:
        self.asked[door, expected] += 1
        assert allowed is expected, (door, allowed, *about)

    def post(self, path: str, body: Any, authorization: str | None = None) -> Any:
        headers = {"Authorization": authorization or self.api.authorization}
        return self.api.world.http.post(path, json=body, headers=headers)

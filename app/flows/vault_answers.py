"""What Vault answered, read with distrust: its address comes from a flow's configuration."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import requests

from app.flows.secret_values import SecretUnavailable, fit_to_show, json_of
from app.flows.transport import OutboundRefusal
from app.secret import Secret

_OK, _NO_CONTENT = 200, 204


class VaultAway(SecretUnavailable):
    """There was no answer at all."""


@dataclass(frozen=True)
class Answer:
    """`body`: the JSON object, its numbers as the text they were sent in; None when it is none."""

    step: str
    status: int
    body: Mapping[str, Any] | None = field(repr=False)
    hidden: Sequence[Secret] = field(repr=False)

    @property
    def done(self) -> bool:
        return self.status == _NO_CONTENT or (self.status == _OK and self.body is not None)

    def member(self, *names: str) -> Any:
        """What stands at `names` inside the body, objects all the way; None if it does not."""
        found: Any = self.body
        for name in names:
            found = found.get(name) if isinstance(found, Mapping) else None
        return found

    def refusal(self, remedy: str = "") -> SecretUnavailable:
        """With Vault's own words, as far as they are fit to be shown, and `remedy`."""
        if self.body is None:
            return self.unfit(
                f"its answer ({self.status}) is not a JSON object: is that Vault's own address?"
            )
        said = "; ".join(part for part in (self._words(), remedy) if part)
        return self.unfit(f"it answers {self.status}" + (f": {said}" if said else ""))

    def unfit(self, why: str) -> SecretUnavailable:
        return SecretUnavailable(f"{self.step}: {why}")

    def _words(self) -> str:
        lists = [said for said in (self.member("errors"), self.member("warnings")) if isinstance(said, list)]
        text = "; ".join(words for said in lists for words in said if isinstance(words, str))
        return fit_to_show(text, self.hidden)


def ask(step: str, question: Callable[[], requests.Response], hidden: Sequence[Secret]) -> Answer:
    """Raises VaultAway, beginning with `step`, when there is no answer at all."""
    try:
        response = question()
    except OutboundRefusal as refusal:
        raise VaultAway(f"{step}: {refusal}") from None
    return Answer(step, response.status_code, _object(response.content), hidden)


def _object(body: bytes) -> Mapping[str, Any] | None:
    value = json_of(body)
    return value if isinstance(value, dict) else None

"""What a starter gave, against what the flow declares."""

import math
import re
from collections.abc import Mapping

from app.errors import InvalidInput
from app.flows.configuration import Flow
from app.flows.declared_inputs import LONGEST_INPUT
from app.flows.names import NAME_PATTERN
from app.flows.yaml_values import NO_ENVIRONMENT

InputValue = str | bool | int | float

_LONGEST_NAME = 255
_TELLABLE = re.compile(NAME_PATTERN)


def plausible_inputs(given: Mapping[str, InputValue]) -> dict[str, InputValue]:
    """As they are, while it is not known what the flow declares: without what no flow would take."""
    for name, value in given.items():
        if len(name) > _LONGEST_NAME or NO_ENVIRONMENT.search(name):
            raise InvalidInput("inputs: a name is too long, or has a character that none may have")
        if isinstance(value, str) and (len(value) > LONGEST_INPUT or NO_ENVIRONMENT.search(value)):
            raise InvalidInput(f"{_key(name)}: at most {LONGEST_INPUT} characters, without NUL")
        if isinstance(value, float) and not math.isfinite(value):
            raise InvalidInput(f"{_key(name)}: must be a number in digits, such as `3`, `-1` or `0.5`")
    return dict(given)


def checked_inputs(flow: Flow, given: Mapping[str, InputValue]) -> dict[str, str]:
    """Every declared input in its canonical text, defaults filled in; from JSON a value may have its type.

    ``InvalidInput`` names an input, never what was given for it.
    """
    if unknown := sorted(given.keys() - flow.inputs.keys()):
        known = ", ".join(sorted(flow.inputs)) or "none"
        raise InvalidInput(
            f"{_key(unknown[0])}: is not declared by flow {flow.name}, which declares: {known}"
        )
    values: dict[str, str] = {}
    for name, declaration in flow.inputs.items():
        value = given.get(name, declaration.default)
        if value is None:
            raise InvalidInput(f"inputs.{name}: is required by flow {flow.name}: give it a value")
        try:
            values[name] = declaration.read(value)
        except ValueError as refusal:
            raise InvalidInput(f"inputs.{name}: {refusal}") from None
    return values


def _key(name: str) -> str:
    """What could not name an input may be anything, put in the wrong place."""
    return f"inputs.{name}" if _TELLABLE.fullmatch(name) else "inputs"

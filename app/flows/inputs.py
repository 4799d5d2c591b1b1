"""What a starter gave, against what the flow declares."""

from collections.abc import Mapping

from app.errors import InvalidInput
from app.flows.configuration import Flow

InputValue = str | bool | int | float


def checked_inputs(flow: Flow, given: Mapping[str, InputValue]) -> dict[str, str]:
    """Every declared input in its canonical text, defaults filled in; from JSON a value may have its type.

    ``InvalidInput`` names an input, never what was given for it.
    """
    if unknown := sorted(given.keys() - flow.inputs.keys()):
        known = ", ".join(sorted(flow.inputs)) or "none"
        raise InvalidInput(
            f"input {unknown[0]!a} is not declared by flow {flow.name}, which declares: {known}"
        )
    values: dict[str, str] = {}
    for name, declaration in flow.inputs.items():
        value = given.get(name, declaration.default)
        if value is None:
            raise InvalidInput(f"input {name} is required by flow {flow.name}: give --input {name}=VALUE")
        try:
            values[name] = declaration.read(value)
        except ValueError as refusal:
            raise InvalidInput(f"input {name}: {refusal}") from None
    return values

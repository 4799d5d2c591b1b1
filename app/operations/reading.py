"""What is given to an operation, read strictly; a fault names key and remedy, never what was given."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import TypeVar, get_origin

import orjson
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from app.flows.faults import SHOWN_FAULTS, ConfigurationError
from app.flows.names import NAME_PATTERN
from app.operations.problem import Problem
from app.representation import configuration_fault

Model = TypeVar("Model", bound=BaseModel)
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,18})", re.ASCII)
_WIDEST = range(-(2**63), 2**63)
_LONGEST_KEY = 32
_REMEDIES = {
    "extra_forbidden": "leave it out: there is no such key",
    "missing": "is required",
    "string_type": "write a text",
    "string_too_short": "must not be empty",
    "string_too_long": "write at most {max_length} characters",
    "string_pattern_mismatch": "has a character that cannot stand here",
    "bool_type": "write true or false",
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "write a whole number"),
    "greater_than_equal": "write {ge} or more",
    "less_than_equal": "write {le} or less",
    **dict.fromkeys(("enum", "literal_error"), "choose {expected}"),
    "list_type": "give a list",
    "too_short": "give at least {min_length}",
    "too_long": "give at most {max_length}",
    **dict.fromkeys(("mapping_type", "dict_type", "model_type", "model_attributes_type"), "give an object"),
}
"""By the validator's type of fault, in the words of its context; ``schemas.Form`` words a pattern."""


def read_texts(model: type[Model], given: Mapping[str, str]) -> Model:
    """Texts of a URL; what the model wants as a number or a boolean must be written as JSON writes it."""
    values = {name: _scalar(model, name, text) for name, text in given.items()}
    return model.model_validate_json(orjson.dumps(values), strict=True)


def _scalar(model: type[BaseModel], name: str, text: str) -> str | int | bool:
    field = model.model_fields.get(name)
    wanted = str(field.annotation) if field is not None else ""
    if "int" in wanted and _WHOLE.fullmatch(text) and int(text) in _WIDEST:
        return int(text)
    if "bool" in wanted and text in {"true", "false"}:
        return text == "true"
    return text


def fault_of(text: str) -> tuple[str, str]:
    """``key: fix``, the key as JSON has it; a sentence without one is about the whole request."""
    key, colon, fix = text.partition(": ")
    if not colon or " " in key:
        return "request", text
    first, dot, rest = key.partition(".")
    return first.replace("-", "_") + dot + rest, fix


def misconfigured(error: ConfigurationError) -> Problem:
    """Each of the first faults with its place; ``detail`` says how many more there are."""
    errors = [configuration_fault(fault) for fault in error.faults[:SHOWN_FAULTS]]
    return Problem(422, "Unprocessable Content", "; ".join(str(error).splitlines()), errors=errors)


def faults(error: ValidationError, model: type[BaseModel]) -> list[tuple[str, str]]:
    found = error.errors(include_url=False, include_input=False)
    return [(_key(each, model), _remedy(each)) for each in found[:20]]


def _key(fault: ErrorDetails, model: type[BaseModel]) -> str:
    outer, *inner = fault["loc"] or ("body",)
    if inner and _is_table(model, outer) and re.fullmatch(NAME_PATTERN, str(inner[0])):
        return f"{outer}.{inner[0]}"  # the caller's own name of it
    return ".".join(tellable(part, model) for part in fault["loc"]) or "body"


def _is_table(model: type[BaseModel], key: str | int) -> bool:
    field = model.model_fields.get(str(key))
    return field is not None and get_origin(field.annotation) is Mapping


def tellable(part: str | int, model: type[BaseModel]) -> str:
    """A key that is no misspelling of one that there is may be a secret in the wrong place."""
    is_near = isinstance(part, int) or get_close_matches(part[:_LONGEST_KEY], model.model_fields, 1, 0.75)
    return str(part)[:_LONGEST_KEY] if is_near else "(unknown key)"


def _remedy(fault: ErrorDetails) -> str:
    worded = _REMEDIES.get(fault["type"])
    return worded.format_map(fault.get("ctx", {})) if worded else fault["msg"].removeprefix("Value error, ")

"""What a request gives, read strictly; a fault names the key and the remedy, never what was given."""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TypeVar, get_origin

import orjson
from flask import request
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from app.endpoints.problems import Problem
from app.flows.faults import SHOWN_FAULTS, ConfigurationError
from app.flows.names import NAME_PATTERN
from app.representation import configuration_fault as shown

Model = TypeVar("Model", bound=BaseModel)
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,18})", re.ASCII)
_WIDEST = range(-(2**63), 2**63)
_LONGEST_KEY = 32
_REMEDIES = {"extra_forbidden": "leave it out: there is no such key", "missing": "is required"}


def read_body(model: type[Model]) -> Model:
    if request.mimetype != "application/json":
        raise Problem(415, "Unsupported Media Type", "Content-Type must be application/json.")
    data = request.get_data()
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:
        raise Problem(400, "Bad Request", "The body is not JSON.") from None
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        raise unprocessable(_faults(error, model)) from None


def read_content(media_type: str) -> bytes:
    if request.mimetype != media_type:
        raise Problem(415, "Unsupported Media Type", f"Content-Type must be {media_type}.")
    return request.get_data()


def read_query(model: type[Model]) -> Model:
    repeated = [name for name, values in request.args.lists() if len(values) > 1]
    if repeated:
        raise unprocessable((_tellable(name, model), "give it once") for name in repeated)
    try:
        return read_texts(model, request.args)
    except ValidationError as error:
        raise unprocessable(_faults(error, model)) from None


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


def unprocessable(faults: Iterable[tuple[str, str]]) -> Problem:
    faults = list(faults)
    detail = "; ".join(f"{key}: {fix}" for key, fix in faults)
    errors = [{"key": key, "fix": fix} for key, fix in faults]
    return Problem(422, "Unprocessable Content", detail, errors=errors)


def misconfigured(error: ConfigurationError) -> Problem:
    """Each of the first faults with its place; ``detail`` says how many more there are."""
    errors = [shown(fault) for fault in error.faults[:SHOWN_FAULTS]]
    detail = "; ".join(str(error).splitlines())
    return Problem(422, "Unprocessable Content", detail, errors=errors)


def _faults(error: ValidationError, model: type[BaseModel]) -> list[tuple[str, str]]:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return [(_key(each, model), _remedy(each)) for each in found[:20]]


def _key(fault: ErrorDetails, model: type[BaseModel]) -> str:
    outer, *inner = fault["loc"] or ("body",)
    if inner and _is_table(model, outer) and re.fullmatch(NAME_PATTERN, str(inner[0])):
        return f"{outer}.{inner[0]}"  # the caller's own name of it
    return ".".join(_tellable(part, model) for part in fault["loc"]) or "body"


def _is_table(model: type[BaseModel], key: str | int) -> bool:
    field = model.model_fields.get(str(key))
    return field is not None and get_origin(field.annotation) is Mapping


def _tellable(part: str | int, model: type[BaseModel]) -> str:
    """A key that is no misspelling of one that there is may be a secret in the wrong place."""
    is_near = isinstance(part, int) or get_close_matches(part[:_LONGEST_KEY], model.model_fields, 1, 0.75)
    return str(part)[:_LONGEST_KEY] if is_near else "(unknown key)"


def _remedy(fault: ErrorDetails) -> str:
    return _REMEDIES.get(fault["type"], fault["msg"].removeprefix("Value error, "))

"""Pydantic's errors in our words: the remedy, never the value."""

import difflib
from collections.abc import Container, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from app.flows import schema
from app.flows.declared_types import no_text
from app.flows.faults import Path

_ELSEWHERE = {
    "before_script": "is not a key here: put its lines in `setup_script`",
    "after_script": "is not a key here: put its lines last in `script`, or in a `trap`",
    "network_policy": "no executor of this server can enforce it, and it is not ignored: remove it",
    "gcp_secret_manager": "is not available: use `vault` or `aws_secrets_manager`",
    "azure_key_vault": "is not available: use `vault` or `aws_secrets_manager`",
    "akeyless": "is not available: use `vault` or `aws_secrets_manager`",
    "gitlab_secrets_manager": "is not available: use `vault` or `aws_secrets_manager`",
}
"""Keys that a reader of GitLab's documentation may try."""

_WANTED = {
    "string_type": "text",
    "dict_type": "a table, `name: …` on indented lines",
    "mapping_type": "a table, `name: …` on indented lines",
    "model_type": "a table, `key: value` on indented lines",
    "tuple_type": "a list, one `- …` per line",
    "bool_type": "`true` or `false`, without quotes",
}

_REMEDIES = {
    "value_error": "{error}",  # worded by our own checks
    "missing": "is required: add it",
    "literal_error": "must be {expected}",
    "string_too_long": "is longer than {max_length} characters: shorten it",
    "string_too_short": "is empty: fill it in or remove it",
    "too_short": "is empty: add an entry",
    "too_long": "has more than {max_length} entries: remove some",
}
_REMEDY_ELSE = "is not what belongs here: compare it with the guide"


def refusals(
    error: ValidationError, model: type[BaseModel], keys: Container[Path]
) -> Iterator[tuple[Path, str]]:
    """Path and message of each error; ``keys`` are the paths that the document really has."""
    for details in error.errors(include_url=False):
        if details["type"] == "too_short" and details["input"]:
            continue  # it has entries, all wrong, and each has an error of its own
        path = _path(details, keys)
        yield path, _message(details, path, model)


def _path(error: ErrorDetails, keys: Container[Path]) -> Path:
    """Pydantic's own marks (``[key]``, the chosen form of a union) are left out of its location."""
    path: Path = ()
    for part in error["loc"]:
        path = (*path, part) if (*path, part) in keys else path
    return (*path, error["loc"][-1]) if error["type"] == "missing" else path


def _message(error: ErrorDetails, path: Path, model: type[BaseModel]) -> str:
    kind = error["type"]
    if kind in _WANTED:
        return _wrong_type(_WANTED[kind], error["input"])
    if kind == "extra_forbidden":
        return _unknown_key(str(path[-1]), _known_keys(model, path[:-1]))
    return _REMEDIES.get(kind, _REMEDY_ELSE).format_map(error.get("ctx", {}))


def _known_keys(model: type[BaseModel], path: Path) -> list[str]:
    """The keys that the published JSON Schema of ``model`` knows and recommends at ``path``."""
    known = schema.of(model)
    places = list(_resolved(known, known))
    for part in path:
        inner = (child for place in places for child in _children(place, part))
        places = [resolved for child in inner for resolved in _resolved(child, known)]
    described = (each for place in places for each in place.get("properties", {}).items())
    return sorted({key for key, value in described if not value.get("deprecated")})


def _children(place: Mapping[str, Any], part: str | int) -> Iterator[Mapping[str, Any]]:
    if part in place.get("properties", ()):
        yield place["properties"][part]
    elif isinstance(values := place.get("additionalProperties"), dict):
        yield values


def _resolved(node: Mapping[str, Any], root: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if "$ref" in node:
        yield from _resolved(root["$defs"][node["$ref"].rpartition("/")[2]], root)
        return
    yield node
    for choice in (*node.get("anyOf", ()), *node.get("oneOf", ())):
        yield from _resolved(choice, root)


def _unknown_key(key: str, known: list[str]) -> str:
    if key in _ELSEWHERE:
        return _ELSEWHERE[key]
    if key in known:
        return "does not belong to a value of this type: remove it"
    if close := difflib.get_close_matches(key[:64], known, n=1):
        return f"unknown key: did you mean `{close[0]}`?"
    return "unknown key: known here are " + ", ".join(f"`{name}`" for name in known)


def _wrong_type(wanted: str, given: Any) -> str:
    if given is None:
        return f"is empty: it must be {wanted}"
    if wanted != "text":
        return f"must be {wanted}"
    if isinstance(given, bool):
        return "YAML reads this word as true or false: put it in quotes"
    return no_text(given)

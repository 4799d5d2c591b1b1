"""Variables in an ``aud``: expanded once, so that a value can never bring in another name."""

import re
from collections.abc import Mapping

from app.errors import InvalidInput

MAX_EXPANDED = 4096

_REFERENCE = re.compile(
    r"\$(?:(?P<dollar>\$)|(?P<bare>[A-Za-z_][A-Za-z0-9_]*)|\{(?P<braced>[A-Za-z_][A-Za-z0-9_]*)\})?"
)


def expand(text: str, variables: Mapping[str, str], key: str) -> str:
    """Replaces ``$NAME`` and ``${NAME}``, and ``$$`` by a dollar; ``key`` is what a refusal names."""
    pieces, length, end = [], 0, 0
    for match in _REFERENCE.finditer(text):
        pieces += [text[end : match.start()], _meant(match, variables, key)]
        length += len(pieces[-2]) + len(pieces[-1])
        end = match.end()
        if length > MAX_EXPANDED:
            break
    if length + len(text) - end > MAX_EXPANDED:
        raise InvalidInput(f"{key}: expands to more than {MAX_EXPANDED} characters: use shorter variables")
    return "".join([*pieces, text[end:]])


def references(text: str) -> frozenset[str]:
    """The names whose values ``expand`` would ask for."""
    return frozenset(name for match in _REFERENCE.finditer(text) if (name := _name(match)))


def check_expandable(text: str) -> str | None:
    """Why ``text`` could not be expanded whatever the variables are; ``None`` when it could."""
    lone = any(match.group() == "$" for match in _REFERENCE.finditer(text))
    return "a lone `$`: write `$NAME`, `${NAME}`, or `$$` for a dollar" if lone else None


def _meant(match: re.Match[str], variables: Mapping[str, str], key: str) -> str:
    if match["dollar"]:
        return "$"
    name = _name(match)
    if name is None:
        raise InvalidInput(f"{key}: {check_expandable('$')}")
    if name not in variables:
        remedy = "declare it under `variables`, or as a variable of the project"
        raise InvalidInput(f"{key}: there is no variable {name[:128]}: {remedy}")
    return variables[name]


def _name(match: re.Match[str]) -> str | None:
    return match["bare"] or match["braced"]

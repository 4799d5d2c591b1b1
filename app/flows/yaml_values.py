"""Plain data out of YAML nodes, with the place of every key.

Text, numbers, ``true``/``false``, lists and tables are all there is. Whatever YAML 1.1 would turn into
something that its author did not type (``0755``, ``1.10``, ``12:30``, dates) has to be quoted.
"""

import re
from dataclasses import dataclass, field
from typing import Any, cast

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from app.flows.faults import ConfigurationError, Fault, Path, dotted

MAX_BYTES = 256 * 1024
MAX_DEPTH = 20
MAX_NODES = 10_000
"""Counted after aliases are expanded, like ``MAX_BYTES``: that is what stops a YAML bomb."""

TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels, or an alias inside its own anchor: flatten it"
_GROWS = "its aliases expand to more than the file may hold: write fewer of them"
_NOT_TEXT = "YAML does not read this as the text it looks like: put it in quotes"
_TAGGED = "YAML tags are not taken: remove the `!…`"
_MERGE = "merge keys are not taken: write the keys out (an alias for a whole value is fine)"
_UNUSABLE = "has a character that no environment variable can hold: remove its escape"
_CANONICAL_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")
_FRACTION = re.compile(r"-?(?:0|[1-9][0-9]{0,14})\.[0-9]{1,15}")
NO_ENVIRONMENT = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Position:
    """Line and column, from 1."""

    line: int
    column: int


START = Position(1, 1)


@dataclass(frozen=True, slots=True)
class Source:
    """The data of a document, where its keys stand, and what a strict reading already found wrong."""

    data: dict[str, Any] = field(default_factory=dict)
    positions: dict[Path, Position] = field(default_factory=lambda: {(): START})
    faults: list[Fault] = field(default_factory=list)

    def fault(self, path: Path, message: str) -> Fault:
        """A fault at the key of ``path``, or, where that is missing, at the nearest one around it."""
        at = path
        while at not in self.positions:
            at = at[:-1]
        position = self.positions[at]
        return Fault(position.line, position.column, dotted(path), message)


class Reader:
    """Turns nodes into data, noting each key's place; stops only where it could not end."""

    def __init__(self, tagged: set[Node]) -> None:
        self.source = Source()
        self._tagged = tagged
        self._nodes_left = MAX_NODES
        self._text_left = MAX_BYTES

    def value(self, node: Node, path: Path, depth: int) -> Any:
        self._spend(node, path, depth)
        if node in self._tagged:
            self._fault(path, _TAGGED)
        if isinstance(node, MappingNode):
            return self._table(node, path, depth)
        if isinstance(node, SequenceNode):
            return [self._item(item, (*path, i), depth) for i, item in enumerate(node.value)]
        return self._scalar(cast("ScalarNode", node), path)

    def _table(self, node: MappingNode, path: Path, depth: int) -> dict[str, Any]:
        table: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, path)
            at = (*path, key)
            if at in self.source.positions:
                first = self.source.positions[at].line
                twice = f"stands here twice, first in line {first}: keep one"
                self.source.faults.append(_fault(place(key_node.start_mark), at, twice))
                continue
            self.source.positions[at] = place(key_node.start_mark)
            if message := self._wrong_key(key_node):
                self._fault(at, message)
            else:
                table[key] = self.value(value_node, at, depth + 1)
        return table

    def _key(self, node: Node, path: Path) -> str:
        self._spend(node, path, depth=0)
        return str(node.value) if isinstance(node, ScalarNode) else "?"

    def _wrong_key(self, node: Node) -> str | None:
        if node in self._tagged:
            return _TAGGED
        if not isinstance(node, ScalarNode):
            return "a key must be text: write one word before the colon"
        if NO_ENVIRONMENT.search(node.value):
            return _UNUSABLE
        kind = _kind(node)
        return None if kind == "str" else _MERGE if kind == "merge" else _NOT_TEXT

    def _item(self, node: Node, path: Path, depth: int) -> Any:
        self.source.positions[path] = place(node.start_mark)
        return self.value(node, path, depth + 1)

    def _scalar(self, node: ScalarNode, path: Path) -> str | int | float | bool | None:
        text: str = node.value
        kind = "str" if node in self._tagged else _kind(node)
        if kind == "null":
            return None
        if kind == "bool":
            return yaml.SafeLoader.bool_values[text.lower()]
        if kind == "int" and _CANONICAL_INTEGER.fullmatch(text):
            return int(text)
        if kind == "float" and _FRACTION.fullmatch(text) and str(float(text)) == text:
            return float(text)
        if kind != "str":
            self._fault(path, _NOT_TEXT)
        elif NO_ENVIRONMENT.search(text):
            self._fault(path, _UNUSABLE)
        return text

    def _spend(self, node: Node, path: Path, depth: int) -> None:
        self._nodes_left -= 1
        self._text_left -= len(node.value) if isinstance(node, ScalarNode) else 0
        if depth > MAX_DEPTH:
            raise ConfigurationError([self.source.fault(path, TOO_DEEP)])
        if self._nodes_left < 0 or self._text_left < 0:
            raise ConfigurationError([self.source.fault(path, _GROWS)])

    def _fault(self, path: Path, message: str) -> None:
        self.source.faults.append(self.source.fault(path, message))


def place(mark: Any) -> Position:
    return Position(mark.line + 1, mark.column + 1) if mark else START


def _kind(node: ScalarNode) -> str:
    return str(node.tag).rpartition(":")[2]


def _fault(position: Position, path: Path, message: str) -> Fault:
    return Fault(position.line, position.column, dotted(path), message)

"""Reads the YAML of an ``agent-config.yml``, or refuses it in bounded time, with line and column."""

from typing import Any, NoReturn, cast

import yaml
from yaml.composer import ComposerError
from yaml.nodes import MappingNode, Node

from app.flows.faults import ConfigurationError, Fault
from app.flows.yaml_values import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_NODES,
    START,
    TOO_DEEP,
    Position,
    Reader,
    Source,
    place,
)

_TOO_MANY = f"more than {MAX_NODES} values: make the file smaller"

_SYNTAX = {
    "found character '\\t'": "a tab cannot indent: use spaces",
    "mapping values are not allowed": "a second `: ` in one line: put the text in quotes",
    "found undefined alias": "an alias without an anchor above it: define it first, or put the `*` in quotes",
    "second occurrence": "an anchor of this name exists already: give it another name",
    "but found another document": "only one document is read: remove the `---`",
    "found unexpected end of stream": "a quote is never closed: close it",
    "expected <block end>": "the indentation does not fit the lines above, or text follows a closing quote",
    TOO_DEEP: TOO_DEEP,
    _TOO_MANY: _TOO_MANY,
}
_SYNTAX_ELSE = "not valid YAML: look at the indentation, the brackets, and quotes around `@ % & * ! : #`"


def load(body: bytes) -> Source:
    """Reads one document, a table; raises ``ConfigurationError`` where there is no reading on."""
    text = _decode(body)
    loader = _Loader(text)
    try:
        root = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        _refuse(place(error.problem_mark or error.context_mark), _syntax(error.problem or ""))
    except (ValueError, OverflowError):  # PyYAML converts escapes and version numbers unchecked
        _refuse(place(loader.get_mark()), "an escape or a version that stands for nothing: correct it")
    if root is None:
        _refuse(START, "the file is empty: declare at least one flow under `flows:`")
    if not isinstance(root, MappingNode):
        _refuse(place(root.start_mark), "the file must be a table of keys such as `flows:`")
    reader = Reader(loader.tagged)
    reader.source.data.update(cast("dict[str, Any]", reader.value(root, (), depth=1)))
    return reader.source


class _Loader(yaml.SafeLoader):
    """PyYAML's composer with bounds; it never constructs an object."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.tagged: set[Node] = set()
        self._depth = 0
        self._count = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]  # its stubs leave it out
        self._depth += 1
        self._count += 1
        if self._depth > MAX_DEPTH or self._count > MAX_NODES:
            problem = TOO_DEEP if self._depth > MAX_DEPTH else _TOO_MANY
            raise ComposerError(None, None, problem, event.start_mark)
        node = cast("Node", super().compose_node(parent, index))
        if getattr(event, "tag", None) is not None:
            self.tagged.add(node)
        self._depth -= 1
        return node


def _decode(body: bytes) -> str:
    if len(body) > MAX_BYTES:
        _refuse(START, f"the file is larger than {MAX_BYTES // 1024} KiB: make it smaller")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        before = body[: error.start].decode("utf-8")
        _refuse(_end_of(before), "not UTF-8 here: save the file in that encoding")
    if control := yaml.SafeLoader.NON_PRINTABLE.search(text):
        _refuse(_end_of(text[: control.start()]), "a control character here: remove it")
    return text


def _end_of(text: str) -> Position:
    return Position(text.count("\n") + 1, len(text) - text.rfind("\n"))


def _syntax(problem: str) -> str:
    """Our own words: PyYAML's may repeat what stands in the file."""
    return next((ours for theirs, ours in _SYNTAX.items() if problem.startswith(theirs)), _SYNTAX_ELSE)


def _refuse(position: Position, message: str) -> NoReturn:
    raise ConfigurationError([Fault(position.line, position.column, "", message)])

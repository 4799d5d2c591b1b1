"""The documentation as data: its pages, their fenced blocks, and the commands that they name."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.tools import ROOT

GUIDES = sorted([*(ROOT / "docs/guides").glob("*.md"), *(ROOT / "docs/runbooks").glob("*.md")])
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

_FENCE = re.compile(r"^```(?P<info>[^\n`]+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_ANY_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`(countersign [^`]+)`")
_CALL = re.compile(r"(?:^|[\s(])countersign (?P<arguments>[a-z][^|;&)`]*)")


@dataclass(frozen=True)
class Block:
    """One fenced block; its info string is a language and marks, as CONTRIBUTING.md explains them."""

    page: Path
    line: int
    language: str
    marks: tuple[str, ...]
    text: str

    def mark(self, name: str) -> str | None:
        """What stands after ``name=`` in the info string."""
        return next((mark.partition("=")[2] for mark in self.marks if mark.startswith(f"{name}=")), None)

    def __str__(self) -> str:
        return f"{name_of(self.page)}:{self.line}"


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, *languages: str) -> list[Block]:
    """The blocks of these languages, or all, in the order of the page."""
    text = page.read_text()
    found = []
    for fence in _FENCE.finditer(text):
        language, *marks = fence["info"].split()
        if not languages or language in languages:
            line = text.count("\n", 0, fence.start()) + 1
            found.append(Block(page, line, language, tuple(marks), fence["text"]))
    return found


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return _ANY_FENCE.sub("", page.read_text())


def rows(page: Path, number: int = 0) -> list[list[str]]:
    """The cells of the page's table of that number, without its head."""
    tables = re.findall(r"(?:^\|.*\n)+", prose(page) + "\n", re.MULTILINE)
    lines = tables[number].strip().split("\n")[2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))] for line in lines]


def commands(page: Path) -> Iterator[list[str]]:
    """The arguments of each ``countersign …`` that the page names, as a shell would split them."""
    for block in blocks(page, "sh", "console"):
        for line in block.text.replace("\\\n", " ").splitlines():
            for call in _CALL.finditer(line.removeprefix("$ ")):
                yield _split(call["arguments"])
    for inline in _INLINE.findall(prose(page)):
        for call in _CALL.finditer(inline):
            yield _split(call["arguments"])


def _split(arguments: str) -> list[str]:
    """Quotes are dropped, since a call may stand inside some: names and options have none."""
    return shlex.split(re.sub(r"['\"…]|\s(2?>|<).*", "", arguments), comments=True)

"""Writes docs/reference/conformance.md from the tests: `python -m tests.support.conformance`.

Each `@pytest.mark.spec(document, section, text)` is a line of a specification, and the test below it shows
that the line holds. Read from the syntax trees, so that nothing needs to run.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.tools import ROOT

PAGE = ROOT / "docs" / "reference" / "conformance.md"
_TESTS = ROOT / "tests"
_INTRODUCTION = """\
# Conformance

Which lines of which specification are shown to hold, and by which test. Written by
`python -m tests.support.conformance`; a test fails when it is out of date.
"""
NOT_SUPPORTED = {
    ("RFC 6749", "4.1"): "The authorization code grant: there is no authorization endpoint yet.",
    ("RFC 6749", "4.2, 4.3"): "The implicit and password grants, which RFC 9700 forbids.",
    ("RFC 6749", "6"): "Refresh tokens: a client asks again with its own credentials.",
    ("RFC 8693", "2"): "Token exchange; the delegated rendering of an access token is there.",
    ("OIDC Core 1.0", "3"): "Sign-in of users: the ID tokens are those of flows.",
}


@dataclass(frozen=True, order=True)
class Line:
    """One line of a specification, and the test that shows it."""

    document: str
    section: str
    text: str
    test: str


def lines() -> list[Line]:
    """Every marked line, by document and section."""
    found = {line for file in sorted(_TESTS.rglob("test_*.py")) for line in _lines(file)}
    return sorted(found, key=lambda line: (_numbers(line.document), _numbers(line.section), line))


def page() -> str:
    """The page as it should be."""
    marked = lines()
    documents = dict.fromkeys(line.document for line in marked)
    tables = [
        _table(document, [line for line in marked if line.document == document]) for document in documents
    ]
    return "\n".join([_INTRODUCTION, *tables, _admitted()])


def _table(document: str, marked: list[Line]) -> str:
    rows = [f"| {line.section} | {_cell(line.text)} | `{line.test}` |" for line in marked]
    return "\n".join([f"## {document}\n", "| § | line | test |", "|---|---|---|", *rows, ""])


def _admitted() -> str:
    rows = [f"| {document} | {section} | {why} |" for (document, section), why in NOT_SUPPORTED.items()]
    return "\n".join(["## Not supported\n", "| document | § | what |", "|---|---|---|", *rows, ""])


def _lines(file: Path) -> Iterator[Line]:
    place = file.relative_to(_TESTS)
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef):
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.spec":
                    document, section, text = (ast.literal_eval(each) for each in decorator.args)
                    yield Line(document, section, text, f"{place}::{node.name}")


def _numbers(text: str) -> list[tuple[int, str]]:
    """Section 10 after section 9."""
    return [(int(part or 0), other) for part, other in re.findall(r"(\d+)|(\D+)", text)]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page())

"""Writes the pages that the code knows best: ``python -m tests.docs.generate``."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from app.cli import main
from app.settings import PREFIX, declared
from tests.support.tools import ROOT

_NOTE = "<!-- Written by `python -m tests.docs.generate`; a test fails when it is out of date. -->"
_WIDTH = 100


_SETTINGS = f"""# Settings

{_NOTE}

Countersign is configured by environment variables. All that is wrong with them is reported at once, and a
`COUNTERSIGN_` name that is not listed here is refused: a misspelt setting would otherwise be silent.

A secret can be given in a file instead: the variable with `_FILE` names it, one line break at its end is
dropped. Durations are written `90s`, `15m`, `24h`, `30d`, or as a sum such as `1h30m`.

| variable | default | meaning |
|---|---|---|
"""

_CLI = f"""# The command line

{_NOTE}

`countersign` works on the database and keys of its own host, as the operator: the ledger names
`operator:<login name>`. [Settings](settings.md) say which installation it is.

Data goes to stdout, messages to stderr. With `--json` stdout is one object or one array and nothing else:
times are RFC 3339 in UTC, ids are integers, what is absent is `null`. The exit code is 0 when it was done,
1 when it was refused, 2 when the command was misspelt.

"""


def settings() -> str:
    rows = [_setting(name, metadata) for name, metadata in declared().items()]
    return _SETTINGS + "\n".join([*rows, ""])


def _setting(name: str, metadata: Mapping[str, Any]) -> str:
    variable = PREFIX + name.upper()
    names = f"`{variable}`" + (f"<br>`{variable}_FILE`" if metadata["secret"] else "")
    default = f"`{metadata['default']}`" if metadata["default"] else "none"
    return f"| {names} | {default} | {metadata['text']} |"


def cli() -> str:
    return _CLI + "\n".join(_section(path, command) for path, command in _commands(main, ("countersign",)))


def _commands(
    command: click.Command, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name, inner in sorted(command.commands.items()):
            if not inner.hidden:
                yield from _commands(inner, (*path, name))


def _section(path: tuple[str, ...], command: click.Command) -> str:
    context = click.Context(command, info_name=" ".join(path), terminal_width=_WIDTH)
    return f"## {' '.join(path)}\n\n```text\n{command.get_help(context)}\n```\n"


GENERATED = {"docs/reference/settings.md": settings, "docs/reference/cli.md": cli}


def write(root: Path = ROOT) -> None:
    for name, page in GENERATED.items():
        (root / name).write_text(page())


if __name__ == "__main__":
    write()

"""What every command has in common: the installation it works on, ``--json``, refusals and exit codes."""

import inspect
import os
import pwd
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click
import orjson
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app import log
from app.clock import parse_duration
from app.errors import Refusal
from app.flows.sources import SourceUnavailable
from app.ledger.record import Actor
from app.log import escaped
from app.settings import Settings
from app.wiring import Components

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object or array on stdout.")


class Number(click.IntRange):
    """The number of a row, as wide as its column; ``of`` says whose, such as ``a run``."""

    def __init__(self, of: str) -> None:
        super().__init__(1, 2**63 - 1)
        self.of = of

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            raise click.UsageError(f"ID is {self.of}'s number", ctx) from None


class Installation:
    """The database and keys of this host, used in the operator's name."""

    def __init__(self, settings: Settings) -> None:
        log.configure(settings.log_level)
        os.umask(0o077)  # whatever this installation writes is its own
        self.settings = settings
        self.components = Components(settings)

    @property
    def actor(self) -> Actor:
        return Actor(name=f"operator:{_login_name()}")

    @property
    def now(self) -> datetime:
        return self.components.clock()

    @contextmanager
    def writing(self) -> Iterator[Session]:
        self.require_schema()
        with self.components.database.writing() as session:
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        self.require_schema()
        with self.components.database.reading() as session:
            yield session

    def require_schema(self) -> None:
        if not self.components.database.at_head():
            raise Refused(self._why_no_schema())

    def _why_no_schema(self) -> str:
        database = self.components.database
        if not database.is_sqlite:
            return "the database is not there or not migrated: run countersign init"
        file = Path(database.url.database or "").absolute()
        if file.exists():
            return "the database's schema is not this version's: run countersign db upgrade"
        where = (
            "see COUNTERSIGN_DATABASE_URL"
            if self.settings.database_url
            else f"change to the installation's directory (COUNTERSIGN_HOME_DIR is {self.settings.home_dir})"
        )
        return f"there is no database at {file}: {where}, or run countersign init to make one here"

    def expiry(self, life: str | None) -> datetime | None:
        return None if life is None else self.now + duration("--expires", life)


class Refused(click.ClickException):
    """The rules say no: exit 1, in words, on stderr."""

    def show(self, file: Any = None) -> None:
        click.echo(f"countersign: {self.format_message()}", err=True, file=file)


class Command(click.Command):
    """Its help prints the example in one piece, so that it can be copied."""

    def __init__(self, *arguments: Any, **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        if self.help is not None:
            self.help = inspect.cleandoc(self.help).replace("\nExample:", "\n\b\nExample:")


class Commands(Command, click.Group):
    """A group whose commands end in a refusal, never in a traceback, when the rules say no."""

    command_class = Command

    def parse_args(self, context: click.Context, arguments: list[str]) -> list[str]:
        if any("\ud800" <= character <= "\udfff" for text in arguments for character in text):
            raise click.UsageError("an argument is not text in UTF-8", context)
        return super().parse_args(context, arguments)

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except SourceUnavailable as refusal:
            raise Refused(printable(refusal.for_operator)) from None
        except Refusal as refusal:
            raise Refused(str(refusal)) from None
        except OverflowError:
            raise Refused("a number or a time is larger than any there is") from None
        except DBAPIError as error:
            raise Refused(f"the database refused: {type(error).__name__}; see countersign doctor") from None


@contextmanager
def installation() -> Iterator[Installation]:
    """The installation that the environment names; closed at the end."""
    opened = Installation(Settings.from_env())
    try:
        yield opened
    finally:
        if "database" in vars(opened.components):
            opened.components.database.dispose()


def _login_name() -> str:
    """Of the account that this process has, whatever LOGNAME says; its number, if it has no name."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def duration(option: str, text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise click.UsageError(f"{option} {error}") from None


def show(shape: Mapping[str, Any], text: str, *, as_json: bool) -> None:
    """One object, for a program or for a person."""
    if as_json:
        click.echo(orjson.dumps(dict(shape)))
    else:
        click.echo(text)


def printable(text: str) -> str:
    """What came from outside moves no cursor and starts no line of its own."""
    return "".join(map(escaped, text))


def fields(shape: Mapping[str, Any]) -> str:
    """One line for each member."""
    return "\n".join(f"{name:22} {_cell(value, ', ')}" for name, value in shape.items())


def show_all(
    shapes: Iterable[Mapping[str, Any]], columns: Sequence[str], nothing: str, *, as_json: bool
) -> None:
    """An array, or a table; an empty one says on stderr what to do."""
    rows = list(shapes)
    if as_json:
        click.echo(orjson.dumps(rows))
    elif not rows:
        click.echo(nothing, err=True)
    else:
        _table(rows, columns)


def _table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    cells = [[column.replace("_", " ") for column in columns]]
    cells += [[_cell(row.get(column)) for column in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _cell(value: Any, between: str = " ") -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return printable(between.join(map(str, value))) or "-"
    return printable(str(value) if not isinstance(value, dict) else orjson.dumps(value).decode())

"""Statements that are compiled once, for the token path: there, what SQLAlchemy does around a statement costs
ten times what the database does.
"""

from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Dialect, Insert, Select
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

Values = Mapping[str, Any]
_Convert = Callable[[Any], Any] | None


class Prepared:
    """A statement of Core, and what its parameters and columns are converted with. Each parameter takes one
    value, never a list; an ``INSERT`` takes every column of its table.
    """

    def __init__(self, statement: Select[*tuple[Any, ...]] | Insert) -> None:
        self._statement = statement
        self._texts: dict[str, _Text] = {}
        columns = statement.selected_columns if isinstance(statement, Select) else ()
        self._types = [column.type for column in columns]
        names = [str(column.key) for column in columns]
        self._row: Any = namedtuple("Row", names, rename=True)  # type: ignore[misc]  # noqa: PYI024 - known only now

    def rows(self, connection: Connection, values: Values) -> list[Any]:
        """Named tuples, asked of the driver. The connection's transaction is taken part in, but none begun:
        alone, the statement is a snapshot of its own.
        """
        text = self._text(connection.dialect, values)
        with driver_cursor(connection, text.sql) as cursor:
            cursor.execute(text.sql, text.bind(values))
            found = cursor.fetchall()
        return [self._row._make(map(_converted, text.results, row)) for row in found]

    def row(self, connection: Connection, values: Values) -> Any | None:
        """The only row, if there is one."""
        found = self.rows(connection, values)
        if len(found) > 1:
            raise AssertionError("more than one row")
        return found[0] if found else None

    def execute(self, connection: Connection, *values: Values) -> None:
        """Once for each of the values, in the transaction that the connection has begun."""
        if not connection.in_transaction():
            raise AssertionError("no transaction")
        text = self._text(connection.dialect, values[0])
        with driver_cursor(connection, text.sql) as cursor:
            if len(values) == 1:
                cursor.execute(text.sql, text.bind(values[0]))
            else:
                cursor.executemany(text.sql, [text.bind(each) for each in values])

    def _text(self, dialect: Dialect, values: Values) -> "_Text":
        if (text := self._texts.get(dialect.name)) is None:
            text = self._texts[dialect.name] = _compiled(self._statement, self._types, dialect, values)
        return text


@dataclass(frozen=True, slots=True)
class _Text:
    """``constants`` are converted already; ``names`` is the order of a driver that takes no names."""

    sql: str
    constants: Values
    parameters: Mapping[str, _Convert]
    names: Sequence[str] | None
    results: Sequence[_Convert]

    def bind(self, values: Values) -> Any:
        given = {name: _converted(convert, values[name]) for name, convert in self.parameters.items()}
        if self.constants:
            given |= self.constants
        return given if self.names is None else tuple(map(given.__getitem__, self.names))


def _compiled(statement: Any, types: Sequence[TypeEngine[Any]], dialect: Dialect, values: Values) -> _Text:
    compiled: SQLCompiler = statement.compile(dialect=dialect)
    state = compiled.construct_expanded_state(values)

    def convert(name: str) -> _Convert:
        if name in compiled.binds:
            return compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect)
        found = state.processors.get(name)
        return found if callable(found) else None

    used = state.positiontup if compiled.positional else state.parameters
    names = dict.fromkeys(used or ())
    return _Text(
        state.statement,
        {name: _converted(convert(name), state.parameters[name]) for name in names if name not in values},
        {name: convert(name) for name in names if name in values},
        state.positiontup if compiled.positional else None,
        [each.dialect_impl(dialect).result_processor(dialect, None) for each in types],
    )


def _converted(convert: _Convert, value: Any) -> Any:
    return value if convert is None else convert(value)


@contextmanager
def driver_cursor(connection: Connection, sql: str) -> Iterator[DBAPICursor]:
    """The driver's own; what fails does so as any other statement: wrapped, told to whoever listens, and a
    lost connection is given up.
    """
    cursor = connection.connection.cursor()
    try:
        yield cursor
    except connection.dialect.loaded_dbapi.Error as error:
        connection._handle_dbapi_exception(error, sql, None, cursor, None)  # noqa: SLF001 - there is no door
    finally:
        cursor.close()

"""Events as files, for whoever reads them elsewhere: JSON Lines, and CSV that no spreadsheet executes."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from app.ledger.models import AuditRow

_NAMES = [column.name for column in AuditRow.__table__.columns]
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")


def json_lines(events: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    for event in events:
        yield orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE)


def csv_lines(events: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """With a head that names the columns (RFC 4180)."""
    written = io.StringIO(newline="")
    writer = csv.DictWriter(written, _NAMES)
    writer.writeheader()
    for event in events:
        writer.writerow({name: _cell(value) for name, value in event.items()})
        yield written.getvalue()
        written.seek(0)
        written.truncate()
    yield written.getvalue()


def _cell(value: Any) -> Any:
    """What a spreadsheet would take for a formula is quoted (CWE-1236)."""
    if isinstance(value, dict):
        return orjson.dumps(value).decode()
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULAS) else value

"""Pages by key: the next one begins after the last row of this one, whatever was added in between."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from typing import Any, TypeVar

import orjson
from sqlalchemy import Select
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.errors import InvalidInput
from app.operations.schemas import Paging
from app.representation import Shape

Row = TypeVar("Row")
Key = TypeVar("Key", int, str)


def page(
    session: Session,
    rows: Select[Any],
    key: InstrumentedAttribute[Key],
    asked: Paging,
    shape: Callable[[Any], Shape],
    *,
    newest_first: bool = False,
) -> Shape:
    """``rows`` in the order of ``key``, a column that is unique among them."""
    if asked.cursor is not None:
        after = position(asked.cursor, key.type.python_type)
        rows = rows.where(key < after if newest_first else key > after)
    order = key.desc() if newest_first else key
    found = list(session.scalars(rows.order_by(order).limit(asked.limit + 1)))
    items = found[: asked.limit]
    more = len(found) > len(items)
    return {
        "items": [shape(each) for each in items],
        "next_cursor": cursor_at(getattr(items[-1], key.key)) if more else None,
    }


def cursor_at(position: int | str) -> str:
    return urlsafe_b64encode(orjson.dumps([position])).rstrip(b"=").decode()


def position(cursor: str, kind: type) -> Any:
    """What ``cursor_at`` was given."""
    try:
        [found] = orjson.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, TypeError):
        found = None
    fits = "\x00" not in found if isinstance(found, str) else isinstance(found, int) and 0 <= found < 2**63
    if type(found) is not kind or not fits:
        raise InvalidInput("cursor: use the next_cursor of the page before, unchanged")
    return found

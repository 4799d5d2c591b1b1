"""Pages of what the caller may see, each row by the one decision."""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol, TypeVar

from sqlalchemy.orm import Session

from app.identity import facts, visible
from app.identity.models import Group, Project
from app.identity.policy import Question
from app.operations.call import Call
from app.operations.paging import cursor_at, position
from app.operations.schemas import Paging
from app.representation import Shape

Row = TypeVar("Row", Project, Group)


class Finder(Protocol[Row]):
    def __call__(
        self,
        session: Session,
        known: facts.Facts | None,
        question: Question,
        now: datetime,
        *,
        after: int,
        limit: int,
    ) -> visible.Page[Row]: ...


def seen(call: Call, find: Finder[Row], asked: Paging, shape: Callable[[Row], Shape]) -> Shape:
    """``find``: ``visible.projects`` or ``visible.groups``; a page may be short, its end is no end."""
    call.require_scope("project.read")
    caller = call.caller
    known = None if caller.sees_all else call.known()
    question = caller.question("project.read")
    after = position(asked.cursor, int) if asked.cursor is not None else 0
    found = find(call.session, known, question, call.now, after=after, limit=asked.limit)
    cursor = None if found.after is None else cursor_at(found.after)
    return {"items": [shape(row) for row in found.rows], "next_cursor": cursor}

"""Holding a human: whoever disables or kills them waits, and then meets what was begun."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.identity.models import Principal


def hold(session: Session, user_id: int, *, alone: bool = False) -> bool:
    """Whether they are enabled, until this transaction ends; ``alone``: nobody else holds them meanwhile.

    For PostgreSQL: of SQLite's writing transactions there is one at a time.
    """
    query = select(Principal.disabled_at).where(Principal.id == user_id)
    return session.execute(query.with_for_update(read=not alone)).scalar_one() is None

"""What is left of sessions, links and guesses is kept for a while, and then deleted; the ledger has told."""

from datetime import datetime, timedelta

from sqlalchemy import delete, func

from app.db import Database
from app.identity.guesses import WINDOW
from app.identity.session_models import BrowserSession, Guesses, SignInLink

_SESSIONS_ARE_KEPT = timedelta(days=30)
"""After their end, or after their last use: none may idle for so long."""
_LINKS_ARE_KEPT = timedelta(days=1)


def forget_old(database: Database, now: datetime) -> None:
    last = func.coalesce(BrowserSession.ended_at, BrowserSession.last_seen_at)
    with database.writing_connection() as connection:
        for old in (
            delete(BrowserSession).where(last <= now - _SESSIONS_ARE_KEPT),
            delete(SignInLink).where(SignInLink.expires_at <= now - _LINKS_ARE_KEPT),
            delete(Guesses).where(Guesses.since <= now - WINDOW),
        ):
            connection.execute(old)

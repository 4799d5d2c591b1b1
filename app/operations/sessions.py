"""Where a human is signed in: theirs to see and to end, and an administrator's."""

from sqlalchemy import ColumnElement, select

from app import representation as shapes
from app.errors import NotFound
from app.identity import session_ends
from app.identity import sessions as domain
from app.identity.models import User
from app.identity.session_models import BrowserSession
from app.operations.call import Call
from app.operations.operation import By, Resource
from app.operations.paging import page
from app.operations.schemas import Login, Number, Output, Page, Paging
from app.operations.users import find_own, find_visible
from app.representation import Shape

sessions = Resource("Sessions")


class SessionAnswer(Output):
    """`current`: the one that asks; `network`: that of the browser that signed in last."""

    id: int
    method: str
    agent: str
    network: str
    created_at: str
    authenticated_at: str
    last_seen_at: str
    expires_at: str
    current: bool


@sessions.operation("GET", "/users/{login}/sessions", by=By.PERSON, answer=Page[SessionAnswer])
def list_sessions(call: Call, login: Login, query: Paging) -> Shape:
    """List where a user is signed in, the newest sign-in first; what has ended is not told."""
    living = select(BrowserSession).where(_living(call, find_visible(call, login)))
    return page(
        call.session, living, BrowserSession.id, query, lambda row: _told(call, row), newest_first=True
    )


@sessions.operation("GET", "/users/{login}/sessions/{id}", by=By.PERSON, answer=SessionAnswer)
def get_session(call: Call, login: Login, id: Number) -> Shape:
    """Show a session that lives."""
    return _told(call, _find(call, find_visible(call, login), id))


@sessions.operation("DELETE", "/users/{login}/sessions/{id}", by=By.PERSON)
def end_session(call: Call, login: Login, id: Number) -> None:
    """End a session, at once and for ever."""
    row = _find(call, find_own(call, login), id)
    call.check(_told(call, row))
    session_ends.end(call.session, row.id, user_id=row.user_id, by=call.by, now=call.now)


@sessions.operation("DELETE", "/users/{login}/sessions", by=By.PERSON, conditional=False)
def end_other_sessions(call: Call, login: Login) -> None:
    """End all sessions of a user, but the one that asks."""
    user = find_own(call, login)
    session_ends.end_others(call.session, user.id, but=call.caller.session_id, by=call.by, now=call.now)


def _living(call: Call, user: User) -> ColumnElement[bool]:
    return domain.living(user.id, call.now, call.components.session_limits)


def _find(call: Call, user: User, number: int) -> BrowserSession:
    living = select(BrowserSession).where(_living(call, user), BrowserSession.id == number)
    row = call.session.scalar(living)
    if row is None:
        raise NotFound
    return row


def _told(call: Call, row: BrowserSession) -> Shape:
    shape = shapes.session(row, call.components.session_limits)
    return shape | {"current": row.id == call.caller.session_id}

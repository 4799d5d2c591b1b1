"""Users, by login; administrators change them, everybody sees themselves."""

from typing import Annotated

from pydantic import Field
from sqlalchemy import select

from app import representation as shapes
from app.errors import Conflict, Denied, NotFound
from app.identity import accounts
from app.identity.models import Principal, User
from app.operations.call import Call, Created, Hidden
from app.operations.operation import By, Resource
from app.operations.paging import page
from app.operations.schemas import Active, Form, Input, Login, Output, Page, Search
from app.representation import Shape

users = Resource("Users")
_EMAIL = r"^[\x21-\x3f\x41-\x7e]{1,64}@[A-Za-z0-9.-]{1,189}$"


class UserAnswer(Output):
    id: int
    principal: str
    login: str
    email: str
    admin: bool
    auditor: bool
    active: bool


class UserBody(Input):
    email: Annotated[
        str,
        Field(pattern=_EMAIL, examples=["alice@example.com"]),
        Form("write an address such as alice@example.com"),
    ]
    admin: Annotated[bool, Field(description="May administer this installation.", examples=[False])]
    auditor: Annotated[bool, Field(description="May read everything in the console.", examples=[False])] = (
        False
    )


@users.operation("GET", "/users", by=By.OVERSEER, answer=Page[UserAnswer])
def list_users(call: Call, query: Search) -> Shape:
    """List users; `search` finds by login and by e-mail."""
    return page(call.session, accounts.users(query.search), User.id, query, shapes.user)


@users.operation("GET", "/users/{login}", by=By.PERSON, answer=UserAnswer)
def get_user(call: Call, login: Login) -> Shape:
    """Show a user: oneself, or to administrators and auditors anybody."""
    return shapes.user(find_visible(call, login))


@users.operation("PUT", "/users/{login}", by=By.ADMINISTRATOR, answer=UserAnswer)
def put_user(call: Call, login: Login, body: UserBody) -> Shape | Created:
    """Create a user, or replace what is known of one; whether they are active stays."""
    user = call.session.scalar(select(User).where(User.login == login))
    if user is None:
        call.check(None)
        user = accounts.create_user(
            call.session,
            login,
            body.email,
            is_admin=body.admin,
            is_auditor=body.auditor,
            by=call.by,
            now=call.now,
        )
        return Created(shapes.user(user), f"/users/{login}")
    call.lock(user)
    call.check(shapes.user(user))
    if not body.admin:
        _keep_an_administrator(call, user)
    if (user.email, user.is_admin, user.is_auditor) != (body.email, body.admin, body.auditor):
        accounts.change_user(
            call.session,
            user,
            email=body.email,
            is_admin=body.admin,
            is_auditor=body.auditor,
            by=call.by,
            now=call.now,
        )
    return shapes.user(user)


@users.operation("PUT", "/users/{login}/active", by=By.ADMINISTRATOR, answer=UserAnswer, statuses=(200,))
def put_user_active(call: Call, login: Login, body: Active) -> Shape:
    """Disable a user, or enable them again; conditions are about the user."""
    user = accounts.find_user(call.session, login)
    call.lock(user)
    call.check(shapes.user(user))
    if not body.active:
        _keep_an_administrator(call, user)
    if (user.principal.disabled_at is None) is not body.active:
        accounts.set_user_active(call.session, user, active=body.active, by=call.by, now=call.now)
    return shapes.user(user)


def _keep_an_administrator(call: Call, user: User) -> None:
    """Somebody else must be left to administer, and stays so until this transaction ends."""
    active = select(User.id).join(Principal).where(User.is_admin, Principal.disabled_at.is_(None))
    left = set(call.session.scalars(active.order_by(User.id).with_for_update()))
    if left == {user.id}:
        raise Conflict("This is the last active administrator: make another one first.")


def find_visible(call: Call, login: str) -> User:
    """Oneself, or to whoever sees all anybody; to others nobody is there."""
    user = call.session.scalar(select(User).where(User.login == login))
    if call.caller.sees_all:
        if user is None:
            raise NotFound
        return user
    if user is None or not call.is_self(user.id):
        raise Hidden("another user, to somebody who does not see all")
    return user


def find_own(call: Call, login: str) -> User:
    """Whose things the caller may change: oneself, or to an administrator anybody."""
    user = find_visible(call, login)
    if not (call.caller.is_admin or call.is_self(user.id)):
        raise Denied("What is another's is for administrators to change.")
    return user

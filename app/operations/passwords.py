"""Passwords for the console: one's own with the present one beside it, and another's for an administrator."""

from typing import Annotated

from pydantic import Field

from app.clock import rfc3339
from app.errors import Denied, InvalidInput
from app.identity import passwords as domain
from app.identity.guesses import TooManyGuesses
from app.identity.models import User
from app.identity.password_rules import LONGEST, SHORTEST
from app.identity.session_models import Password
from app.identity.sessions import Browser
from app.operations.call import Call
from app.operations.caller import Proof
from app.operations.operation import By, Resource
from app.operations.problem import Problem
from app.operations.schemas import Input, Login, Output, Time
from app.operations.users import find_own, find_visible
from app.protocol.principals import user_principal
from app.representation import Shape
from app.secret import Secret

passwords = Resource("Passwords")
_LONGEST_BODY = 4 * LONGEST

Typed = Annotated[str, Field(max_length=_LONGEST_BODY)]


class PasswordAnswer(Output):
    set: bool
    changed_at: Time | None


class PasswordBody(Input):
    """`present`: what it was, of one's own; an administrator needs none for somebody else's."""

    password: Annotated[
        str,
        Field(
            max_length=_LONGEST_BODY,
            description=f"{SHORTEST} to {LONGEST} characters, and none that is tried first.",
            examples=["vellum harbor quince tally"],
        ),
    ]
    present: Annotated[Typed | None, Field(examples=[None])] = None


class PasswordSetAnswer(Output):
    """`sessions_ended`: all of theirs, but the one that it was changed in."""

    user: str
    login: str
    sessions_ended: list[int]


@passwords.operation("GET", "/users/{login}/password", by=By.PERSON, answer=PasswordAnswer)
def get_password(call: Call, login: Login) -> Shape:
    """Tell whether a user has a password, and since when it is this one."""
    row = call.session.get(Password, find_visible(call, login).id)
    return {"set": row is not None, "changed_at": rfc3339(row.changed_at) if row else None}


@passwords.operation(
    "PUT",
    "/users/{login}/password",
    by=By.PERSON,
    answer=PasswordSetAnswer,
    statuses=(200,),
    conditional=False,
    opens="nothing",
    problems=(429,),
)
def set_password(call: Call, login: Login, body: PasswordBody) -> Shape:
    """Set a password: one's own, or in the console to an administrator anybody's; the sessions of theirs end.

    A first one of one's own, and any of somebody else's, is set in the console, or by an operator with
    `countersign user password set`: a token that ends must not leave one behind.
    """
    parts = call.components
    with parts.database.reading() as session:
        user = find_own(call.within(session), login)
        has_one = session.get(Password, user.id) is not None
    if call.is_self(user.id):
        _prove(call, user, body.present, has_one=has_one)
    elif call.caller.proof is not Proof.SESSION:
        raise Denied(
            "Set another's password in the console, or on the server with countersign user password set: a "
            "token must not make itself another human."
        )
    new = domain.hashed(Secret(body.password), user.login, user.email)
    with parts.database.writing() as session:
        now = call.held(session)
        user = find_own(now, login)
        own = now.caller.session_id if now.is_self(user.id) else None
        ended = domain.set_password(session, user, new, by=call.by, now=call.now, but=own)
        return {"user": user_principal(user.id), "login": user.login, "sessions_ended": [*ended]}


def _prove(call: Call, user: User, present: str | None, *, has_one: bool) -> None:
    """Argon2 takes its time: outside of every transaction."""
    if not has_one:
        if call.caller.proof is not Proof.SESSION:
            raise Denied("Set your first password in the console, where you have shown who you are.")
        return
    if not present:
        raise InvalidInput("present: is required: type the password that you have now")
    try:
        asking = call.asking
        browser = Browser(agent="", address=asking.address, request_id=asking.request_id)
        call.components.password_sign_in.prove(user.login, Secret(present), browser, call.caller.session_id)
    except TooManyGuesses as refusal:
        raise Problem(
            429, "Too Many Requests", str(refusal), [("Retry-After", str(refusal.seconds))]
        ) from None
    except Denied as refusal:
        raise InvalidInput(f"present: {refusal}") from None

"""Personal access tokens: a human's own are theirs alone to make, and an administrator's too to end."""

from typing import Annotated

from pydantic import Field
from sqlalchemy import select

from app import representation as shapes
from app.errors import Denied, NotFound
from app.identity import credentials
from app.identity.models import PersonalAccessToken, User
from app.operations.call import Call, Created
from app.operations.operation import By, Resource
from app.operations.paging import page
from app.operations.schemas import Input, Login, Number, Output, Page, Paging, Scope, Time
from app.operations.users import find_own, find_visible
from app.representation import Shape

tokens = Resource("Personal access tokens")


class TokenAnswer(Output):
    id: int
    name: str | None
    scopes: list[str]
    created_at: Time
    expires_at: Time | None
    revoked_at: Time | None
    last_used_at: Time | None


class NewToken(TokenAnswer):
    token: Annotated[str, Field(description="Shown once, and kept nowhere.")]


class TokenBody(Input):
    name: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=credentials.LONGEST_NAME,
            description="What you know it by, such as where it is used.",
            examples=["backup of the wiki"],
        ),
    ] = None
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=50, examples=[["api"]])]
    expires_at: Annotated[
        Time | None, Field(description="Without it, and at the latest, as the token it is made with.")
    ] = None


@tokens.operation("GET", "/users/{login}/tokens", by=By.PERSON, answer=Page[TokenAnswer])
def list_tokens(call: Call, login: Login, query: Paging) -> Shape:
    """List a user's personal access tokens, dead ones too; never the tokens themselves."""
    user = find_visible(call, login)
    own = select(PersonalAccessToken).where(PersonalAccessToken.user_id == user.id)
    return page(call.session, own, PersonalAccessToken.id, query, shapes.personal_access_token)


@tokens.operation("POST", "/users/{login}/tokens", by=By.PERSON, answer=NewToken)
def create_token(call: Call, login: Login, body: TokenBody) -> Created:
    """Create a personal access token for oneself; it is shown once."""
    user = find_visible(call, login)
    if not call.is_self(user.id):
        raise Denied("Nobody makes another's token over the API: an operator of the host can.")
    mother = call.caller.personal_access_token_id
    row, token = credentials.create_personal_access_token(
        call.session,
        user,
        body.scopes,
        name=body.name,
        expires_at=call.expiry(body.expires_at),
        made_with=None if mother is None else call.session.get(PersonalAccessToken, mother),
        by=call.by,
        now=call.now,
    )
    shape, path = shapes.personal_access_token(row), f"/users/{login}/tokens/{row.id}"
    return Created(shape, path, shown_once={"token": token.reveal()})


@tokens.operation("GET", "/users/{login}/tokens/{id}", by=By.PERSON, answer=TokenAnswer)
def get_token(call: Call, login: Login, id: Number) -> Shape:
    """Show a personal access token, but not the token itself."""
    return shapes.personal_access_token(_find(call, find_visible(call, login), id))


@tokens.operation("DELETE", "/users/{login}/tokens/{id}", by=By.PERSON)
def revoke_token(call: Call, login: Login, id: Number) -> None:
    """Revoke a personal access token, at once and for ever."""
    row = _find(call, find_own(call, login), id)
    call.lock(row)
    call.check(shapes.personal_access_token(row))
    if row.revoked_at is None:
        credentials.revoke_personal_access_token(call.session, row.id, by=call.by, now=call.now)


def _find(call: Call, user: User, number: int) -> PersonalAccessToken:
    row = call.session.get(PersonalAccessToken, number)
    if row is None or row.user_id != user.id:
        raise NotFound
    return row

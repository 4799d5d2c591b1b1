"""Where a human or a service account has a role."""

from typing import Literal

from app.identity import memberships as domain
from app.identity.accounts import find_service_account
from app.operations.call import Call
from app.operations.operation import By, Resource
from app.operations.paging import cursor_at, position
from app.operations.schemas import AccountName, Login, Output, Page, Paging
from app.operations.users import find_visible
from app.representation import Shape

memberships = Resource("Memberships")


class PlaceRoleAnswer(Output):
    """A role in a group holds in everything below it."""

    place: Literal["project", "group"]
    path: str
    role: str


@memberships.operation("GET", "/users/{login}/memberships", by=By.PERSON, answer=Page[PlaceRoleAnswer])
def list_user_memberships(call: Call, login: Login, query: Paging) -> Shape:
    """List a user's roles by path: one's own, or to administrators and auditors anybody's."""
    return _page(call, find_visible(call, login).id, query)


@memberships.operation(
    "GET", "/service-accounts/{name}/memberships", by=By.OVERSEER, answer=Page[PlaceRoleAnswer]
)
def list_service_account_memberships(call: Call, name: AccountName, query: Paging) -> Shape:
    """List the roles that a service account was given, by path."""
    return _page(call, find_service_account(call.session, name).id, query)


def _page(call: Call, principal_id: int, asked: Paging) -> Shape:
    after = position(asked.cursor, str) if asked.cursor is not None else ""
    found = domain.given_to(call.session, principal_id, after=after, limit=asked.limit + 1)
    items = found[: asked.limit]
    cursor = cursor_at(items[-1].path) if len(found) > len(items) else None
    told = [{"place": kind, "path": path, "role": role} for kind, path, role in items]
    return {"items": told, "next_cursor": cursor}

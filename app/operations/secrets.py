"""Client secrets of service accounts: administrators make and end them."""

from typing import Annotated

from pydantic import Field
from sqlalchemy import select

from app import representation as shapes
from app.errors import NotFound
from app.identity import credentials
from app.identity.accounts import find_service_account
from app.identity.models import ClientSecret
from app.operations.call import Call, Created
from app.operations.operation import By, Resource
from app.operations.paging import page
from app.operations.schemas import AccountName, Input, Number, Output, Page, Paging, Search, Time
from app.operations.service_accounts import list_service_accounts
from app.protocol.principals import client_id
from app.representation import Shape

secrets = Resource("Client secrets")


class SecretAnswer(Output):
    id: int
    created_at: Time
    expires_at: Time | None
    revoked_at: Time | None
    last_used_at: Time | None


class NewSecret(SecretAnswer):
    client_id: str
    client_secret: Annotated[str, Field(description="Shown once, and kept nowhere.")]


class SecretBody(Input):
    expires_at: Annotated[Time | None, Field(description="Without it never.")] = None


class StandingAnswer(Output):
    """Of an account's secrets: how many work, when one was last used, and when the first of them expires."""

    service_account: str
    alive: int
    last_used_at: Time | None
    expires_first_at: Time | None


@secrets.operation("GET", "/client-secrets", by=By.OVERSEER, answer=Page[StandingAnswer])
def list_secret_standings(call: Call, query: Search) -> Shape:
    """List how the secrets of each service account stand, page by page as the accounts are listed."""
    found = list_service_accounts(call, query)
    of_all = credentials.standings(call.session, [each["id"] for each in found["items"]], call.now)
    items = [shapes.standing(each["name"], of_all.get(each["id"])) for each in found["items"]]
    return found | {"items": items}


@secrets.operation("GET", "/service-accounts/{name}/secrets", by=By.OVERSEER, answer=Page[SecretAnswer])
def list_secrets(call: Call, name: AccountName, query: Paging) -> Shape:
    """List a service account's secrets, dead ones too; never the secrets themselves."""
    account = find_service_account(call.session, name)
    own = select(ClientSecret).where(ClientSecret.service_account_id == account.id)
    return page(call.session, own, ClientSecret.id, query, shapes.client_secret)


@secrets.operation("POST", "/service-accounts/{name}/secrets", by=By.ADMINISTRATOR, answer=NewSecret)
def create_secret(call: Call, name: AccountName, body: SecretBody) -> Created:
    """Create a client secret; it is shown once. An account may have several at a time."""
    account = find_service_account(call.session, name)
    expires_at = call.expiry(body.expires_at)
    row, secret = credentials.create_client_secret(
        call.session, account, expires_at=expires_at, by=call.by, now=call.now
    )
    shown_once = {"client_id": client_id(account.id), "client_secret": secret.reveal()}
    path = f"/service-accounts/{name}/secrets/{row.id}"
    return Created(shapes.client_secret(row), path, shown_once=shown_once)


@secrets.operation("GET", "/service-accounts/{name}/secrets/{id}", by=By.OVERSEER, answer=SecretAnswer)
def get_secret(call: Call, name: AccountName, id: Number) -> Shape:
    """Show a client secret, but not the secret itself."""
    return shapes.client_secret(_find(call, name, id))


@secrets.operation("DELETE", "/service-accounts/{name}/secrets/{id}", by=By.ADMINISTRATOR)
def revoke_secret(call: Call, name: AccountName, id: Number) -> None:
    """Revoke a client secret, at once and for ever."""
    row = _find(call, name, id)
    call.lock(row)
    call.check(shapes.client_secret(row))
    if row.revoked_at is None:
        account = find_service_account(call.session, name)
        credentials.revoke_client_secret(call.session, account, row.id, by=call.by, now=call.now)


def _find(call: Call, name: str, number: int) -> ClientSecret:
    account = find_service_account(call.session, name)
    row = call.session.get(ClientSecret, number)
    if row is None or row.service_account_id != account.id:
        raise NotFound
    return row

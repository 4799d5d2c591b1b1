"""Service accounts, by name; every human may know of them, to let one act for them."""

from typing import Annotated

from pydantic import Field
from sqlalchemy import select

from app import representation as shapes
from app.errors import Conflict
from app.identity import accounts
from app.identity.models import ServiceAccount
from app.operations.call import Call, Created
from app.operations.operation import By, Resource
from app.operations.paging import page
from app.operations.schemas import AccountName, Active, Input, Output, Page, Search
from app.representation import Shape

service_accounts = Resource("Service accounts")


class ServiceAccountAnswer(Output):
    id: int
    principal: str
    name: str
    client_id: str
    composite: bool
    active: bool


class ServiceAccountBody(Input):
    composite: Annotated[bool, Field(description="It can do nothing without a human to act for.")] = True


@service_accounts.operation("GET", "/service-accounts", by=By.PERSON, answer=Page[ServiceAccountAnswer])
def list_service_accounts(call: Call, query: Search) -> Shape:
    """List service accounts."""
    found = accounts.service_accounts(query.search)
    return page(call.session, found, ServiceAccount.id, query, shapes.service_account)


@service_accounts.operation("GET", "/service-accounts/{name}", by=By.PERSON, answer=ServiceAccountAnswer)
def get_service_account(call: Call, name: AccountName) -> Shape:
    """Show a service account."""
    return shapes.service_account(accounts.find_service_account(call.session, name))


@service_accounts.operation(
    "PUT", "/service-accounts/{name}", by=By.ADMINISTRATOR, answer=ServiceAccountAnswer
)
def put_service_account(call: Call, name: AccountName, body: ServiceAccountBody) -> Shape | Created:
    """Create a service account; of one that is there nothing can be replaced."""
    account = call.session.scalar(select(ServiceAccount).where(ServiceAccount.name == name))
    if account is None:
        call.check(None)
        account = accounts.create_service_account(
            call.session, name, is_composite=body.composite, by=call.by, now=call.now
        )
        return Created(shapes.service_account(account), f"/service-accounts/{name}")
    call.check(shapes.service_account(account))
    if account.is_composite is not body.composite:
        raise Conflict("composite: is decided once and for ever; create another service account")
    return shapes.service_account(account)


@service_accounts.operation(
    "PUT",
    "/service-accounts/{name}/active",
    by=By.ADMINISTRATOR,
    answer=ServiceAccountAnswer,
    statuses=(200,),
)
def put_service_account_active(call: Call, name: AccountName, body: Active) -> Shape:
    """Disable a service account, or enable it again; conditions are about the account."""
    account = accounts.find_service_account(call.session, name)
    call.lock(account)
    call.check(shapes.service_account(account))
    if (account.principal.disabled_at is None) is not body.active:
        accounts.set_service_account_active(
            call.session, account, active=body.active, by=call.by, now=call.now
        )
    return shapes.service_account(account)

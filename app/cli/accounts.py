"""``countersign user`` and ``service-account``."""

from typing import Any

import click

from app import representation as shapes
from app.cli.console import Commands, Number, installation, json_option, show, show_all
from app.identity import accounts, credentials
from app.identity.models import ServiceAccount, User
from app.protocol.principals import client_id


@click.group(cls=Commands)
def user() -> None:
    """Humans.

    Example: countersign user create alice --email alice@example.com
    """


@user.command("create")
@click.argument("login")
@click.option("--email", required=True)
@click.option("--admin", is_flag=True, help="May administer this installation.")
@click.option("--auditor", is_flag=True, help="May read everything in the console.")
@json_option
def create_user(login: str, email: str, admin: bool, auditor: bool, as_json: bool) -> None:
    """Create a user.

    Example: countersign user create alice --email alice@example.com
    """
    with installation() as here, here.writing() as session:
        row = accounts.create_user(
            session, login, email, is_admin=admin, is_auditor=auditor, by=here.actor, now=here.now
        )
        shape = shapes.user(row)
    show(shape, f"{shape['principal']} is {login}", as_json=as_json)


@user.command("list")
@click.option("--search", metavar="TEXT", help="Only those with TEXT in their login or e-mail.")
@json_option
def list_users(search: str | None, as_json: bool) -> None:
    """List users.

    Example: countersign user list --json
    """
    with installation() as here, here.reading() as session:
        found = accounts.users(search).order_by(User.id)
        rows = [shapes.user(row) for row in session.scalars(found)]
    columns = ("principal", "login", "email", "admin", "auditor", "active")
    nothing = "no users: countersign user create LOGIN --email E"
    show_all(rows, columns, nothing if search is None else "no user is like that", as_json=as_json)


@user.command("change")
@click.argument("login")
@click.option("--email", help="Stands in their tokens from the next one on.")
@click.option("--admin/--no-admin", default=None, help="May administer this installation.")
@click.option("--auditor/--no-auditor", default=None, help="May read everything in the console.")
@json_option
def change_user(
    login: str, email: str | None, admin: bool | None, auditor: bool | None, as_json: bool
) -> None:
    """Change what is known of a user; what is not given stays.

    Example: countersign user change alice --email alice@acme.example --no-admin
    """
    with installation() as here, here.writing() as session:
        row = accounts.find_user(session, login)
        session.refresh(row, with_for_update={"of": User})
        before = {"email": row.email, "is_admin": row.is_admin, "is_auditor": row.is_auditor}
        given = {"email": email, "is_admin": admin, "is_auditor": auditor}
        wanted: dict[str, Any] = before | {name: new for name, new in given.items() if new is not None}
        if wanted != before:
            accounts.change_user(session, row, **wanted, by=here.actor, now=here.now)
        shape = shapes.user(row)
    show(shape, f"{login} is as you said", as_json=as_json)


def _set_user_active(login: str, *, active: bool, as_json: bool) -> None:
    with installation() as here, here.writing() as session:
        row = accounts.find_user(session, login)
        accounts.set_user_active(session, row, active=active, by=here.actor, now=here.now)
        shape = shapes.user(row)
    show(shape, f"{login} is {'enabled' if active else 'disabled'}", as_json=as_json)


@user.command("disable")
@click.argument("login")
@json_option
def disable_user(login: str, as_json: bool) -> None:
    """Let nobody act for a user, nor the user act.

    Example: countersign user disable alice
    """
    _set_user_active(login, active=False, as_json=as_json)


@user.command("enable")
@click.argument("login")
@json_option
def enable_user(login: str, as_json: bool) -> None:
    """Undo disable.

    Example: countersign user enable alice
    """
    _set_user_active(login, active=True, as_json=as_json)


@user.group("token", cls=Commands)
def user_token() -> None:
    """Personal access tokens.

    Example: countersign user token create alice --scope api
    """


@user_token.command("create")
@click.argument("login")
@click.option("--scope", "scopes", multiple=True, required=True)
@click.option("--name", help="What its owner knows it by, such as where it is used.")
@click.option("--expires", help="Such as 30d; without it never.")
@json_option
def create_user_token(
    login: str, scopes: tuple[str, ...], name: str | None, expires: str | None, as_json: bool
) -> None:
    """Create a personal access token; it is shown once.

    Example: countersign user token create alice --scope api --name backup --expires 30d
    """
    with installation() as here, here.writing() as session:
        row, value = credentials.create_personal_access_token(
            session,
            accounts.find_user(session, login),
            scopes,
            name=name,
            expires_at=here.expiry(expires),
            by=here.actor,
            now=here.now,
        )
        told = {"name": row.name, "scopes": row.scopes}
        shape = shapes.expiring(row.id, row.expires_at, token=value.reveal()) | told
    show(shape, value.reveal(), as_json=as_json)


@user_token.command("revoke")
@click.argument("token_id", metavar="ID", type=Number("a token"))
@json_option
def revoke_user_token(token_id: int, as_json: bool) -> None:
    """Revoke a personal access token.

    Example: countersign user token revoke 3
    """
    with installation() as here, here.writing() as session:
        credentials.revoke_personal_access_token(session, token_id, by=here.actor, now=here.now)
    show({"id": token_id, "revoked": True}, f"token {token_id} is revoked", as_json=as_json)


@click.group("service-account", cls=Commands)
def service_account() -> None:
    """Machine identities.

    Example: countersign service-account create duo
    """


@service_account.command("create")
@click.argument("name")
@click.option("--not-composite", is_flag=True, help="It may act in its own name, for no human.")
@json_option
def create_service_account(name: str, not_composite: bool, as_json: bool) -> None:
    """Create a service account; unless told otherwise it can do nothing without a human to act for.

    Example: countersign service-account create duo
    """
    with installation() as here, here.writing() as session:
        row = accounts.create_service_account(
            session, name, is_composite=not not_composite, by=here.actor, now=here.now
        )
        shape = shapes.service_account(row)
    show(shape, f"{shape['principal']} is {name}, client id {shape['client_id']}", as_json=as_json)


@service_account.command("list")
@click.option("--search", metavar="TEXT", help="Only those with TEXT in their name.")
@json_option
def list_service_accounts(search: str | None, as_json: bool) -> None:
    """List service accounts.

    Example: countersign service-account list
    """
    with installation() as here, here.reading() as session:
        found = accounts.service_accounts(search).order_by(ServiceAccount.id)
        rows = [shapes.service_account(row) for row in session.scalars(found)]
    columns = ("principal", "name", "client_id", "composite", "active")
    nothing = "no service accounts: countersign service-account create NAME"
    show_all(rows, columns, nothing if search is None else "no account is like that", as_json=as_json)


def _set_service_account_active(name: str, *, active: bool, as_json: bool) -> None:
    with installation() as here, here.writing() as session:
        row = accounts.find_service_account(session, name)
        accounts.set_service_account_active(session, row, active=active, by=here.actor, now=here.now)
        shape = shapes.service_account(row)
    show(shape, f"{name} is {'enabled' if active else 'disabled'}", as_json=as_json)


@service_account.command("disable")
@click.argument("name")
@json_option
def disable_service_account(name: str, as_json: bool) -> None:
    """Let a service account do nothing, for anybody.

    Example: countersign service-account disable duo
    """
    _set_service_account_active(name, active=False, as_json=as_json)


@service_account.command("enable")
@click.argument("name")
@json_option
def enable_service_account(name: str, as_json: bool) -> None:
    """Undo disable.

    Example: countersign service-account enable duo
    """
    _set_service_account_active(name, active=True, as_json=as_json)


@service_account.group("secret", cls=Commands)
def service_account_secret() -> None:
    """Client secrets; an account may have several at a time.

    Example: countersign service-account secret create duo --expires 90d
    """


@service_account_secret.command("create")
@click.argument("name")
@click.option("--expires", help="Such as 90d; without it never.")
@json_option
def create_secret(name: str, expires: str | None, as_json: bool) -> None:
    """Create a client secret; it is shown once.

    Example: countersign service-account secret create duo --expires 90d
    """
    with installation() as here, here.writing() as session:
        account = accounts.find_service_account(session, name)
        row, value = credentials.create_client_secret(
            session, account, expires_at=here.expiry(expires), by=here.actor, now=here.now
        )
        shape = shapes.expiring(
            row.id, row.expires_at, client_id=client_id(account.id), client_secret=value.reveal()
        )
    show(shape, f"client id {shape['client_id']}\nclient secret {value.reveal()}", as_json=as_json)


@service_account_secret.command("revoke")
@click.argument("name")
@click.argument("secret_id", metavar="ID", type=Number("a secret"))
@json_option
def revoke_secret(name: str, secret_id: int, as_json: bool) -> None:
    """Revoke a client secret.

    Example: countersign service-account secret revoke duo 3
    """
    with installation() as here, here.writing() as session:
        account = accounts.find_service_account(session, name)
        credentials.revoke_client_secret(session, account, secret_id, by=here.actor, now=here.now)
    show({"id": secret_id, "revoked": True}, f"secret {secret_id} of {name} is revoked", as_json=as_json)

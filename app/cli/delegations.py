"""``countersign delegation``."""

from datetime import datetime

import click
from sqlalchemy import select
from sqlalchemy.orm import Session

from app import representation as shapes
from app.cli.console import Commands, Number, duration, installation, json_option, show, show_all
from app.clock import rfc3339
from app.identity import accounts, delegations
from app.identity.models import Delegation
from app.identity.projects import find_project
from app.protocol.scopes import API


@click.group(cls=Commands)
def delegation() -> None:
    """Who may act for whom.

    Example: countersign delegation grant --user alice --service-account duo
    """


@delegation.command("grant")
@click.option("--user", "login", required=True)
@click.option("--service-account", "name", required=True)
@click.option("--scope", "scopes", multiple=True, help="Scopes it covers (repeatable); without it all.")
@click.option("--project", "path", help="The project it is limited to; without it any.")
@click.option("--expires", default="30d", show_default=True)
@json_option
def grant(
    login: str, name: str, scopes: tuple[str, ...], path: str | None, expires: str, as_json: bool
) -> None:
    """Let a service account act for a user.

    Example: countersign delegation grant --user alice --service-account duo --expires 30d
    """
    with installation() as here, here.writing() as session:
        now = here.now
        row = delegations.grant(
            session,
            accounts.find_user(session, login),
            accounts.find_service_account(session, name),
            scopes=scopes or None,
            project=find_project(session, path) if path else None,
            expires_at=now + duration("--expires", expires),
            by=here.actor,
            now=now,
        )
        shape = shapes.delegation(row)
        already = [each for each in _others(session, row, now) if _covers(each, row)]
    for each in already:
        click.echo(f"note: delegation {each.id} does so already, until {rfc3339(each.expires_at)}", err=True)
    show(
        shape, f"delegation {row.id}: {name} may act for {login} until {shape['expires_at']}", as_json=as_json
    )


@delegation.command("list")
@json_option
def list_delegations(as_json: bool) -> None:
    """List delegations.

    Example: countersign delegation list
    """
    with installation() as here, here.reading() as session:
        rows = [shapes.delegation(row) for row in delegations.listed(session)]
    columns = ("id", "user_login", "service_account_name", "scopes", "project", "expires_at", "revoked_at")
    nothing = "no delegations: countersign delegation grant --user LOGIN --service-account NAME"
    show_all(rows, columns, nothing, as_json=as_json)


@delegation.command("revoke")
@click.argument("delegation_id", metavar="ID", type=Number("a delegation"))
@json_option
def revoke_delegation(delegation_id: int, as_json: bool) -> None:
    """End a delegation.

    Example: countersign delegation revoke 3
    """
    with installation() as here, here.writing() as session:
        row = delegations.revoke(session, delegation_id, by=here.actor, now=here.now)
        shape = shapes.delegation(row)
        remaining = [each.id for each in _others(session, row, here.now)]
    for number in remaining:
        pair = f"{shape['service_account_name']} act for {shape['user_login']}"
        click.echo(f"note: delegation {number} still lets {pair}", err=True)
    show(shape, f"delegation {delegation_id} is revoked", as_json=as_json)


def _others(session: Session, delegation: Delegation, now: datetime) -> list[Delegation]:
    """Alive, and of the same two parties."""
    query = select(Delegation).where(
        Delegation.user_id == delegation.user_id,
        Delegation.service_account_id == delegation.service_account_id,
        Delegation.id != delegation.id,
        Delegation.revoked_at.is_(None),
        Delegation.expires_at > now,
    )
    return list(session.scalars(query.order_by(Delegation.id)))


def _covers(wider: Delegation, delegation: Delegation) -> bool:
    scopes = set(wider.scopes or [API])
    return (API in scopes or set(delegation.scopes or [API]) <= scopes) and wider.project_id in {
        None,
        delegation.project_id,
    }

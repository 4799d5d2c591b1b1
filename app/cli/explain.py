"""``countersign explain``."""

import click

from app import representation as shapes
from app.cli.console import Command, installation, json_option, show
from app.identity import facts
from app.identity.accounts import find_service_account, find_user
from app.identity.permissions import PERMISSIONS, SCOPES
from app.identity.policy import Decision, Question, decide


@click.command(cls=Command)
@click.option("--user", "login", help="The human, alone or as whom the service account acts.")
@click.option("--service-account", "name", help="The service account; without it the human acts in person.")
@click.option("--action", required=True, type=click.Choice(sorted(PERMISSIONS)), metavar="PERMISSION")
@click.option("--resource", required=True, metavar="PATH", help="A project or a group.")
@click.option("--scope", "scopes", multiple=True, type=click.Choice(sorted(SCOPES)), metavar="SCOPE")
@json_option
def explain(
    login: str | None,
    name: str | None,
    action: str,
    resource: str,
    scopes: tuple[str, ...],
    as_json: bool,
) -> None:
    """Tell whether an identity may do something, and which conjunct says so; exit 0 for either answer.

    Example: countersign explain --user alice --action code.write --resource acme/webapp
    """
    if login is None and name is None:
        raise click.UsageError("name --user, --service-account or both")
    with installation() as here, here.reading() as session:
        known = facts.load(
            session,
            user_id=None if login is None else find_user(session, login).id,
            service_account_id=None if name is None else find_service_account(session, name).id,
            place=facts.place_at(session, resource),
        )
        decided = decide(known, Question(action, scopes or None), here.now)
    show(shapes.decision(decided), _text(decided), as_json=as_json)


def _text(decided: Decision) -> str:
    lines = [
        f"{'yes' if each.allowed else 'no':4} {each.name:16} {each.reason}" for each in decided.conjuncts
    ]
    return "\n".join(["allowed" if decided.allowed else "denied", *lines])

"""The command ``countersign``."""

import click

from app.cli import (
    accounts,
    audiences,
    audit,
    delegations,
    explain,
    flows,
    id_token,
    keys,
    kill,
    members,
    projects,
    run_identity,
    sample,
    server,
    sign_in,
    tokens,
)
from app.cli.console import Commands


def _without_color(context: click.Context, _: click.Parameter, value: str | None) -> None:
    """Set and not empty, whatever it says (no-color.org); without it click colours terminals alone."""
    if value:
        context.color = False


@click.group(cls=Commands)
@click.option("--no-color", envvar="NO_COLOR", hidden=True, expose_value=False, callback=_without_color)
@click.version_option(package_name="countersign-idp", prog_name="countersign")
def main() -> None:
    """An identity provider for agents that act on a person's behalf.

    Works on this host's own installation, as its operator; `COUNTERSIGN_…` variables say which one.

    Example: countersign init && countersign serve
    """


for command in (
    server.init,
    server.serve,
    server.doctor,
    server.db,
    server.worker,
    accounts.user,
    accounts.service_account,
    delegations.delegation,
    projects.project,
    members.group,
    members.member,
    explain.explain,
    audiences.audience,
    keys.keys,
    tokens.token,
    flows.flow,
    flows.run,
    id_token.id_token,
    kill.kill_command,
    audit.audit,
    sample.try_it,
):
    main.add_command(command)
for part in (run_identity.subject, run_identity.workload):
    projects.project.add_command(part)
for way_in in (sign_in.sign_in_link, sign_in.password, sign_in.session):
    accounts.user.add_command(way_in)

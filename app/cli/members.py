"""``countersign group`` and ``member``."""

import click

from app import representation as shapes
from app.cli.console import Commands, installation, json_option, show, show_all
from app.identity import groups, members
from app.identity.models import Project
from app.identity.permissions import Role


@click.group(cls=Commands)
def group() -> None:
    """Groups: acme/tools lies in acme, and roles in acme hold in it. A group cannot be renamed.

    Example: countersign group create acme/tools
    """


@group.command("create")
@click.argument("path", metavar="GROUP")
@json_option
def create_group(path: str, as_json: bool) -> None:
    """Create a group, and those that it lies in where there are none.

    Example: countersign group create acme/tools
    """
    with installation() as here, here.writing() as session:
        shape = shapes.group(groups.create_group(session, path, by=here.actor, now=here.now))
    show(shape, f"{path} is group {shape['id']}", as_json=as_json)


@group.command("list")
@json_option
def list_groups(as_json: bool) -> None:
    """List groups.

    Example: countersign group list
    """
    with installation() as here, here.reading() as session:
        rows = [shapes.group(row) for row in groups.listed(session)]
    show_all(rows, ("id", "path"), "no groups: countersign group create GROUP", as_json=as_json)


@click.group(cls=Commands)
def member() -> None:
    """Members of projects and groups: users and service accounts alike.

    Example: countersign member add acme/webapp user:alice --role developer
    """


@member.command("add")
@click.argument("path")
@click.argument("principal")
@click.option("--role", required=True, type=click.Choice([role.label for role in Role]))
@json_option
def add_member(path: str, principal: str, role: str, as_json: bool) -> None:
    """Add a member to a project, or to a group and all below it; adding again sets the role.

    Example: countersign member add acme/webapp service_account:duo --role developer
    """
    with installation() as here, here.writing() as session:
        place = members.find_place(session, path)
        row = members.add_member(session, place, principal, role, by=here.actor, now=here.now)
        kind, number = members.find_principal(session, principal)
        shape = shapes.member(row, path, f"{kind}:{number}")
    show(shape, f"{principal} is {role} in {path}", as_json=as_json)


@member.command("list")
@click.argument("path")
@json_option
def list_members(path: str, as_json: bool) -> None:
    """List roles in a project or group, its own and inherited ones; of several the strongest is effective.

    Example: countersign member list acme/webapp
    """
    with installation() as here, here.reading() as session:
        place = members.find_place(session, path)
        rows = [shapes.membership(row) for row in members.members_of(session, place)]
    columns = ("principal", "name", "role", "from", "effective")
    nothing = f"no members: countersign member add {path} user:LOGIN --role developer"
    show_all(rows, columns, nothing, as_json=as_json)


@member.command("remove")
@click.argument("path")
@click.argument("principal")
@json_option
def remove_member(path: str, principal: str, as_json: bool) -> None:
    """Take away a role that was given in this project or group itself.

    Example: countersign member remove acme/webapp user:alice
    """
    with installation() as here, here.writing() as session:
        place = members.find_place(session, path)
        members.remove_member(session, place, principal, by=here.actor, now=here.now)
        kept = "project" if isinstance(place, Project) else "group"
    show(
        {kept: path, "removed": True},
        f"{principal} has no role of its own in {path} any more",
        as_json=as_json,
    )

"""``countersign project``, ``group`` and ``member``."""

from pathlib import Path

import click

from app import representation as shapes
from app.cli.console import Commands, Refused, installation, json_option, show, show_all
from app.flows import configurations
from app.flows.names import check_name
from app.identity import groups, members, projects
from app.identity.models import Project
from app.identity.permissions import Role


@click.group(cls=Commands)
def project() -> None:
    """Projects, their configuration and variables.

    Example: countersign project create acme/webapp
    """


@project.command("create")
@click.argument("path", metavar="GROUP/PROJECT")
@json_option
def create_project(path: str, as_json: bool) -> None:
    """Create a project, and the groups that it lies in where there are none.

    Example: countersign project create acme/webapp
    """
    with installation() as here, here.writing() as session:
        shape = shapes.project(projects.create_project(session, path, by=here.actor, now=here.now))
    show(shape, f"{path} is project {shape['id']}", as_json=as_json)


@project.command("list")
@json_option
def list_projects(as_json: bool) -> None:
    """List projects.

    Example: countersign project list
    """
    with installation() as here, here.reading() as session:
        rows = [shapes.project(row) for row in projects.listed(session)]
    show_all(rows, ("id", "path"), "no projects: countersign project create GROUP/PROJECT", as_json=as_json)


@project.command("rename")
@click.argument("path")
@click.argument("new", metavar="NEW")
@json_option
def rename_project(path: str, new: str, as_json: bool) -> None:
    """Give a project another path; no other project ever gets the old one, and this one may take it back.

    Trust policies that name the old path no longer match. Groups cannot be renamed.

    Example: countersign project rename acme/webapp acme/shop
    """
    with installation() as here, here.writing() as session:
        found = projects.find_project(session, path)
        projects.rename_project(session, found, new, by=here.actor, now=here.now)
        shape = shapes.project(found)
    show(shape, f"{path} is {new} now", as_json=as_json)


@project.command("delete")
@click.argument("path")
@json_option
def delete_project(path: str, as_json: bool) -> None:
    """Delete a project for good: nothing runs or is allowed in it, and its path is never given again.

    Example: countersign project delete acme/webapp
    """
    with installation() as here, here.writing() as session:
        found = projects.find_project(session, path)
        projects.delete_project(session, found, by=here.actor, now=here.now)
    show({"project": path, "deleted": True}, f"{path} is deleted", as_json=as_json)


@project.group("config", cls=Commands)
def project_config() -> None:
    """A project's agent-config.yml.

    Example: countersign project config set acme/webapp --file agent-config.yml
    """


@project_config.command("set")
@click.argument("path")
@click.option("--file", "file", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@json_option
def set_config(path: str, file: Path, as_json: bool) -> None:
    """Check a configuration and make it the project's newest version.

    Example: countersign project config set acme/webapp --file agent-config.yml
    """
    body = file.read_bytes()
    with installation() as here:
        here.require_schema()
        parts = here.components
        version = configurations.store(parts.database, parts.clock, path, body, here.actor)
        shape = {"id": version.id, "project": path, "sha256": version.sha256}
    show(shape, f"version {shape['id']} of {path}, sha256 {shape['sha256']}", as_json=as_json)


@project.group("variable", cls=Commands)
def project_variable() -> None:
    """What an audience and Vault's address may be made of, beside the configuration.

    Example: countersign project variable set acme/webapp AWS_AUDIENCE=sts.amazonaws.com
    """


@project_variable.command("set")
@click.argument("path")
@click.argument("assignments", metavar="NAME=VALUE...", nargs=-1, required=True)
@json_option
def set_variables(path: str, assignments: tuple[str, ...], as_json: bool) -> None:
    """Set variables of a project.

    Example: countersign project variable set acme/webapp VAULT_SERVER_URL=https://vault.example.com
    """
    variables = parse_assignments(assignments)
    for name in variables:
        if reason := check_name(name):
            raise Refused(f"{name}: {reason}")
    with installation() as here, here.writing() as session:
        found = projects.find_project(session, path)
        projects.set_variables(session, found, variables, by=here.actor, now=here.now)
    show({"project": path, "names": sorted(variables)}, f"set {' '.join(sorted(variables))}", as_json=as_json)


def parse_assignments(assignments: tuple[str, ...]) -> dict[str, str]:
    """``NAME=VALUE`` pairs; the value may hold further equals signs."""
    pairs = [text.partition("=") for text in assignments]
    if any(not name or not equals for name, equals, _ in pairs):
        raise click.UsageError("write NAME=VALUE")
    if len({name for name, _, _ in pairs}) != len(pairs):
        raise click.UsageError("a name is given twice")
    return {name: value for name, _, value in pairs}


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

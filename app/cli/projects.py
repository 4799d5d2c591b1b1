"""``countersign project``."""

from pathlib import Path

import click

from app import representation as shapes
from app.cli.concurrency import concurrency
from app.cli.console import Commands, Number, fields, installation, json_option, show, show_all
from app.cli.sources import source
from app.flows import configurations
from app.flows.names import require_name
from app.flows.subjects import flows_of
from app.identity import projects
from app.protocol import subjects


@click.group(cls=Commands)
def project() -> None:
    """Projects, their configuration and variables.

    Example: countersign project create acme/webapp
    """


@project.command("create")
@click.argument("path", metavar="GROUP/PROJECT")
@click.option("--subject", metavar="COMPONENT,...", help="See countersign project subject set.")
@json_option
def create_project(path: str, subject: str | None, as_json: bool) -> None:
    """Create a project, and the groups that it lies in where there are none.

    A path that another project had needs a subject that begins with project_id.

    Example: countersign project create acme/webapp
    """
    with installation() as here, here.writing() as session:
        components = subjects.DEFAULT if subject is None else subjects.parse(subject)
        made = projects.create_project(session, path, subject=components, by=here.actor, now=here.now)
        shape = shapes.project(made)
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


@project.command("show")
@click.argument("path")
@json_option
def show_project(path: str, as_json: bool) -> None:
    """Show a project.

    Example: countersign project show acme/webapp
    """
    with installation() as here, here.reading() as session:
        shape = shapes.project(projects.find_project(session, path))
    show(shape, fields(shape), as_json=as_json)


@project.command("rename")
@click.argument("path")
@click.argument("new", metavar="NEW")
@json_option
def rename_project(path: str, new: str, as_json: bool) -> None:
    """Give a project another path; this one may take the old one back, another only if its subject begins
    with project_id.

    Trust policies that name the old path no longer match. Groups cannot be renamed.

    Example: countersign project rename acme/webapp acme/shop
    """
    with installation() as here, here.writing() as session:
        found = projects.find_project(session, path)
        flows = flows_of(session, found)
        projects.rename_project(session, found, new, flows=flows, by=here.actor, now=here.now)
        shape = shapes.project(found)
    show(shape, f"{path} is {new} now", as_json=as_json)


@project.command("delete")
@click.argument("path")
@json_option
def delete_project(path: str, as_json: bool) -> None:
    """Delete a project for good: nothing runs or is allowed in it, and another project gets its path only if
    its subject begins with project_id.

    Example: countersign project delete acme/webapp
    """
    with installation() as here, here.writing() as session:
        found = projects.find_project(session, path)
        projects.delete_project(session, found, by=here.actor, now=here.now)
    show({"project": path, "deleted": True}, f"{path} is deleted", as_json=as_json)


project.add_command(source)
project.add_command(concurrency)


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
        shape = shapes.configuration(version, path)
    show(shape, f"configuration {shape['id']} of {path}, sha256 {shape['sha256']}", as_json=as_json)


@project_config.command("show")
@click.argument("path")
@click.option("--version", "number", type=Number("a version"), help="One there was, instead of the newest.")
@json_option
def show_config(path: str, number: int | None, as_json: bool) -> None:
    """Print a project's configuration as it was set.

    Example: countersign project config show acme/webapp > agent-config.yml
    """
    with installation() as here, here.reading() as session:
        found = projects.find_project(session, path)
        version = (
            configurations.newest(session, found)
            if number is None
            else configurations.version_of(session, found, number)
        )
    shape = shapes.configuration_text(version, path)
    if as_json:
        show(shape, "", as_json=True)
    else:
        click.echo(shape["content"], nl=False)


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
        require_name(name)
    with installation() as here, here.writing() as session:
        found = projects.find_project(session, path)
        projects.set_variables(session, found, variables, by=here.actor, now=here.now)
    show({"project": path, "names": sorted(variables)}, f"set {' '.join(sorted(variables))}", as_json=as_json)


@project_variable.command("list")
@click.argument("path")
@json_option
def list_variables(path: str, as_json: bool) -> None:
    """List variables of a project.

    Example: countersign project variable list acme/webapp
    """
    with installation() as here, here.reading() as session:
        found = projects.find_project(session, path)
        rows = [shapes.variable(*each) for each in sorted(projects.variables_of(session, found.id).items())]
    nothing = f"no variables: countersign project variable set {path} NAME=VALUE"
    show_all(rows, ("name", "value"), nothing, as_json=as_json)


@project_variable.command("remove")
@click.argument("path")
@click.argument("name")
@json_option
def remove_variable(path: str, name: str, as_json: bool) -> None:
    """Remove a variable of a project.

    Example: countersign project variable remove acme/webapp AWS_AUDIENCE
    """
    with installation() as here, here.writing() as session:
        found = projects.find_project(session, path)
        projects.remove_variable(session, found, name, by=here.actor, now=here.now)
    show({"project": path, "name": name, "removed": True}, f"{name} is removed", as_json=as_json)


def parse_assignments(assignments: tuple[str, ...]) -> dict[str, str]:
    """``NAME=VALUE`` pairs; the value may hold further equals signs."""
    pairs = [text.partition("=") for text in assignments]
    if any(not name or not equals for name, equals, _ in pairs):
        raise click.UsageError("write NAME=VALUE")
    if len({name for name, _, _ in pairs}) != len(pairs):
        raise click.UsageError("a name is given twice")
    return {name: value for name, _, value in pairs}

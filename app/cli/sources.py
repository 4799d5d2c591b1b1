"""``countersign project source``."""

import click

from app import representation as shapes
from app.cli.console import Commands, fields, installation, json_option, show
from app.flows.sources import Wanted, find_source, remove_source
from app.identity.projects import find_project


@click.group("source", cls=Commands)
def source() -> None:
    """The Git repository that a project's agent-config.yml is read from, anew at every start.

    Example: countersign project source set acme/webapp --git https://git.example.com/acme/webapp.git
    """


@source.command("set")
@click.argument("path")
@click.option("--git", "url", required=True, metavar="URL", help="Over https, and readable by everybody.")
@click.option("--branch", default="main", show_default=True)
@click.option(
    "--protected",
    multiple=True,
    metavar="BRANCH",
    help="Whose ref_protected is true, again for each; without it the branch itself.",
)
@click.option("--unprotected", is_flag=True, help="No branch is.")
@json_option
def set_source(
    path: str, url: str, branch: str, protected: tuple[str, ...], unprotected: bool, as_json: bool
) -> None:
    """Read a configuration from Git, check it, and have the project's from there from now on.

    Example: countersign project source set acme/webapp --git https://git.example.com/acme/webapp.git
    """
    if protected and unprotected:
        raise click.UsageError("--protected and --unprotected exclude each other")
    wanted = Wanted.checked(url, branch, protected if protected or unprotected else None)
    with installation() as here:
        here.require_schema()
        shape = shapes.source(here.components.source_reader.set(path, wanted, here.actor), path)
    text = f"{path} has its agent-config.yml from branch {wanted.branch} of {wanted.url}"
    show(shape, text, as_json=as_json)


@source.command("show")
@click.argument("path")
@json_option
def show_source(path: str, as_json: bool) -> None:
    """Show the Git source of a project.

    Example: countersign project source show acme/webapp
    """
    with installation() as here, here.reading() as session:
        shape = shapes.source(find_source(session, find_project(session, path)), path)
    show(shape, fields(shape), as_json=as_json)


@source.command("refresh")
@click.argument("path")
@json_option
def refresh_source(path: str, as_json: bool) -> None:
    """Read and check the configuration where the branch is now, as a start would.

    Example: countersign project source refresh acme/webapp
    """
    with installation() as here:
        here.require_schema()
        with here.reading() as session:
            project_id = find_project(session, path).id
        version = here.components.source_reader.refresh(project_id, here.actor)
    shape = shapes.configuration(version, path)
    text = f"configuration {shape['id']} of {path}, commit {shape['commit']}, sha256 {shape['sha256']}"
    show(shape, text, as_json=as_json)


@source.command("remove")
@click.argument("path")
@json_option
def remove(path: str, as_json: bool) -> None:
    """Take a project's Git source away; nothing starts until a configuration is set.

    Example: countersign project source remove acme/webapp
    """
    with installation() as here, here.writing() as session:
        remove_source(session, find_project(session, path), by=here.actor, now=here.now)
    show({"project": path, "removed": True}, f"{path} has no Git source any more", as_json=as_json)

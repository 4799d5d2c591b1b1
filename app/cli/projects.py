"""``countersign project``, ``member`` and ``audience``."""

from pathlib import Path

import click
from sqlalchemy import select

from app import representation as shapes
from app.cli.console import Commands, Refused, installation, json_option, show, show_all
from app.flows import configurations
from app.flows.names import check_name
from app.identity import projects
from app.identity.models import Project
from app.identity.permissions import Role
from app.tokens import audiences
from app.tokens.models import Audience, AudienceProject


@click.group(cls=Commands)
def project() -> None:
    """Projects, their configuration and variables.

    Example: countersign project create acme/webapp
    """


@project.command("create")
@click.argument("path", metavar="GROUP/PROJECT")
@json_option
def create_project(path: str, as_json: bool) -> None:
    """Create a project, and its group where there is none.

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
        rows = [shapes.project(row) for row in session.scalars(select(Project).order_by(Project.path))]
    show_all(rows, ("id", "path"), "no projects: countersign project create GROUP/PROJECT", as_json=as_json)


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
def member() -> None:
    """Members of projects: users and service accounts alike.

    Example: countersign member add acme/webapp user:alice --role developer
    """


@member.command("add")
@click.argument("path")
@click.argument("principal")
@click.option("--role", required=True, type=click.Choice([role.label for role in Role]))
@json_option
def add_member(path: str, principal: str, role: str, as_json: bool) -> None:
    """Add a member; adding again sets the role.

    Example: countersign member add acme/webapp service_account:duo --role developer
    """
    with installation() as here, here.writing() as session:
        found = projects.find_project(session, path)
        row = projects.add_member(session, found, principal, role, by=here.actor, now=here.now)
        kind, number = projects.find_principal(session, principal)
        shape = shapes.member(row, path, f"{kind}:{number}")
    show(shape, f"{principal} is {role} in {path}", as_json=as_json)


@member.command("remove")
@click.argument("path")
@click.argument("principal")
@json_option
def remove_member(path: str, principal: str, as_json: bool) -> None:
    """Remove a member.

    Example: countersign member remove acme/webapp user:alice
    """
    with installation() as here, here.writing() as session:
        found = projects.find_project(session, path)
        projects.remove_member(session, found, principal, by=here.actor, now=here.now)
    show({"project": path, "removed": True}, f"{principal} is no member of {path} any more", as_json=as_json)


@click.group(cls=Commands)
def audience() -> None:
    """Audiences: APIs that take access tokens, verifiers that take ID tokens.

    Example: countersign audience add https://api.acme.example --kind api
    """


@audience.command("add")
@click.argument("uri")
@click.option("--kind", required=True, type=click.Choice([kind.value for kind in audiences.AudienceKind]))
@click.option("--alg", default="RS256", show_default=True)
@click.option("--project", "paths", multiple=True, help="Bind a verifier audience to projects.")
@json_option
def add_audience(uri: str, kind: str, alg: str, paths: tuple[str, ...], as_json: bool) -> None:
    """Register an audience.

    Example: countersign audience add https://vault.example.com --kind verifier --project acme/webapp
    """
    with installation() as here, here.writing() as session:
        bound = [projects.find_project(session, path) for path in paths]
        row = audiences.register(
            session,
            here.settings.issuer,
            uri,
            audiences.AudienceKind(kind),
            alg,
            bound,
            by=here.actor,
            now=here.now,
        )
        shape = shapes.audience(row, list(paths))
    show(shape, f"{uri} is a registered {kind} audience", as_json=as_json)


@audience.command("list")
@json_option
def list_audiences(as_json: bool) -> None:
    """List registered audiences.

    Example: countersign audience list
    """
    with installation() as here, here.reading() as session:
        bound: dict[int, list[str]] = {}
        query = select(AudienceProject.audience_id, Project.path).join(
            Project, Project.id == AudienceProject.project_id
        )
        for audience_id, path in session.execute(query.order_by(Project.path)):
            bound.setdefault(audience_id, []).append(path)
        found = session.scalars(select(Audience).order_by(Audience.uri))
        rows = [shapes.audience(row, bound.get(row.id, [])) for row in found]
    nothing = "no registered audiences: countersign audience add URI --kind api"
    show_all(rows, ("uri", "kind", "alg", "projects"), nothing, as_json=as_json)


@audience.command("remove")
@click.argument("uri")
@json_option
def remove_audience(uri: str, as_json: bool) -> None:
    """Remove a registered audience.

    Example: countersign audience remove https://api.acme.example
    """
    with installation() as here, here.writing() as session:
        audiences.remove(session, uri, by=here.actor, now=here.now)
    show({"uri": uri, "removed": True}, f"{uri} is not registered any more", as_json=as_json)

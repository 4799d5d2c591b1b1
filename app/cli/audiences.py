"""``countersign audience``."""

import shlex
from collections.abc import Sequence
from datetime import datetime

import click
from sqlalchemy import select
from sqlalchemy.orm import Session

from app import representation as shapes
from app.cli.console import Commands, installation, json_option, show, show_all
from app.clock import rfc3339
from app.errors import Overtaken
from app.identity import accounts, projects
from app.identity.models import Project, ServiceAccount
from app.signing.algorithms import ALWAYS, Algorithm
from app.tokens import audiences, registrations
from app.tokens.verifiers import EXCLUDES, REFUSES_ALL


@click.group(cls=Commands)
def audience() -> None:
    """Audiences: APIs that take access tokens, verifiers that take ID tokens.

    Example: countersign audience add https://api.acme.example --kind api
    """


@audience.command("add")
@click.argument("uri")
@click.option("--kind", required=True, type=click.Choice([kind.value for kind in audiences.AudienceKind]))
@click.option(
    "--alg",
    type=click.Choice([each.value for each in Algorithm]),
    default=ALWAYS.value,
    show_default=True,
    help="What its tokens are signed with, once that key has been public for the publish lead.",
)
@click.option("--project", "paths", multiple=True, help="Bind a verifier audience to projects.")
@click.option(
    "--rendering",
    type=click.Choice([rendering.value for rendering in audiences.Rendering]),
    default=audiences.Rendering.COMPOSITE.value,
    show_default=True,
    help="Who is `sub` of an access token: the service account, or (delegated) the human.",
)
@click.option("--introspect", "names", multiple=True, metavar="ACCOUNT", help="May ask about its tokens.")
@json_option
def add_audience(
    uri: str,
    kind: str,
    alg: str,
    paths: tuple[str, ...],
    rendering: str,
    names: tuple[str, ...],
    as_json: bool,
) -> None:
    """Register an audience.

    Example: countersign audience add https://api.acme.example --kind api --introspect acme-api
    """
    algorithm = Algorithm(alg)
    with installation() as here:
        here.require_schema()
        offering = here.components.lifecycle.offering(algorithm, here.actor)
        with offering as take_into_use, here.writing() as session:
            bound = [projects.find_project(session, path) for path in paths]
            row = audiences.register(
                session,
                here.settings.issuer,
                uri,
                audiences.AudienceKind(kind),
                algorithm,
                bound,
                rendering=audiences.Rendering(rendering),
                introspectors=[accounts.find_service_account(session, name) for name in names],
                by=here.actor,
                now=here.now,
            )
            take_into_use(session)
            shape = shapes.audience(row, list(paths), sorted(names))
        since = here.components.keyring.current().actives[algorithm].since
    text = f"{uri} is a registered {kind} audience"
    text += _until_then(algorithm, since, here.now)
    show(shape | {"signs_from": rfc3339(since)}, text, as_json=as_json)
    _warn(algorithm, f"countersign audience remove {shlex.quote(uri)}")


@audience.command("change")
@click.argument("uri")
@click.option(
    "--alg",
    type=click.Choice([each.value for each in Algorithm]),
    help="What its tokens are signed with, once that key has been public for the publish lead.",
)
@click.option("--project", "paths", multiple=True, help="The projects a verifier audience is bound to.")
@click.option("--no-project", is_flag=True, help="Flows of any project may name it.")
@click.option(
    "--rendering",
    type=click.Choice([rendering.value for rendering in audiences.Rendering]),
    help="Who is `sub` of an access token: the service account, or (delegated) the human.",
)
@click.option("--introspect", "names", multiple=True, metavar="ACCOUNT", help="Who may ask about its tokens.")
@click.option("--no-introspect", is_flag=True, help="Nobody may ask about its tokens.")
@json_option
def change_audience(
    uri: str,
    alg: str | None,
    paths: tuple[str, ...],
    no_project: bool,
    rendering: str | None,
    names: tuple[str, ...],
    no_introspect: bool,
    as_json: bool,
) -> None:
    """Change what is registered of an audience; what is not given stays, and so does its kind.

    Projects and accounts that are given replace those there were.

    Example: countersign audience change https://api.acme.example --alg ES256
    """
    if (paths and no_project) or (names and no_introspect):
        raise click.UsageError("--no-project and --no-introspect go without what they take away")
    with installation() as here:
        with here.reading() as session:
            algorithm = Algorithm(alg or audiences.find(session, uri).algorithm)
        offering = here.components.lifecycle.offering(algorithm, here.actor)
        with offering as take_into_use, here.writing() as session:
            row = audiences.find(session, uri, for_update=True)
            if alg is None and row.algorithm != algorithm:
                raise Overtaken("somebody else has just changed its algorithm: say it again")
            before = registrations.registration(session, uri)
            registrations.change(
                session,
                here.settings.issuer,
                row,
                audiences.AudienceKind(row.kind),
                algorithm,
                _bound(session, before.projects, [] if no_project else paths or before.projects),
                rendering=audiences.Rendering(rendering or row.rendering),
                introspectors=_asking(session, [] if no_introspect else names or before.introspectors),
                by=here.actor,
                now=here.now,
            )
            take_into_use(session)
            shape = shapes.registration(registrations.registration(session, uri))
        here.components.lifecycle.settle(here.actor)
        since = here.components.keyring.current().actives[algorithm].since
    show(shape, f"{uri} is as you said{_until_then(algorithm, since, here.now)}", as_json=as_json)
    if alg is not None:
        _warn(algorithm, f"countersign audience change {shlex.quote(uri)} --alg {ALWAYS}")


def _bound(session: Session, before: Sequence[str], paths: Sequence[str]) -> list[Project]:
    """One that is bound stays so though it be deleted: it alone kept others from the audience."""
    known = {each.path: each for each in session.scalars(select(Project).where(Project.path.in_(before)))}
    return [known.get(path) or projects.find_project(session, path) for path in dict.fromkeys(paths)]


def _asking(session: Session, names: Sequence[str]) -> list[ServiceAccount]:
    return [accounts.find_service_account(session, name) for name in dict.fromkeys(names)]


def _until_then(algorithm: Algorithm, since: datetime, now: datetime) -> str:
    if since <= now:
        return ""
    return f"; its tokens are signed with {ALWAYS} until {rfc3339(since)}, with {algorithm} from then on"


def _warn(algorithm: Algorithm, undo: str) -> None:
    if EXCLUDES[algorithm]:
        click.echo(
            f"countersign: no {algorithm} token is taken by {', '.join(EXCLUDES[algorithm])}", err=True
        )
    for verifier in REFUSES_ALL.get(algorithm, ()):
        click.echo(
            f"countersign: {verifier} now refuses every token of this issuer, RS256 too: it drops a key set "
            f"with such a key; undo: {undo}",
            err=True,
        )


@audience.command("list")
@json_option
def list_audiences(as_json: bool) -> None:
    """List registered audiences.

    Example: countersign audience list
    """
    with installation() as here, here.reading() as session:
        rows = [shapes.registration(each) for each in registrations.listed(session)]
    nothing = "no registered audiences: countersign audience add URI --kind api"
    show_all(rows, ("uri", "kind", "alg", "rendering", "projects", "introspect"), nothing, as_json=as_json)


@audience.command("remove")
@click.argument("uri")
@json_option
def remove_audience(uri: str, as_json: bool) -> None:
    """Remove a registered audience.

    Example: countersign audience remove https://api.acme.example
    """
    with installation() as here:
        with here.writing() as session:
            audiences.remove(session, uri, by=here.actor, now=here.now)
        here.components.lifecycle.settle(here.actor)
    show({"uri": uri, "removed": True}, f"{uri} is not registered any more", as_json=as_json)

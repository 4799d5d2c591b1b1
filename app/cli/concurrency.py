"""``countersign project concurrency``."""

import click

from app import representation as shapes
from app.cli.console import Commands, installation, json_option, show
from app.flows.queue import MOST_AT_ONCE, set_concurrency
from app.identity import projects

_DEFAULT = "default"
_AT_ONCE = click.IntRange(1, MOST_AT_ONCE)


def _read(context: click.Context, parameter: click.Parameter, text: str) -> int | None:
    return None if text == _DEFAULT else _AT_ONCE(text, parameter, context)


@click.group("concurrency", cls=Commands)
def concurrency() -> None:
    """How many runs of a project go on at once; further ones wait.

    Example: countersign project concurrency set acme/webapp 2
    """


@concurrency.command("set")
@click.argument("path")
@click.argument("at_once", metavar="RUNS|default", callback=_read)
@json_option
def set_at_once(path: str, at_once: int | None, as_json: bool) -> None:
    """Set it, or let COUNTERSIGN_RUNS_PER_PROJECT say it again.

    Example: countersign project concurrency set acme/webapp 2
    """
    with installation() as here, here.writing() as session:
        found = projects.find_project(session, path)
        set_concurrency(session, found, at_once, by=here.actor, now=here.now)
        shape = shapes.project(found)
        default = here.settings.runs_per_project
    show(shape, f"{path}: at most {at_once or default} at once", as_json=as_json)

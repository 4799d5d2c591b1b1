"""``countersign id-token``: inside a run, where neither a database nor keys nor settings are."""

import os

import click

from app.cli.console import Command, Refused, json_option, show
from app.flows.executors import steps_program


@click.command("id-token", cls=Command)
@click.argument("name", metavar="NAME")
@json_option
def id_token(name: str, as_json: bool) -> None:
    """Inside a run: print a fresh one of its declared ID tokens.

    Asks the issuer with the run's own token, from the run's environment; refused once the run has ended.

    Example: countersign id-token VAULT_ID_TOKEN
    """
    try:
        found = steps_program.fresh_token(name, os.environ)
    except steps_program.Refused as refusal:
        raise Refused(str(refusal)) from None
    show(found, found["token"], as_json=as_json)

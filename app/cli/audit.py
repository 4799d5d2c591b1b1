"""``countersign audit``."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import click
import orjson

from app import representation as shapes
from app.cli import proof
from app.cli.console import Commands, Installation, Number, installation, json_option, show_all
from app.clock import parse_duration
from app.identity.accounts import find_service_account, find_user
from app.ledger import search, table
from app.ledger.actions import AuditAction, Outcome
from app.protocol.principals import service_account_principal, user_principal

_COLUMNS = ("at", "action", "outcome", "actor", "user", "service_account", "project", "run", "detail")


@click.group(cls=Commands)
def audit() -> None:
    """The ledger: who did what, for whom; and the proof that nobody has edited it.

    Example: countersign audit list --user alice --since 24h
    """


audit.add_command(proof.head)
audit.add_command(proof.verify)
audit.add_command(proof.prune)


def _filters(command: click.decorators.FC) -> click.decorators.FC:
    moment = "A time such as 2026-11-22T10:00:00Z, or so long ago: 24h."
    for option in (
        click.option("--until", help=f"Exclusive. {moment}"),
        click.option("--since", help=f"Inclusive. {moment}"),
        click.option("--outcome", type=click.Choice([each.value for each in Outcome])),
        click.option("--action", metavar="SOURCE:SUBJECT:VERB"),
        click.option("--request-id", metavar="ID", help="As an answer's X-Request-Id has it."),
        click.option("--jti"),
        click.option("--run", metavar="ID", type=Number("a run")),
        click.option("--project", metavar="GROUP/PROJECT"),
        click.option("--service-account", metavar="NAME"),
        click.option("--user", metavar="LOGIN"),
        click.option("--actor", metavar="PRINCIPAL", help="Who did it, as events name them: user:1."),
    ):
        command = option(command)
    return command


def _filter(here: Installation, **given: Any) -> search.Filter:
    with here.reading() as session:
        if login := given["user"]:
            given["user"] = user_principal(find_user(session, login).id)
        if name := given["service_account"]:
            given["service_account"] = service_account_principal(find_service_account(session, name).id)
    if given["action"] is not None:
        given["action"] = _action(given["action"])
    if given["outcome"] is not None:
        given["outcome"] = Outcome(given["outcome"])
    for option in ("since", "until"):
        given[option] = _moment(here, f"--{option}", given[option]) if given[option] else None
    return search.Filter(**given)


def _action(text: str) -> str:
    try:
        return AuditAction(text).value
    except ValueError:
        raise click.UsageError("--action is one of those in docs/reference/audit.md") from None


def _moment(here: Installation, option: str, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return here.now - _lookback(option, text)
    if moment.tzinfo is None:
        raise click.UsageError(f"{option} needs a zone: end it with Z")
    return moment


def _lookback(option: str, text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError:
        raise click.UsageError(
            f"{option} is a time such as 2026-11-22T10:00:00Z, or a duration such as 24h"
        ) from None


def _columns(rows: list[shapes.Shape]) -> tuple[str, ...]:
    """With the ``kid`` where an event is about a key, not merely of what one has signed."""
    about_keys = any(str(row["action"]).startswith("keys:") for row in rows)
    return (*_COLUMNS[:-1], "kid", _COLUMNS[-1]) if about_keys else _COLUMNS


@audit.command("list")
@_filters
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 10_000))
@click.option("--cursor", help="Goes on where the page before ended; that one said where, on stderr.")
@json_option
def list_events(limit: int, cursor: str | None, as_json: bool, **given: Any) -> None:
    """List events, the newest first.

    Example: countersign audit list --service-account duo --user alice
    """
    with installation() as here:
        wanted = _filter(here, **given)
        with here.reading() as session:
            page = search.newest(session, wanted, limit, cursor)
    rows = [shapes.audit_event(row) for row in page]
    show_all(rows, _columns(rows), "nothing has happened that matches", as_json=as_json)
    if len(page) == limit:
        click.echo(f"there may be more: --cursor {search.cursor(page[-1])}", err=True)


def _write_json(rows: Iterator[shapes.Shape]) -> None:
    """One array, streamed."""
    before = b"["
    for row in rows:
        click.echo(before + orjson.dumps(row), nl=False)
        before = b",\n"
    click.echo("[]" if before == b"[" else "]")


def _write_jsonl(rows: Iterator[shapes.Shape]) -> None:
    for line in table.json_lines(rows):
        click.echo(line, nl=False)


def _write_csv(rows: Iterator[shapes.Shape]) -> None:
    for line in table.csv_lines(rows):
        click.echo(line, nl=False)


_FORMATS = {"jsonl": _write_jsonl, "json": _write_json, "csv": _write_csv}


@audit.command("export")
@_filters
@click.option("--format", "form", type=click.Choice(_FORMATS), help="Default: jsonl.")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json: one array.")
def export(form: str | None, as_json: bool, **given: Any) -> None:
    """Write every matching event to stdout, the oldest first.

    Example: countersign audit export --format csv > audit.csv
    """
    if as_json and form not in {None, "json"}:
        raise click.UsageError(f"--format {form} and --json are two formats: choose one")
    write = _FORMATS["json" if as_json else form or "jsonl"]
    with installation() as here:
        wanted = _filter(here, **given)
        with here.reading() as session:
            rows = (shapes.audit_event(row) for row in search.oldest_first(session, wanted))
            write(rows)

"""``countersign audit``."""

import csv
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta

import click
import orjson

from app import representation as shapes
from app.cli.console import Commands, Installation, Number, installation, json_option, show_all
from app.clock import parse_duration
from app.identity.accounts import find_service_account, find_user
from app.ledger import search
from app.ledger.models import AuditRow
from app.protocol.principals import service_account_principal, user_principal


@click.group(cls=Commands)
def audit() -> None:
    """The ledger: who did what, for whom.

    Example: countersign audit list --user alice --since 24h
    """


def _filters(command: click.decorators.FC) -> click.decorators.FC:
    for option in (
        click.option("--since", help="A time such as 2026-11-22T10:00:00Z, or a duration such as 24h."),
        click.option("--run", "run_id", metavar="ID", type=Number("a run")),
        click.option("--service-account", "account"),
        click.option("--user", "login"),
    ):
        command = option(command)
    return command


def _filter(
    here: Installation, login: str | None, account: str | None, run_id: int | None, since: str | None
) -> search.Filter:
    with here.reading() as session:
        user = user_principal(find_user(session, login).id) if login else None
        number = find_service_account(session, account).id if account else None
    return search.Filter(
        user=user,
        service_account=service_account_principal(number) if number else None,
        run=run_id,
        since=_moment(here, since) if since else None,
    )


def _moment(here: Installation, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return here.now - _lookback(text)
    if moment.tzinfo is None:
        raise click.UsageError("--since needs a zone: end it with Z")
    return moment


def _lookback(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError:
        raise click.UsageError(
            "--since is a time such as 2026-11-22T10:00:00Z, or a duration such as 24h"
        ) from None


@audit.command("list")
@_filters
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 10_000))
@json_option
def list_events(
    login: str | None, account: str | None, run_id: int | None, since: str | None, limit: int, as_json: bool
) -> None:
    """List events, the newest first.

    Example: countersign audit list --service-account duo --user alice
    """
    with installation() as here:
        wanted = _filter(here, login, account, run_id, since)
        with here.reading() as session:
            rows = [shapes.audit_event(row) for row in search.newest(session, wanted, limit)]
    columns = ("at", "action", "outcome", "actor", "user", "service_account", "project", "run", "detail")
    show_all(rows, columns, "nothing has happened that matches", as_json=as_json)


def _write_json(rows: Iterator[shapes.Shape]) -> None:
    """One array, streamed."""
    before = b"["
    for row in rows:
        click.echo(before + orjson.dumps(row), nl=False)
        before = b",\n"
    click.echo("[]" if before == b"[" else "]")


def _write_jsonl(rows: Iterator[shapes.Shape]) -> None:
    for row in rows:
        click.echo(orjson.dumps(row))


def _write_csv(rows: Iterator[shapes.Shape]) -> None:
    names = [column.name for column in AuditRow.__table__.columns]
    writer = csv.DictWriter(sys.stdout, names)
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _spreadsheet_safe(value) for name, value in row.items()})


def _spreadsheet_safe(value: object) -> object:
    """A cell that a spreadsheet would take for a formula is quoted (CWE-1236)."""
    if isinstance(value, dict):
        return orjson.dumps(value).decode()
    return (
        f"'{value}"
        if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r"))
        else value
    )


_FORMATS = {"jsonl": _write_jsonl, "json": _write_json, "csv": _write_csv}


@audit.command("export")
@_filters
@click.option("--format", "form", type=click.Choice(_FORMATS), help="Default: jsonl.")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json: one array.")
def export(
    login: str | None,
    account: str | None,
    run_id: int | None,
    since: str | None,
    form: str | None,
    as_json: bool,
) -> None:
    """Write every matching event to stdout, the oldest first.

    Example: countersign audit export --format csv > audit.csv
    """
    if as_json and form not in {None, "json"}:
        raise click.UsageError(f"--format {form} and --json are two formats: choose one")
    write = _FORMATS["json" if as_json else form or "jsonl"]
    with installation() as here:
        wanted = _filter(here, login, account, run_id, since)
        with here.reading() as session:
            rows = (shapes.audit_event(row) for row in search.oldest_first(session, wanted))
            write(rows)

"""``countersign flow`` and ``run``."""

import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO

import click

from app import representation as shapes
from app.cli.console import (
    Commands,
    Installation,
    Number,
    fields,
    installation,
    json_option,
    printable,
    show,
    show_all,
)
from app.cli.plain import Plain
from app.cli.projects import parse_assignments
from app.cli.starting import detach_option, key_option, start_and_tell
from app.flows import configuration, log, runs
from app.flows.models import RunState
from app.flows.retry import again
from app.flows.start import StartRequest
from app.identity import accounts, projects

_FOLLOW_SECONDS = 0.5
_RUN = Number("a run")


@click.group(cls=Commands)
def flow() -> None:
    """Flows: named automations in a project.

    Example: countersign flow start fix-ci --project acme/webapp --user alice --service-account duo
    """


@flow.command("lint")
@click.argument("file", type=click.File("rb"))
@json_option
def lint(file: BinaryIO, as_json: bool) -> None:
    """Check an agent-config.yml and name every fault with its line and column.

    Exit 0 without faults, although there may be warnings; 1 with faults, which --json prints too: they are
    what was asked for.

    Example: countersign flow lint agent-config.yml
    """
    name = printable(file.name)
    try:
        found = configuration.parse(file.read(), most=None)
    except configuration.ConfigurationError as error:
        click.echo(error.told(name, most=None), err=True)
        if as_json:
            faults = [shapes.configuration_fault(fault) for fault in error.faults]
            show({"faults": faults, "warnings": []}, "", as_json=True)
        raise SystemExit(1) from None
    for warning in found.warnings:
        click.echo(f"warning: {warning.told(name)}", err=True)
    later = "a project's variables, reserved audiences, Vault and AWS are checked when a run starts"
    warnings = [shapes.configuration_fault(warning) for warning in found.warnings]
    shape = {"flows": sorted(found.flows), "faults": [], "warnings": warnings}
    show(shape, f"no faults in the file; {later}", as_json=as_json)


@flow.command("start")
@click.argument("name", metavar="FLOW")
@click.option("--project", "path", required=True)
@click.option("--user", "login", required=True, help="The human it acts for.")
@click.option("--service-account", "account", help="Without it: the human alone, where that is allowed.")
@click.option("--input", "inputs", multiple=True, metavar="NAME=VALUE")
@detach_option
@key_option
@json_option
def start_flow(
    name: str,
    path: str,
    login: str,
    account: str | None,
    inputs: tuple[str, ...],
    key: str | None,
    *,
    is_detached: bool,
    as_json: bool,
) -> None:
    """Run a flow here and print its masked log as it comes; exit 0 only if it succeeded.

    Where as many runs of the project go on as may, it waits its turn.

    Example: countersign flow start fix-ci --project acme/webapp --user alice --service-account duo
    """
    given = parse_assignments(inputs)
    start_and_tell(
        lambda _: StartRequest(
            project=path,
            flow=name,
            user=login,
            service_account=account,
            inputs=given,
            source="cli",
            is_queued=is_detached,
            idempotency_key=key,
        ),
        as_json=as_json,
    )


@click.group(cls=Commands)
def run() -> None:
    """Runs: what became of a flow that was started.

    Example: countersign run list
    """


@run.command("list")
@click.option("--project", "path")
@click.option("--flow", "name")
@click.option("--user", "login", help="The human it acts for.")
@click.option("--state", type=click.Choice([state.value for state in RunState]))
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True)
@json_option
def list_runs(
    path: str | None, name: str | None, login: str | None, state: str | None, limit: int, *, as_json: bool
) -> None:
    """List runs, the newest first.

    Example: countersign run list --project acme/webapp --state running
    """
    wanted = runs.matching(project=path, flow=name, user=login, state=state)
    with installation() as here, here.reading() as session:
        rows = [shapes.run(row) for row in runs.newest(session, wanted, limit)]
        if not rows and path is not None:
            projects.find_project(session, path)
        if not rows and login is not None:
            accounts.find_user(session, login)
    columns = ("id", "state", "project", "flow", "user_login", "service_account_name", "started_at")
    nothing = "no runs: countersign flow start FLOW --project P --user U --service-account S"
    show_all(rows, columns, nothing, as_json=as_json)


@run.command("show")
@click.argument("run_id", metavar="ID", type=_RUN)
@json_option
def show_run(run_id: int, as_json: bool) -> None:
    """Show a run: its state and why, and the names of what it got.

    Example: countersign run show 3
    """
    with installation() as here, here.reading() as session:
        shape = shapes.run(runs.find_run(session, run_id))
    show(shape, fields(shape), as_json=as_json)


@run.command("log")
@click.argument("run_id", metavar="ID", type=_RUN)
@click.option("--follow", is_flag=True, help="Until the run ends.")
@click.option("--offset", type=click.IntRange(0), default=0, metavar="BYTES", help="Where to begin.")
@click.option("--search", metavar="TEXT", help="Only lines with TEXT in them, each after its offset.")
@click.option("--raw", is_flag=True, help="As it is stored: with what can steer a terminal.")
@json_option
def show_log(run_id: int, follow: bool, offset: int, search: str | None, raw: bool, as_json: bool) -> None:
    """Print a run's masked log.

    Example: countersign run log 3 --follow
    """
    if search is not None and (follow or raw):
        raise click.UsageError("--search goes with neither --follow nor --raw")
    with installation() as here:
        if search is not None:
            _show_found(here, run_id, search, offset, as_json=as_json)
        elif as_json:
            _show_collected(here, run_id, offset, follow=follow)
        else:
            plain = bytes if raw else Plain()
            for chunk in _log_of(here, run_id, offset, follow=follow):
                sys.stdout.buffer.write(plain(chunk))
                sys.stdout.flush()


def _show_collected(here: Installation, run_id: int, offset: int, *, follow: bool) -> None:
    """Also what there was until following was interrupted."""
    collected = bytearray()
    try:
        for chunk in _log_of(here, run_id, offset, follow=follow):
            collected += chunk
    finally:
        if sys.exc_info()[0] in {None, KeyboardInterrupt}:
            show({"id": run_id, "log": collected.decode(errors="replace")}, "", as_json=True)


def _show_found(here: Installation, run_id: int, text: str, offset: int, *, as_json: bool) -> None:
    with here.reading() as session:
        runs.find_run(session, run_id)
    found = (
        {"offset": begins, "line": line.decode(errors="replace")}
        for begins, line in log.search(here.components.database, run_id, text, offset)
    )
    if as_json:
        show({"id": run_id, "found": list(found)}, "", as_json=True)
        return
    for match in found:
        click.echo(f"{match['offset']:>9}: {printable(str(match['line']))}")


def _log_of(here: Installation, run_id: int, offset: int, *, follow: bool) -> Iterator[bytes]:
    """Piece by piece to its present end, or to the end of its run."""
    while True:
        with here.reading() as session:
            ended = runs.find_run(session, run_id).state in runs.ENDED
        for piece in log.stream(here.components.database, run_id, offset):
            offset += len(piece)
            yield piece
        if ended or not follow:
            return
        time.sleep(_FOLLOW_SECONDS)


@run.command("retry")
@click.argument("run_id", metavar="ID", type=_RUN)
@detach_option
@key_option
@json_option
def retry(run_id: int, key: str | None, *, is_detached: bool, as_json: bool) -> None:
    """Run the flow of an ended run once more, with its inputs, by the configuration as it is now.

    Example: countersign run retry 3
    """

    def ask(here: Installation) -> StartRequest:
        with here.reading() as session:
            asked = again(session, run_id, source="cli")
        return replace(asked, is_queued=is_detached, idempotency_key=key)

    start_and_tell(ask, as_json=as_json)


@run.command("cancel")
@click.argument("run_id", metavar="ID", type=_RUN)
@json_option
def cancel(run_id: int, as_json: bool) -> None:
    """End a run and everything that its steps have started.

    Example: countersign run cancel 3
    """
    with installation() as here, here.writing() as session:
        shape = shapes.run(runs.request_cancel(session, run_id, by=here.actor, now=here.now))
    show(shape, f"run {run_id} is asked to end", as_json=as_json)

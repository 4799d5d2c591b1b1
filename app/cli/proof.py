"""``countersign audit head``, ``verify`` and ``prune``: the proof that nobody has edited the ledger."""

import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click
import orjson

from app.cli.console import Command, Refused, duration, installation, json_option, show
from app.clock import rfc3339
from app.ledger import retention
from app.ledger.anchor import Anchor, shape
from app.ledger.checkpoints import heads_of
from app.ledger.report import Report
from app.ledger.verification import verify as verify_ledger

_QUIET_SECONDS = 2.0
_LONG_UNSIGNED = timedelta(minutes=10)


@click.command(cls=Command)
@click.option("--restored", is_flag=True, help="Go on, on record, from an older backup.")
@json_option
def head(restored: bool, as_json: bool) -> None:
    """Sign where the ledger stands now, and print it for safekeeping elsewhere.

    Example: countersign audit head > anchor.json
    """
    with installation() as here:
        here.require_schema()
        checkpoints = here.components.checkpoints
        made = checkpoints.make_restored(here.actor) if restored else checkpoints.make()
        with here.reading() as session:
            printed = shape(made, heads_of(session, made.id), here.components.ledger_key.public)
    show(printed, orjson.dumps(printed, option=orjson.OPT_INDENT_2).decode(), as_json=as_json)


@click.command(cls=Command)
@click.option(
    "--anchor", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="What head printed."
)
@json_option
def verify(anchor: Path | None, as_json: bool) -> None:
    """Prove that no event was edited, deleted, moved or inserted; exit 1 and name the rows otherwise.

    With --anchor also that its tail was not cut off and the whole not replaced; the ledger's key is not
    needed then, only the anchor.

    Example: countersign audit verify --anchor anchor.json
    """
    with installation() as here:
        here.require_schema()
        held = Anchor.parse(anchor.read_bytes()) if anchor else None
        key = held.public_key if held else here.components.ledger_key.public
        kept = here.components.checkpoints.kept.read()
        report = verify_ledger(here.components.database, key, held, _progress(), kept=kept)
        well = _well(report, here.now)
    show(_shape(report), "\n".join(each.text for each in report.findings) or well, as_json=as_json)
    if not report.intact:
        more = f", and {report.more} more" if report.more else ""
        found = _counted(len(report.findings), "finding")
        raise Refused(f"the ledger cannot be proven intact: {found}{more}")


def _shape(report: Report) -> dict[str, Any]:
    return {
        "intact": report.intact,
        "events": report.rows,
        "checkpoints": report.checkpoints,
        "awaiting_checkpoint": report.unsigned,
        "awaiting_checkpoint_since": rfc3339(report.waiting_since) if report.waiting_since else None,
        "since": report.since,
        "findings": [asdict(each) for each in report.findings],
    }


def _well(report: Report, now: datetime) -> str:
    since = f" since {report.since}, when the ledger was pruned" if report.since else ""
    waiting = f"; {report.unsigned} {_for_how_long(report.waiting_since, now)}" if report.unsigned else ""
    rows, checkpoints = _counted(report.rows, "event"), _counted(report.checkpoints, "checkpoint")
    return f"intact{since}: {rows} under {checkpoints}{waiting}"


def _for_how_long(waiting_since: datetime | None, now: datetime) -> str:
    if waiting_since is None or now - waiting_since < _LONG_UNSIGNED:
        return "not signed yet"
    return f"not signed for {(now - waiting_since) // timedelta(minutes=1)} minutes: is the worker running?"


def _counted(number: int, of: str) -> str:
    return f"{number} {of}{'' if number == 1 else 's'}"


def _progress() -> Callable[[int], None]:
    """On a terminal only, and only when it takes a while."""
    began = time.monotonic()

    def say(rows: int) -> None:
        if sys.stderr.isatty() and time.monotonic() - began > _QUIET_SECONDS:
            click.echo(f"{rows} events verified", err=True)

    return say


@click.command(cls=Command)
@click.option("--before", required=True, metavar="DURATION", help="Age of what goes, such as 365d.")
@json_option
def prune(before: str, as_json: bool) -> None:
    """Delete the events that are older, up to a checkpoint; what stays can still be proven.

    Example: countersign audit prune --before 365d
    """
    with installation() as here:
        here.require_schema()
        parts = here.components
        limit = here.now - duration("--before", before)
        done = retention.prune(parts.database, parts.checkpoints, parts.clock, limit, here.actor)
    said = {"events": done.rows, "checkpoint": done.checkpoint, "since": rfc3339(done.since)}
    gone = f"{_counted(done.rows, 'event')} {'is' if done.rows == 1 else 'are'} gone"
    show(said, f"{gone}; the ledger begins at {said['since']}", as_json=as_json)

"""What ``flow start`` and ``run retry`` have in common: a run that is executed here, or left to a worker."""

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import click

from app import representation as shapes
from app.cli.console import Installation, Refused, installation, show
from app.cli.plain import Plain
from app.errors import Conflict
from app.flows import runs
from app.flows.models import RunState
from app.flows.start import StartRequest

_UNDER_WAY = (RunState.PENDING, RunState.RUNNING)

detach_option = click.option(
    "--detach", "is_detached", is_flag=True, help="Leave it to the worker process of countersign serve."
)
key_option = click.option(
    "--idempotency-key", "key", help="Asked again with the same key, within a day: the same run."
)


def start_and_tell(ask: Callable[[Installation], StartRequest], *, as_json: bool) -> None:
    """The run's log as it comes, and its end; of one that is left to a worker, that it is there."""
    with installation() as here:
        here.require_schema()
        shape = run_here(here, ask(here), log_to_stderr=as_json)
    if as_json:
        show(shape, "", as_json=True)
    number, state = shape["id"], shape["state"]
    if state in _UNDER_WAY:
        why = f": {shape['reason']}" if shape["reason"] else ""
        if not as_json:
            click.echo(f"run {number} is {state}{why}; countersign run log {number} --follow")
    elif state == RunState.SUCCEEDED:
        click.echo(f"countersign: run {number} succeeded", err=True)
    else:
        raise Refused(f"run {number} {state}: {shape['reason']}")


def run_here(here: Installation, request: StartRequest, *, log_to_stderr: bool) -> shapes.Shape:
    """The run as it is afterwards. Executed in this process, unless it is left to a worker or was there."""
    components = here.components
    started = components.starting.start(request, here.actor)
    if started.is_new and not request.is_queued:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the run is ended and told
        output = _output((sys.stderr if log_to_stderr else sys.stdout).buffer)
        with suppress(KeyboardInterrupt, Conflict):  # the run tells: it was cancelled, here or elsewhere
            components.executions.execute(started.run_id, output, here.actor)
    with here.reading() as session:
        return shapes.run(runs.find_run(session, started.run_id))


def _output(stream: Any) -> Callable[[bytes], None]:
    plain = Plain() if stream.isatty() else bytes

    def write(masked: bytes) -> None:
        try:
            stream.write(plain(masked))
            stream.flush()
        except BrokenPipeError:  # nobody reads on; the run and its stored log do not depend on that
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())

    return write

"""``countersign try``: the main job on this machine, from nothing to a verified token.

``verifier.py`` beside this file knows the issuer's URL and nothing else of ours.
"""

import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click

from app.cli.console import Command, Installation, Refused, installation
from app.cli.sample import openbao, seed
from app.cli.server import address
from app.cli.starting import run_here
from app.cli.supervisor import require_free
from app.flows.models import RunState
from app.flows.start import StartRequest

_READY_SECONDS = 30.0


@click.command("try", cls=Command)
@click.option("--once", is_flag=True, help="Stop after the flow; exit 0 only if everything verified.")
def try_it(once: bool) -> None:
    """Run a sample flow whose ID tokens an independent verifier checks, then go on serving.

    Example: countersign try --once
    """
    began = time.monotonic()
    with installation() as here:
        if not here.settings.on_loopback:
            raise Refused("try is for a trial on loopback: unset COUNTERSIGN_ISSUER")
        _require_port(here.settings.issuer)
        _say(f"Preparing {here.settings.home_dir}: database, signing keys, sample")
        here.components.prepare(here.actor)
        seed.sample(here)
        with _server(here) as server:
            _say(f"Serving {here.settings.issuer}")
            _flow(here, "verify")
            _vault(here)
            _closing(here, time.monotonic() - began)
            if not once:
                _say(f"The console, signed in as {seed.USER}, once in 15 minutes: {seed.sign_in_link(here)}")
                _say("Serving until Ctrl-C.")
                _wait(server)


def _require_port(issuer: str) -> None:
    host, port = address(None, issuer)
    other = min({8001, 8002} - {port})
    remedy = f"stop what listens there, or run it with COUNTERSIGN_ISSUER=http://localhost:{other}"
    require_free(host, port, remedy)


def _flow(here: Installation, flow: str) -> None:
    _say(f"Running flow {flow}: {seed.ACCOUNT} acts for {seed.USER} in {seed.PROJECT}; its masked log:")
    request = StartRequest(
        project=seed.PROJECT,
        flow=flow,
        user=seed.USER,
        service_account=seed.ACCOUNT,
        inputs={
            "VERIFIER": str(Path(__file__).with_name("verifier.py")),
            "VERIFIER_PYTHON": sys.executable,
        },
        source="cli",
    )
    shape = run_here(here, request, log_to_stderr=False)
    if shape["state"] != RunState.SUCCEEDED:
        raise Refused(f"run {shape['id']} {shape['state']}: {shape['reason']}")
    id_tokens, secrets = (", ".join(shape[names]) or "-" for names in ("id_tokens", "secrets"))
    _say(f"Run {shape['id']} succeeded; ID tokens: {id_tokens}; secrets: {secrets}")


def _vault(here: Installation) -> None:
    program = openbao.program()
    if program is None:
        _say("No bao or vault program here, so no secret was opened: `make openbao` builds one (minutes)")
        return
    with openbao.server(program, here.settings.issuer, seed.subject("open-vault")) as address:
        _say(f"{Path(program).name} at {address} trusts this issuer's discovery document")
        seed.point_to_vault(here, address)
        _flow(here, "open-vault")


def _closing(here: Installation, seconds: float) -> None:
    _say(
        f"Done in {seconds:.1f} s. Why this can be trusted: the verifier fetched the keys from"
        f" {here.settings.issuer}/.well-known/openid-configuration by itself and shares no code with the"
        " mint; every token has a row in `countersign audit list`, under both names."
    )


@contextmanager
def _server(here: Installation) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-P", "-m", "app.cli", "serve"])
    try:
        _await_ready(here.settings.issuer, process)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _await_ready(issuer: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), urllib.request.urlopen(f"{issuer}/readyz", timeout=1):  # noqa: S310 - our own issuer
            return
        time.sleep(0.1)
    raise Refused(f"nothing answers at {issuer}: is its port taken? COUNTERSIGN_ISSUER=http://localhost:8001")


def _wait(server: subprocess.Popen[bytes]) -> None:
    signal.signal(signal.SIGTERM, lambda *_: server.send_signal(signal.SIGTERM))
    with suppress(KeyboardInterrupt):
        server.wait()


def _say(text: str) -> None:
    click.echo(click.style("==> ", bold=True) + text)

"""``countersign init``, ``serve``, ``doctor`` and ``db``."""

import re
from urllib.parse import urlsplit

import click

from app import doctor as checks
from app.cli.console import Command, Commands, Refused, installation, json_option, show, show_all
from app.wiring import make_home


@click.command(cls=Command)
@json_option
def init(as_json: bool) -> None:
    """Make what a first start needs: the schema and signing keys. Asks nothing, may be run again.

    Example: countersign init
    """
    with installation() as here:
        here.components.prepare(here.actor)
        settings = here.settings
        shape = {"issuer": settings.issuer, "keys": len(here.components.keyring.current().public_jwks)}
    show(shape, f"ready: issuer {shape['issuer']}, {shape['keys']} published signing keys", as_json=as_json)


@click.command(cls=Command)
@click.option("--bind", metavar="HOST:PORT", help="Default: loopback and the issuer's port.")
def serve(bind: str | None) -> None:
    """Serve discovery, the JWKS and tokens, execute runs that wait, and keep house, until told to stop.

    Example: countersign serve --bind 127.0.0.1:8000
    """
    from app.cli.supervisor import require_free, supervise

    with installation() as here:
        host, port = address(bind, here.settings.issuer)
        require_free(host, port)
        for doubt in here.settings.doubts:
            click.echo(f"countersign: not for production: {doubt}", err=True)
        here.components.prepare(here.actor)
        here.components.keyring.current()
        exit_code = supervise(here.settings, host, port, sqlite=here.components.database.is_sqlite)
    raise SystemExit(exit_code)


def address(bind: str | None, issuer: str) -> tuple[str, int]:
    if bind is None:
        parts = urlsplit(issuer)
        return "127.0.0.1", parts.port or (8000 if parts.scheme == "https" else 80)
    host, _, port = bind.rpartition(":")
    if not host or not re.fullmatch("[0-9]{1,5}", port) or int(port) not in range(1, 65_536):
        raise click.UsageError("--bind is HOST:PORT, such as 127.0.0.1:8000, the port from 1 to 65535")
    return host.strip("[]"), int(port)


@click.command(cls=Command)
@json_option
def doctor(as_json: bool) -> None:
    """Check this installation for what would become an outage; exit 1 if there is something.

    Example: countersign doctor
    """
    with installation() as here:
        parts, settings = here.components, here.settings
        runs_wanted = not settings.production or settings.local_executor_user is not None
        why_no_runs = parts.why_no_local_runs if runs_wanted else lambda: None
        found = list(
            checks.all_checks(
                parts.database,
                parts.keyring,
                parts.keystores,
                settings.keys_dir,
                why_no_runs,
                parts.overdue_before(),
                secret_files=settings.secret_files.values(),
                open_ledger_key=lambda: parts.ledger_key.public,
            )
        )
        note = None if runs_wanted else parts.why_no_local_runs()
    rows = [{"number": each.number, "check": each.name, "fault": each.fault} for each in found]
    show_all(rows, ("number", "check", "fault"), "", as_json=as_json)
    if note is not None:
        click.echo(f"countersign: no flow runs on this host: {note}", err=True)
    if faults := sum(each.fault is not None for each in found):
        raise Refused(f"{faults} of {len(found)} checks found a fault")


@click.group(cls=Commands)
def db() -> None:
    """The database's schema.

    Example: countersign db upgrade
    """


@db.command("upgrade")
@json_option
def upgrade(as_json: bool) -> None:
    """Migrate to this version's schema; rows stay.

    Example: countersign db upgrade
    """
    with installation() as here:
        make_home(here.settings)
        here.components.database.upgrade()
    show({"migrated": True}, "the schema is this version's", as_json=as_json)


@click.command(hidden=True)
def worker() -> None:
    """The background process of a node; the supervisor starts it."""
    from app.flows import git
    from app.flows.taker import Taker
    from app.flows.vault_leftovers import VaultLeftovers
    from app.worker import work

    with installation() as here:
        parts, settings = here.components, here.settings
        taker = Taker(lambda: parts.executions, settings.runs_per_node)
        parts.keyring.follow()
        git.remove_leftovers(here.now)
        work(
            parts.database,
            parts.clock,
            parts.executor,
            parts.checkpoints,
            parts.upkeep,
            settings.log_retention,
            taker,
            VaultLeftovers(parts.vault_logins),
        )

"""``countersign keys``: list, rotate, revoke, and who has fetched them."""

from datetime import datetime
from typing import Any

import click

from app import representation as shapes
from app.cli import keystores
from app.cli.console import (
    Commands,
    Installation,
    Refused,
    fields,
    installation,
    json_option,
    show,
    show_all,
)
from app.clock import rfc3339
from app.signing import rotations
from app.signing.algorithms import Algorithm
from app.signing.checks import revocable
from app.signing.fetches import fetched_since
from app.signing.keyring import ActiveKey
from app.signing.keystores.checking import opens
from app.signing.models import SIGNING, KeyState
from app.signing.rotations import Wish
from app.signing.transitions import check_reason
from app.tokens.key_impact import impact_of


@click.group(cls=Commands)
def keys() -> None:
    """Signing keys.

    Example: countersign keys list
    """


KID_MAY_BEGIN_WITH_A_HYPHEN = {"ignore_unknown_options": True}
"""One thumbprint in 64 does (RFC 7638 §3)."""


for _command in (keystores.import_key, keystores.move, keystores.rewrap):
    keys.add_command(_command)


@keys.command("list")
@json_option
def list_keys(as_json: bool) -> None:
    """List signing keys, the newest publication first.

    Example: countersign keys list --json
    """
    with installation() as here:
        here.require_schema()
        lead = here.settings.key_publish_lead
        rows = [shapes.signing_key(row, lead) for row in here.components.keyring.history()]
    columns = ("kid", "alg", "state", "keystore", "published_at", "signs_from", "leaves_jwks_by")
    show_all(rows, columns, "no keys yet: countersign init", as_json=as_json)


@keys.command("rotate")
@click.option(
    "--alg", type=click.Choice([each.value for each in Algorithm]), help="Default: every algorithm in use."
)
@click.option("--now", "at_once", is_flag=True, help="Before verifiers have had time to fetch the next key.")
@click.option("--reason", help="Why that may be; for the ledger. With --now.")
@json_option
def rotate(alg: str | None, at_once: bool, reason: str | None, as_json: bool) -> None:
    """The next key signs from now on, the active one is retired, and a new next one is published.

    Example: countersign keys rotate
    """
    if at_once != (reason is not None):
        raise click.UsageError("--now and --reason go together")
    with installation() as here:
        here.require_schema()
        parts, wish = here.components, Wish(algorithm=Algorithm(alg) if alg else None, override=reason)
        locked = _locked(here, KeyState.ACTIVE)
        done = rotations.rotate(parts.lifecycle, parts.keyring, wish, here.actor)
        shape = shapes.rotations(done)
    show(shape, _rotations_in_words(shape), as_json=as_json)
    _advise_restart(locked & {each.retired for each in done.rotated})
    if done.failed:
        raise Refused(f"not rotated: {', '.join(done.failed)}")


def _rotations_in_words(shape: dict[str, Any]) -> str:
    done = ("{alg}: {active} signs, {retired} is retired".format(**each) for each in shape["rotated"])
    return "\n".join([*done, *("{alg}: not yet: {reason}".format(**each) for each in shape["waiting"])])


@keys.command("fetches", context_settings=KID_MAY_BEGIN_WITH_A_HYPHEN)
@click.argument("kid")
@json_option
def list_fetches(kid: str, as_json: bool) -> None:
    """List who has fetched the JWKS since a key was published in it, by user agent and network.

    Example: countersign keys fetches KID
    """
    with installation() as here, here.reading() as session:
        rows = [shapes.fetched(each) for each in fetched_since(session, kid)]
    columns = ("agent", "network", "count", "first_at", "last_at")
    show_all(rows, columns, "nobody has fetched it yet", as_json=as_json)


@keys.command("revoke", context_settings=KID_MAY_BEGIN_WITH_A_HYPHEN)
@click.argument("kid")
@click.option("--reason", required=True, help="For the ledger.")
@click.option("--yes", is_flag=True, help="Do not ask; for scripts.")
@json_option
def revoke(kid: str, reason: str, yes: bool, as_json: bool) -> None:
    """Take a key out of the JWKS at once, for ever. Tells first what that breaks, and asks for the key id.

    In place of an active key the next one signs, although not every verifier may have fetched it.

    Example: countersign keys revoke KID --reason "in a public repository"
    """
    check_reason(reason)
    with installation() as here:
        with here.reading() as session:
            seen = revocable(session, kid, None).state
            told = shapes.key_impact(impact_of(session, kid, here.now), here.settings.jwks_max_age)
        if not yes:
            click.echo(_impact_in_words(told), err=True)
            if _typed_key_id() != kid:
                raise Refused("that is not its key id: nothing was revoked")
        locked = _locked(here, *SIGNING)
        key = here.components.lifecycle.revoke(kid, reason, here.actor, expected=seen)
        active = here.components.keyring.current().actives.get(key.alg)
        signs = {
            "signs_from": rfc3339(active.since) if active else None,
            "cannot_sign": active.cannot_sign if active else None,
        }
        text = "; ".join([f"revoked {kid}", *([_signs(active, key.alg, here.now)] if active else [])])
    shape = shapes.revoked_key(key, active.kid if active else None, told)
    show(shape | signs, text, as_json=as_json)
    _advise_restart(locked & {kid})


def _typed_key_id() -> str:
    try:
        return str(click.prompt("Type the key id to revoke it", err=True))
    except click.Abort:
        raise Refused("no key id was typed: nothing was revoked; --yes for scripts") from None


def _signs(active: ActiveKey, alg: str, now: datetime) -> str:
    if active.cannot_sign:
        return f"{active.kid} is to sign {alg}, and cannot: {active.cannot_sign}"
    return f"{active.kid} signs {alg}{f' from {rfc3339(active.since)} on' if active.since > now else ''}"


def _locked(here: Installation, *states: KeyState) -> set[str]:
    """The ``kid`` of each key in these states whose private half cannot be had with these settings."""
    parts = here.components
    rows = [row for row in parts.keyring.history() if row.state in states]
    return {row.kid for row in rows if not opens(row, parts.keystores)}


def _advise_restart(locked: set[str]) -> None:
    """Servers that still have the old passphrase open no key that is made with the new one."""
    if locked:
        click.echo(
            f"countersign: {' '.join(sorted(locked))} could not be opened with the settings of this command: "
            "restart every server with the same settings now, or it issues no token; then ask its /readyz",
            err=True,
        )


def _impact_in_words(shape: dict[str, Any]) -> str:
    told = fields({name: value for name, value in shape.items() if name != "verifiers_keep_it"})
    keeps = "\n".join(f"  {verifier}: {how}" for verifier, how in shape["verifiers_keep_it"].items())
    return f"{told}\nwho has fetched the key already believes it for:\n{keeps}"

"""``countersign keys``: list, rotate, revoke, and who has fetched them."""

from typing import Any

import click

from app import representation as shapes
from app.cli import keystores
from app.cli.console import (
    Commands,
    Refused,
    fields,
    installation,
    json_option,
    show,
    show_all,
)
from app.signing import rotations
from app.signing.algorithms import Algorithm
from app.signing.checks import revocable
from app.signing.fetches import fetched_since
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
        rows = [shapes.signing_key(row) for row in here.components.keyring.history()]
    columns = ("kid", "alg", "state", "keystore", "published_at", "activated_at")
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
        shape = shapes.rotations(rotations.rotate(parts.lifecycle, parts.keyring, wish, here.actor))
    show(shape, _rotations_in_words(shape), as_json=as_json)


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
            if click.prompt("Type the key id to revoke it", err=True) != kid:
                raise Refused("that is not its key id: nothing was revoked")
        key = here.components.lifecycle.revoke(kid, reason, here.actor, expected=seen)
        active = here.components.keyring.current().active_kid(key.alg)
    text = f"revoked {kid}; {active} signs {key.alg}" if active else f"revoked {kid}"
    show(shapes.revoked_key(key, active, told), text, as_json=as_json)


def _impact_in_words(shape: dict[str, Any]) -> str:
    told = fields({name: value for name, value in shape.items() if name != "verifiers_keep_it"})
    keeps = "\n".join(f"  {verifier}: {how}" for verifier, how in shape["verifiers_keep_it"].items())
    return f"{told}\nwho has fetched the key already believes it for:\n{keeps}"

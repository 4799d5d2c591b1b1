"""``countersign keys``: list, rotate, revoke, and who has fetched them."""

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
from app.signing.algorithms import Algorithm
from app.signing.fetches import fetched_since
from app.signing.lifecycle import TooEarly
from app.signing.models import KeyState
from app.tokens.key_impact import KeyImpact, impact_of
from app.tokens.verifiers import KEEPS


@click.group(cls=Commands)
def keys() -> None:
    """Signing keys.

    Example: countersign keys list
    """


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
    columns = ("kid", "alg", "state", "published_at", "activated_at")
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
        shape = _rotated(here, Algorithm(alg) if alg else None, reason)
    show(shape, _rotations_in_words(shape), as_json=as_json)


def _rotated(here: Installation, wanted: Algorithm | None, reason: str | None) -> dict[str, Any]:
    """Each algorithm on its own: one that has to wait holds up no other. Refused if all have to."""
    history = here.components.keyring.history()
    actives = {Algorithm(row.alg): row.kid for row in history if row.state == KeyState.ACTIVE}
    rotated, waiting, refusal = [], [], "no keys yet: countersign init"
    for algorithm in actives if wanted is None else (wanted,):
        active, lifecycle = actives.get(algorithm), here.components.lifecycle
        try:
            kid = lifecycle.rotate(algorithm, here.actor, expected=active, override=reason)
            rotated.append({"alg": algorithm, "active": kid, "retired": active})
        except TooEarly as early:
            refusal = str(early)
            waiting.append({"alg": algorithm, "reason": refusal})
    if not rotated:
        raise Refused(refusal)
    return {"rotated": rotated, "waiting": waiting}


def _rotations_in_words(shape: dict[str, Any]) -> str:
    done = ("{alg}: {active} signs, {retired} is retired".format(**each) for each in shape["rotated"])
    return "\n".join([*done, *("{alg}: not yet: {reason}".format(**each) for each in shape["waiting"])])


@keys.command("fetches")
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


@keys.command("revoke")
@click.argument("kid")
@click.option("--reason", required=True, help="For the ledger.")
@click.option("--yes", is_flag=True, help="Do not ask; for scripts.")
@json_option
def revoke(kid: str, reason: str, yes: bool, as_json: bool) -> None:
    """Take a key out of the JWKS at once, for ever. Tells first what that breaks, and asks for the key id.

    In place of an active key the next one signs, although not every verifier may have fetched it.

    Example: countersign keys revoke KID --reason "in a public repository"
    """
    with installation() as here:
        with here.reading() as session:
            impact = impact_of(session, kid, here.now)
        shape = _impact_shape(impact)
        if not yes:
            click.echo(_impact_in_words(shape), err=True)
            if click.prompt("Type the key id to revoke it", err=True) != kid:
                raise Refused("that is not its key id: nothing was revoked")
        here.components.lifecycle.revoke(kid, reason, here.actor)
        active = here.components.keyring.current().actives[impact.alg].kid
    shape = {"kid": kid, "state": KeyState.REVOKED, "reason": reason, "active": active, "impact": shape}
    show(shape, f"revoked {kid}; {active} signs {impact.alg}", as_json=as_json)


def _impact_shape(impact: KeyImpact) -> dict[str, Any]:
    return vars(impact) | {
        "until": rfc3339(impact.until),
        "audiences": list(impact.audiences),
        "verifiers_keep_it": dict(KEEPS),
    }


def _impact_in_words(shape: dict[str, Any]) -> str:
    told = fields({name: value for name, value in shape.items() if name != "verifiers_keep_it"})
    keeps = "\n".join(f"  {verifier}: {how}" for verifier, how in shape["verifiers_keep_it"].items())
    return f"{told}\nwho has fetched the key already believes it for:\n{keeps}"

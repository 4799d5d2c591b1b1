"""``countersign keys import``, ``move`` and ``rewrap``: private keys on their way in or between keystores."""

import sys
from pathlib import Path
from typing import BinaryIO

import click

from app.cli.console import Command, Installation, Refused, installation, json_option, show
from app.clock import rfc3339
from app.errors import InvalidInput
from app.secret import Secret
from app.signing.algorithms import Algorithm, PrivateKey
from app.signing.importing import PassphraseNeeded, algorithm_of, read_private_key
from app.signing.keystores import KeystoreError, KeystoreName
from app.signing.keystores.database import DatabaseKeystore
from app.signing.transitions import may_sign_at

_LONGEST = 65_536


@click.command("import", cls=Command)
@click.argument("file", type=click.File("rb"))
@click.option(
    "--alg",
    type=click.Choice([alg.value for alg in Algorithm]),
    help="An RSA key signs RS256 unless PS256 is given.",
)
@click.option(
    "--passphrase-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What the key is encrypted with; without it you are asked.",
)
@json_option
def import_key(file: BinaryIO, alg: str | None, passphrase_file: Path | None, as_json: bool) -> None:
    """Take in a private key that was made elsewhere (PEM; - is stdin). It becomes the next key.

    It is published at once and signs after a rotation. There is no way to get it out again.

    Example: countersign keys import old-issuer.pem --passphrase-file old-passphrase
    """
    with installation() as here:
        here.require_schema()
        key = _read(file, passphrase_file)
        algorithm = algorithm_of(key, Algorithm(alg) if alg else None)
        made = here.components.lifecycle.import_key(key, algorithm, here.actor)
        shape = _imported(here, made.kid)
    text = (
        "{kid} is the next {alg} key, in the keystore {keystore}, in place of {replaced}, which has left the "
        "JWKS; it may sign from {may_sign_from} on"
    ).format_map(shape)
    show(shape, f"{text}; destroy {_named(file)}", as_json=as_json)


def _imported(here: Installation, kid: str) -> dict[str, str | None]:
    """``replaced``: the key that was *next*, and left in the same transaction."""
    rows = here.components.keyring.history()
    row = next(row for row in rows if row.kid == kid)
    replaced = (each.kid for each in rows if each.alg == row.alg and each.removed_at == row.published_at)
    return {
        "kid": kid,
        "alg": row.alg,
        "state": "next",
        "keystore": row.keystore,
        "replaced": next(replaced, None),
        "may_sign_from": rfc3339(may_sign_at(row, here.settings.key_publish_lead)),
    }


def _read(file: BinaryIO, passphrase_file: Path | None) -> PrivateKey:
    pem = file.read(_LONGEST + 1)
    if len(pem) > _LONGEST:
        raise InvalidInput(f"FILE is larger than {_LONGEST} bytes: no private key is")
    if passphrase_file is not None:
        return read_private_key(pem, _passphrase_in(passphrase_file))
    try:
        return read_private_key(pem)
    except PassphraseNeeded:
        return read_private_key(pem, _asked())


def _passphrase_in(path: Path) -> Secret:
    try:
        return Secret(path.read_text().removesuffix("\n"))
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"--passphrase-file cannot be read: {type(error).__name__}") from None


def _asked() -> Secret:
    if not sys.stdin.isatty():
        raise Refused("the key is encrypted: give --passphrase-file")
    return Secret(click.prompt("Passphrase of the key", hide_input=True, err=True))


def _named(file: BinaryIO) -> str:
    return "where it came from" if file.name == "<stdin>" else str(file.name)


@click.command("move", cls=Command)
@click.option("--to", "target", required=True, type=click.Choice([name.value for name in KeystoreName]))
@json_option
def move(target: str, as_json: bool) -> None:
    """Move the private keys to another keystore. They stay the same keys: no verifier notices.

    What lies in transit never leaves it: such keys stay until they are rotated out. Run it again after
    whatever stopped it.

    Example: countersign keys move --to database
    """
    with installation() as here:
        here.require_schema()
        moves = here.components.mover.move(KeystoreName(target), here.actor)
        told = _what_to_do_next(here, target)
    shape = {"to": target, "moved": list(moves.moved), "staying": list(moves.staying)}
    lines = [f"moved {len(moves.moved)} keys to {target}"]
    if moves.staying:
        lines.append(f"{len(moves.staying)} keys never leave transit: rotate until none of them signs")
    show(shape, "\n".join([*lines, *told]), as_json=as_json)


def _what_to_do_next(here: Installation, target: str) -> list[str]:
    last = f"restart every server; one that cannot read {target} says so in /readyz, and fails at a rotation"
    if here.settings.keystore == target:
        return [last]
    made_in = here.settings.keystore
    return [f"new keys are still made in {made_in}: set COUNTERSIGN_KEYSTORE={target} everywhere", last]


@click.command("rewrap", cls=Command)
@json_option
def rewrap(as_json: bool) -> None:
    """Seal the keys of the database keystore under COUNTERSIGN_KEY_ENCRYPTION_KEY, which has been replaced.

    Needs the old one in COUNTERSIGN_KEY_ENCRYPTION_KEY_OLD. Run it again after whatever stopped it.

    Example: countersign keys rewrap
    """
    with installation() as here:
        here.require_schema()
        store = here.components.keystores[KeystoreName.DATABASE]
        if not isinstance(store, DatabaseKeystore):
            raise KeystoreError("only the database keystore seals keys")
        kids = store.rewrap(here.actor)
    shape = {"rewrapped": kids}
    text = (
        f"sealed {len(kids)} keys anew; the old key-encryption key is not needed any more"
        if kids
        else "no key is sealed under COUNTERSIGN_KEY_ENCRYPTION_KEY_OLD: nothing was done"
    )
    show(shape, text, as_json=as_json)

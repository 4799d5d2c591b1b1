"""``countersign token``."""

from datetime import datetime
from typing import Any, TextIO
from warnings import catch_warnings

import click
from joserfc import jwt
from joserfc.errors import DecodeError, InvalidPayloadError, JoseError, SecurityWarning
from joserfc.jwk import KeySet
from sqlalchemy import Connection
from sqlalchemy.orm import Session

from app.cli.console import (
    Commands,
    Installation,
    Refused,
    fields,
    installation,
    json_option,
    printable,
    show,
)
from app.clock import timestamp
from app.errors import NotFound
from app.identity.accounts import find_service_account, find_user
from app.protocol.oauth_errors import OAuthError
from app.protocol.principals import user_principal
from app.signing.algorithms import Algorithm
from app.signing.reader import SignedToken, why_not_read
from app.tokens.grants import AccessGrant, Account, GrantRefused, decide
from app.tokens.introspection import Introspection

_WRONG_SIGNATURE = "the signature is wrong: the token was changed, or another issuer signed it"
_PIPE = "FILE is a path or -: pipe the token in"


class TokenFile(click.File):
    """What stands in its place may be a live token: a refusal never repeats it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            raise click.UsageError(_PIPE, ctx) from None


@click.group(cls=Commands)
def token() -> None:
    """Access tokens.

    Example: countersign token issue --service-account duo --user alice --scope api
    """


@token.command("issue")
@click.option("--service-account", "name", required=True)
@click.option("--user", "login", help="The human it acts for.")
@click.option("--scope", "scopes", multiple=True)
@click.option(
    "--resource", "resources", multiple=True, help="A registered api audience; default our own API."
)
@json_option
def issue(
    name: str, login: str | None, scopes: tuple[str, ...], resources: tuple[str, ...], as_json: bool
) -> None:
    """Issue an access token by the rules of the token endpoint, in the operator's name.

    Example: countersign token issue --service-account duo --user alice --scope api
    """
    with installation() as here:
        with here.reading() as session:
            row = find_service_account(session, name)
            account = Account(row.id, row.name, row.is_composite)
            human = _human(session, login)
        scope = " ".join([*scopes, *([user_principal(human)] if human else [])])
        issuer = here.settings.issuer

        def decided(connection: Connection, now: datetime) -> AccessGrant:
            if login is not None and human is None:
                cause = "the human to act for does not exist, or is none"
                raise GrantRefused(OAuthError.INVALID_SCOPE, cause, service_account_id=account.id)
            return decide(connection, account, scope, resources, issuer=issuer, now=now)

        try:
            signed = here.components.mint.access_token(decided, here.actor)
        except GrantRefused as refusal:
            raise Refused(f"{refusal.error.code}: {refusal.cause}") from None
    show(signed.answer(), signed.token.reveal(), as_json=as_json)


def _human(session: Session, login: str | None) -> int | None:
    try:
        return None if login is None else find_user(session, login).id
    except NotFound:
        return None  # the mint refuses, and tells the ledger


@token.command("inspect", context_settings={"allow_extra_args": True})
@click.pass_context
@click.argument("file", type=TokenFile("r"), metavar="FILE")
@json_option
def inspect(context: click.Context, file: TextIO, as_json: bool) -> None:
    """Verify a token against the published keys, show what it says and whether it is alive; - reads stdin.

    Example: countersign token issue --service-account duo --user alice | countersign token inspect -
    """
    if context.args:
        raise click.UsageError(_PIPE)
    with installation() as here:
        here.require_schema()
        published = KeySet.import_key_set({"keys": list(here.components.keyring.current().public_jwks)})
        decoded = _verified(here, file, published)
        cause = _cause_of_death(here, decoded)
        expired = decoded.claims["exp"] <= timestamp(here.now)
    shape = {
        "header": decoded.header,
        "claims": decoded.claims,
        "expired": expired,
        "active": cause is None,
        "reason": cause,
    }
    lines = fields(decoded.header | decoded.claims)
    show(shape, f"{lines}\n{f'dead: {cause}' if cause else 'alive'}", as_json=as_json)


def _verified(here: Installation, file: TextIO, published: KeySet) -> jwt.Token:
    issuer = here.settings.issuer
    try:
        text = file.read().strip()
        with catch_warnings(action="ignore", category=SecurityWarning):  # EdDSA's name is an old one
            decoded = jwt.decode(text, published, algorithms=list(Algorithm))
    except (DecodeError, InvalidPayloadError, ValueError):
        raise Refused("this is no JWT (three parts with dots)") from None
    except JoseError:
        raise Refused(_why_not_verified(here, text)) from None
    if (other := decoded.claims.get("iss")) != issuer:
        raise Refused(f"the token is of {printable(str(other))}, and this issuer is {issuer}")
    return decoded


def _why_not_verified(here: Installation, text: str) -> str:
    with here.components.database.reading_connection() as connection:
        cause = why_not_read(connection, text)
    return f"dead: {cause}" if cause else _WRONG_SIGNATURE


def _cause_of_death(here: Installation, token: jwt.Token) -> str | None:
    introspection = Introspection(here.components.reader, here.settings.issuer)
    signed = SignedToken(token.header["typ"], token.header["kid"], token.claims)
    with here.components.database.reading_connection() as connection:
        return introspection.life(connection, signed, here.now).cause

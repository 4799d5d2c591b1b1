"""The one Authlib adapter: its server and one grant class per grant type, calling our mint.

Authlib parses the request and chooses the grant; client secrets, scopes and tokens are ours. Its own
descriptions repeat what was sent and its DEBUG log shows whole tokens, so neither is used.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import unquote_plus, urlsplit

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.integrations.flask_oauth2.requests import FlaskOAuth2Request
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import OAuth2Request
from authlib.oauth2.rfc6749.grants import BaseGrant, TokenEndpointMixin
from flask import Request
from flask import request as flask_request
from sqlalchemy import Connection
from werkzeug.datastructures import Authorization

from app.identity.credentials import Client, authenticate_client
from app.ledger.actions import AuditAction, Outcome
from app.ledger.record import Actor, record
from app.protocol.oauth_errors import OAuthError
from app.protocol.principals import parse_client_id, service_account_principal
from app.secret import Secret
from app.tokens.grants import AccessGrant, Account, GrantRefused, decide
from app.tokens.mint import Mint

logging.getLogger("authlib").setLevel(logging.WARNING)

_FORM = "application/x-www-form-urlencoded"


class TokenError(OAuth2Error):  # type: ignore[misc]  # Authlib has no types
    """An RFC 6749 §5.2 answer in fixed words."""

    def __init__(self, refusal: OAuthError) -> None:
        super().__init__(description=refusal.description, status_code=refusal.status, error=refusal.code)

    def get_headers(self) -> list[tuple[str, str]]:
        headers: list[tuple[str, str]] = super().get_headers()
        if self.status_code == OAuthError.INVALID_CLIENT.status:
            headers.append(("WWW-Authenticate", 'Basic realm="countersign", charset="UTF-8"'))
        return headers


class TokenServer(AuthorizationServer):  # type: ignore[misc]  # Authlib has no types
    """Authlib's server over our mint. ``request_id`` tells the request that is being answered."""

    def __init__(self, mint: Mint, request_id: Callable[[], str]) -> None:
        super().__init__()
        self.mint = mint
        self.request_id = request_id
        self.register_grant(ClientCredentials)

    def create_oauth2_request(self, request: object) -> OAuth2Request:  # noqa: ARG002 - Authlib's signature
        """At the issuer's host and by https, whatever the request says: TLS ends at the proxy in front,
        and Authlib refuses what looks like plain http to it.
        """
        address = {"wsgi.url_scheme": "https", "HTTP_HOST": urlsplit(self.mint.issuer).netloc}
        return FlaskOAuth2Request(Request(flask_request.environ | address))

    def get_token_grant(self, request: OAuth2Request) -> BaseGrant:
        check_form(request)
        try:
            return super().get_token_grant(request)
        except OAuth2Error:
            raise TokenError(OAuthError.UNSUPPORTED_GRANT_TYPE) from None

    def create_token_response(self, request: OAuth2Request | None = None) -> Any:
        try:
            return super().create_token_response(request)
        except TokenError as error:  # from get_token_grant, which Authlib does not guard
            return self.handle_error_response(None, error)

    def get_error_uri(self, request: OAuth2Request | None, error: OAuth2Error) -> None:
        """None: the documentation is not at a fixed address."""

    def authenticate(self, request: OAuth2Request) -> Client:
        """Either ``client_secret_basic`` or ``client_secret_post``, never both (RFC 6749 §2.3)."""
        client_id, client_secret = _credentials(request)
        number = parse_client_id(client_id)
        now = self.mint.clock()
        if number is not None:
            with self.mint.database.reading_connection() as connection:
                if client := authenticate_client(connection, number, Secret(client_secret), now):
                    return client
        self._record_stranger(client_id if number else "malformed", now)
        raise TokenError(OAuthError.INVALID_CLIENT)

    def _record_stranger(self, client_id: str, now: datetime) -> None:
        event = Actor(name="anonymous", request_id=self.request_id()).did(
            AuditAction.CLIENT_AUTHENTICATE,
            now,
            outcome=Outcome.DENIED,
            detail={
                "client_id": client_id,
                "cause": "unknown client, wrong or dead secret, or disabled account",
            },
        )
        with self.mint.database.writing_connection() as connection:
            record(connection, event)


class ClientCredentials(BaseGrant, TokenEndpointMixin):  # type: ignore[misc]  # Authlib has no types
    """RFC 6749 §4.4, with the human it acts for as a dynamic scope and ``resource`` of RFC 8707."""

    GRANT_TYPE = "client_credentials"

    def validate_token_request(self) -> None:
        self.request.client = self.server.authenticate(self.request)

    def create_token_response(self) -> tuple[int, dict[str, Any], list[tuple[str, str]]]:
        mint: Mint = self.server.mint
        client: Client = self.request.client
        actor = Actor(name=service_account_principal(client.id), request_id=self.server.request_id())
        try:
            signed = mint.access_token(lambda connection, now: self._decide(client, connection, now), actor)
        except GrantRefused as refusal:
            raise TokenError(refusal.error) from None
        return 200, signed.answer(), self.TOKEN_RESPONSE_HEADER

    def _decide(self, client: Client, connection: Connection, now: datetime) -> AccessGrant:
        form = self.request.form
        grant = decide(
            connection,
            Account(client.id, client.name, client.is_composite),
            form.get("scope", ""),
            form.getlist("resource"),
            issuer=self.server.mint.issuer,
            now=now,
        )
        return replace(grant, client_secret_id=client.client_secret_id, note_secret_use=client.use_is_due)


def check_form(request: OAuth2Request) -> None:
    """A form body alone, each parameter once; only ``resource`` may repeat (RFC 6749 §3.2, RFC 8707 §2)."""
    content_type = (request.headers.get("Content-Type") or "").partition(";")[0].strip().lower()
    repeated = [name for name, values in request.form.lists() if len(values) > 1 and name != "resource"]
    if content_type != _FORM or repeated or request.args or not request.form.get("grant_type"):
        raise TokenError(OAuthError.INVALID_REQUEST)


def _credentials(request: OAuth2Request) -> tuple[str, str]:
    form = request.form
    if "Authorization" not in request.headers:
        return form.get("client_id", ""), form.get("client_secret", "")
    header: str = request.headers["Authorization"]
    basic = Authorization.from_header(header) if header.isascii() else None  # Werkzeug raises on the rest
    client_id, client_secret = (
        unquote_plus((basic and basic.get(part)) or "") for part in ("username", "password")
    )
    if "client_secret" in form or form.get("client_id", client_id) != client_id:
        raise TokenError(OAuthError.INVALID_REQUEST)
    return client_id, client_secret

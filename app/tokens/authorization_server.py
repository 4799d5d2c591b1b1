"""The one Authlib adapter: its server, one grant class per grant type and two endpoints, calling our own.

Authlib parses the request and chooses the grant; client secrets, scopes and tokens are ours. Its own
descriptions repeat what was sent and its DEBUG log shows whole tokens, so neither is used.
"""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import unquote_plus

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import OAuth2Request
from authlib.oauth2.rfc6749.endpoint import Endpoint
from authlib.oauth2.rfc6749.grants import BaseGrant, TokenEndpointMixin
from sqlalchemy import Connection
from werkzeug.datastructures import Authorization

from app.identity.credentials import Client, authenticate_client
from app.ledger.actions import AuditAction, Outcome
from app.ledger.record import Actor, record
from app.protocol.oauth_errors import OAuthError
from app.protocol.principals import parse_client_id, service_account_principal
from app.secret import Secret
from app.tokens.grants import AccessGrant, Account, GrantRefused, decide
from app.tokens.introspection import Introspection
from app.tokens.mint import Mint
from app.tokens.revocation import Revocation

logging.getLogger("authlib").setLevel(logging.WARNING)

_FORM = "application/x-www-form-urlencoded"
_JSON = [("Content-Type", "application/json"), ("Cache-Control", "no-store"), ("Pragma", "no-cache")]


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

    def __init__(
        self,
        mint: Mint,
        introspection: Introspection,
        revocation: Revocation,
        request_id: Callable[[], str],
    ) -> None:
        super().__init__()
        self.mint = mint
        self.introspection = introspection
        self.revocation = revocation
        self.request_id = request_id
        self.register_grant(ClientCredentials)
        self.register_endpoint(Introspect)
        self.register_endpoint(Revoke)

    def get_token_grant(self, request: OAuth2Request) -> BaseGrant:
        check_form(request, "grant_type")
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

    def actor(self, client: Client) -> Actor:
        return Actor(name=service_account_principal(client.id), request_id=self.request_id())

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
        actor = self.server.actor(client)
        try:
            signed = mint.access_token(lambda connection, now: self._decide(client, connection, now), actor)
        except GrantRefused as refusal:
            raise TokenError(refusal.error) from None
        return 200, signed.answer(), self.TOKEN_RESPONSE_HEADER

    def _decide(self, client: Client, connection: Connection, now: datetime) -> AccessGrant:
        form = self.request.form
        return decide(
            connection,
            Account(client.id, client.name, client.is_composite),
            form.get("scope", ""),
            form.getlist("resource"),
            issuer=self.server.mint.issuer,
            client_secret_id=client.client_secret_id,
            now=now,
        )


class Introspect(Endpoint):  # type: ignore[misc]  # Authlib has no types
    """RFC 7662. A ``token_type_hint`` is ignored, as §2.1 allows: there is one kind."""

    ENDPOINT_NAME = "introspection"

    def create_endpoint_response(self, request: OAuth2Request) -> "Answer":
        check_form(request, "token")
        server: TokenServer = self.server
        client, database, now = server.authenticate(request), server.mint.database, server.mint.clock()
        with database.reading_connection() as connection:
            finding = server.introspection.asked_by(connection, client.id, request.form["token"], now)
        if finding.cause is not None:
            with database.writing_connection() as connection:
                record(connection, finding.denial(server.actor(client), now))
        return 200, finding.answer, _JSON


class Revoke(Endpoint):  # type: ignore[misc]  # Authlib has no types
    """RFC 7009. A ``token_type_hint`` is ignored, as §2.1 allows."""

    ENDPOINT_NAME = "revocation"

    def create_endpoint_response(self, request: OAuth2Request) -> "Answer":
        check_form(request, "token")
        server: TokenServer = self.server
        client = server.authenticate(request)
        try:
            server.revocation.revoke(client.id, request.form["token"], server.actor(client))
        except GrantRefused as refusal:
            raise TokenError(refusal.error) from None
        return 200, {}, _JSON


Answer = tuple[int, dict[str, Any], list[tuple[str, str]]]
"""Status, JSON body and headers, in Authlib's order."""


def check_form(request: OAuth2Request, needed: str) -> None:
    """A form body alone, each parameter once; only ``resource`` may repeat (RFC 6749 §3.2, RFC 8707 §2)."""
    content_type = (request.headers.get("Content-Type") or "").partition(";")[0].strip().lower()
    repeated = [name for name, values in request.form.lists() if len(values) > 1 and name != "resource"]
    if content_type != _FORM or repeated or request.args or not request.form.get(needed):
        raise TokenError(OAuthError.INVALID_REQUEST)


def _credentials(request: OAuth2Request) -> tuple[str, str]:
    form = request.form
    if "Authorization" not in request.headers:
        return form.get("client_id", ""), form.get("client_secret", "")
    basic = Authorization.from_header(request.headers["Authorization"])
    client_id, client_secret = (
        unquote_plus((basic and basic.get(part)) or "") for part in ("username", "password")
    )
    if "client_secret" in form or form.get("client_id", client_id) != client_id:
        raise TokenError(OAuthError.INVALID_REQUEST)
    return client_id, client_secret

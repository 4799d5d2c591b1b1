"""The one Authlib adapter: its server, one grant class per grant type and two endpoints, calling our own.

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
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import OAuth2Request
from authlib.oauth2.rfc6749.endpoint import Endpoint
from authlib.oauth2.rfc6749.grants import BaseGrant, TokenEndpointMixin
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from flask import Request
from flask import request as flask_request
from sqlalchemy import Connection
from werkzeug.datastructures import Authorization, MultiDict

from app.identity.credentials import Client, authenticate_client
from app.ledger.actions import AuditAction
from app.ledger.record import Actor, AuditEvent, record
from app.protocol.oauth_errors import OAuthError
from app.protocol.principals import parse_client_id, service_account_principal
from app.secret import Secret
from app.tokens.grants import AccessGrant, Account, GrantRefused, decide
from app.tokens.introspection import Introspection
from app.tokens.life import why_not_signed
from app.tokens.mint import Mint
from app.tokens.revocation import Revocation
from app.tokens.strangers import Kind, Refusal, Stranger, Strangers

logging.getLogger("authlib").setLevel(logging.WARNING)

_FORM = "application/x-www-form-urlencoded"
_JSON = [("Content-Type", "application/json"), ("Cache-Control", "no-store"), ("Pragma", "no-cache")]


class TokenError(OAuth2Error):  # type: ignore[misc]  # Authlib has no types
    """An RFC 6749 §5.2 answer in fixed words; ``cause`` goes to the ledger, ``None`` if it is there."""

    def __init__(self, refusal: OAuthError, cause: str | None) -> None:
        super().__init__(description=refusal.description, status_code=refusal.status, error=refusal.code)
        self.cause = cause

    def get_headers(self) -> list[tuple[str, str]]:
        headers: list[tuple[str, str]] = super().get_headers()
        if self.status_code == OAuthError.INVALID_CLIENT.status:
            headers.append(("WWW-Authenticate", 'Basic realm="countersign", charset="UTF-8"'))
        return headers


class _TokenRequest(OAuth2Request):  # type: ignore[misc]  # Authlib has no types
    """Its form is without empty parameters: they are as if omitted (RFC 6749 §3.2)."""

    connection: Connection
    form = args = MultiDict[str, str]()

    def __init__(self, request: Request, uri: str) -> None:
        super().__init__(request.method, uri, headers=request.headers)
        given = request.form.items(multi=True)
        self.form = MultiDict((name, value) for name, value in given if value)
        self.args = request.args
        self.payload = BasicOAuth2Payload(self.form)


class TokenServer(AuthorizationServer):  # type: ignore[misc]  # Authlib has no types
    """Authlib's server over our mint. ``request_id`` tells the request that is being answered."""

    def __init__(
        self,
        mint: Mint,
        introspection: Introspection,
        revocation: Revocation,
        strangers: Strangers,
        request_id: Callable[[], str],
    ) -> None:
        super().__init__()
        self.mint = mint
        self.introspection = introspection
        self.revocation = revocation
        self.request_id = request_id
        self._address = f"https://{urlsplit(mint.issuer).netloc}"
        self._strangers = strangers
        self.register_grant(ClientCredentials)
        self.register_endpoint(Introspect)
        self.register_endpoint(Revoke)

    def create_oauth2_request(self, request: object) -> OAuth2Request:  # noqa: ARG002 - Authlib's signature
        """At the issuer's host and by https, whatever the request says: TLS ends at the proxy in front,
        and Authlib refuses what looks like plain http to it.
        """
        return _TokenRequest(flask_request, self._address)

    def get_token_grant(self, request: OAuth2Request) -> BaseGrant:
        check_form(request, "grant_type")
        try:
            return super().get_token_grant(request)
        except OAuth2Error:
            raise TokenError(
                OAuthError.UNSUPPORTED_GRANT_TYPE, "a grant type that is not supported"
            ) from None

    def create_token_response(self, request: OAuth2Request | None = None) -> Any:
        return self._answered(AuditAction.ACCESS_TOKEN_ISSUE, request, self._grant)

    def create_endpoint_response(self, name: str, request: OAuth2Request | None = None) -> Any:
        [endpoint] = self._endpoints[name]
        return self._answered(endpoint.ACTION, request, endpoint)

    def _grant(self, request: OAuth2Request) -> "Answer":
        grant = self.get_token_grant(request)
        grant.validate_token_request()
        answer: Answer = grant.create_token_response()
        return answer

    def _answered(
        self, action: AuditAction, request: OAuth2Request | None, answer: Callable[[OAuth2Request], "Answer"]
    ) -> Any:
        """Authlib's walk, with one door for refusals: each is in the ledger before it is answered."""
        repeated = self._strangers.repeated(self.mint.clock())
        with self.mint.database.connection() as connection:
            request = self.create_oauth2_request(request)
            request.connection = connection
            self._record(connection, *repeated)
            try:
                return self.handle_response(*answer(request))
            except TokenError as error:
                self._record_stranger(action, request, error)
                return self.handle_error_response(request, error)

    def get_error_uri(self, request: OAuth2Request | None, error: OAuth2Error) -> None:
        """None: the documentation is not at a fixed address."""

    def authenticate(self, request: OAuth2Request) -> Client:
        """Either ``client_secret_basic`` or ``client_secret_post``, never both (RFC 6749 §2.3)."""
        client_id, client_secret = _credentials(request)
        number = parse_client_id(client_id)
        now = self.mint.clock()
        client = number and authenticate_client(request.connection, number, Secret(client_secret), now)
        if client:
            return client
        raise TokenError(
            OAuthError.INVALID_CLIENT, "unknown client, wrong or dead secret, or disabled account"
        )

    def actor(self, client: Client) -> Actor:
        return Actor(name=service_account_principal(client.id), request_id=self.request_id())

    def _record_stranger(self, action: AuditAction, request: OAuth2Request, error: TokenError) -> None:
        if error.cause is None:
            return
        claimed, _ = _claimed_credentials(request)
        client_id = claimed if parse_client_id(claimed) else "malformed"
        self._record_kind(request.connection, Stranger(error.error, error.cause, client_id, action))

    def record_no_token(self, request: OAuth2Request, client: Client, action: AuditAction) -> None:
        """A client may send us as much that is no token of ours as it likes: that is a kind of refusal."""
        name = service_account_principal(client.id)
        cause = why_not_signed(request.connection, request.form["token"])
        refusal = Refusal(by=Actor(name=name), action=action, cause=cause, service_account=name)
        self._record_kind(request.connection, refusal)

    def _record_kind(self, connection: Connection, kind: Kind) -> None:
        now = self.mint.clock()
        if self._strangers.is_news(kind, now):
            self._record(connection, kind.told(now, self.request_id()))

    def _record(self, connection: Connection, *events: AuditEvent) -> None:
        if events:
            with self.mint.database.writing_on(connection):
                record(connection, *events)


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
            signed = mint.access_token_on(
                self.request.connection, lambda connection, now: self._decide(client, connection, now), actor
            )
        except GrantRefused as refusal:
            raise TokenError(refusal.error, cause=None) from None
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


class Introspect(Endpoint):  # type: ignore[misc]  # Authlib has no types
    """RFC 7662. A ``token_type_hint`` is ignored, as §2.1 allows: there is one kind."""

    ENDPOINT_NAME = "introspection"
    ACTION = AuditAction.ACCESS_TOKEN_INTROSPECT

    def create_endpoint_response(self, request: OAuth2Request) -> "Answer":
        check_form(request, "token")
        server: TokenServer = self.server
        client, connection, now = server.authenticate(request), request.connection, server.mint.clock()
        finding = server.introspection.asked_by(connection, client.id, request.form["token"], now)
        if finding.life is None:
            server.record_no_token(request, client, self.ACTION)
        elif finding.cause is not None:
            with server.mint.database.writing_on(connection):
                record(connection, finding.denial(server.actor(client), now))
        return 200, finding.answer, _JSON


class Revoke(Endpoint):  # type: ignore[misc]  # Authlib has no types
    """RFC 7009. A ``token_type_hint`` is ignored, as §2.1 allows."""

    ENDPOINT_NAME = "revocation"
    ACTION = AuditAction.ACCESS_TOKEN_REVOKE

    def create_endpoint_response(self, request: OAuth2Request) -> "Answer":
        check_form(request, "token")
        server: TokenServer = self.server
        client = server.authenticate(request)
        try:
            is_ours = server.revocation.revoke(client.id, request.form["token"], server.actor(client))
        except GrantRefused as refusal:
            raise TokenError(refusal.error, cause=None) from None
        if not is_ours:
            server.record_no_token(request, client, self.ACTION)
        return 200, {}, _JSON


Answer = tuple[int, dict[str, Any], list[tuple[str, str]]]
"""Status, JSON body and headers, in Authlib's order."""


def check_form(request: OAuth2Request, needed: str) -> None:
    """A form body alone, each parameter once; only ``resource`` may repeat (RFC 6749 §3.2, RFC 8707 §2)."""
    form = request.form
    content_type = (request.headers.get("Content-Type") or "").partition(";")[0].strip().lower()
    faults = {
        "not a form": content_type != _FORM,
        "parameters in the query": bool(request.args),
        f"no {needed.replace('_', ' ')}": needed not in form,
        "a repeated parameter": any(len(each) > 1 for name, each in form.lists() if name != "resource"),
        "a NUL character": any("\0" in value for values in form.listvalues() for value in values),
    }
    if cause := next((fault for fault, holds in faults.items() if holds), None):
        raise TokenError(OAuthError.INVALID_REQUEST, cause)


def _credentials(request: OAuth2Request) -> tuple[str, str]:
    form = request.form
    client_id, client_secret = _claimed_credentials(request)
    by_header = "Authorization" in request.headers
    if by_header and ("client_secret" in form or form.get("client_id", client_id) != client_id):
        raise TokenError(OAuthError.INVALID_REQUEST, "two ways of authentication at once")
    return client_id, client_secret


def _claimed_credentials(request: OAuth2Request) -> tuple[str, str]:
    """Client id and secret of the header, if there is one, else of the form; empty what is not there."""
    if "Authorization" not in request.headers:
        return request.form.get("client_id", ""), request.form.get("client_secret", "")
    header: str = request.headers["Authorization"]
    basic = Authorization.from_header(header) if header.isascii() else None  # Werkzeug raises on the rest
    client_id, client_secret = (
        unquote_plus((basic and basic.get(part)) or "") for part in ("username", "password")
    )
    return client_id, client_secret

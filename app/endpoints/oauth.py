"""The OAuth endpoints; the protocol itself is in ``tokens``."""

from flask import Blueprint, Response, g

from app.protocol.metadata import INTROSPECT, REVOKE, TOKEN
from app.tokens.authorization_server import Introspect, Revoke, TokenServer
from app.tokens.introspection import Introspection
from app.tokens.revocation import Revocation
from app.wiring import Components


def blueprint(components: Components) -> Blueprint:
    oauth = Blueprint("oauth", __name__)
    mint = components.mint
    reader = components.reader
    server = TokenServer(
        mint,
        Introspection(reader, mint.issuer),
        Revocation(reader, mint.database, mint.clock),
        components.strangers,
        request_id=lambda: g.request_id,
    )

    @oauth.post(TOKEN)
    def token() -> Response:
        response: Response = server.create_token_response()
        return response

    @oauth.post(INTROSPECT)
    def introspect() -> Response:
        response: Response = server.create_endpoint_response(Introspect.ENDPOINT_NAME)
        return response

    @oauth.post(REVOKE)
    def revoke() -> Response:
        response: Response = server.create_endpoint_response(Revoke.ENDPOINT_NAME)
        return response

    return oauth

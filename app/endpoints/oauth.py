"""The OAuth endpoints; the protocol itself is in ``tokens``."""

from flask import Blueprint, Response, g

from app.protocol.metadata import TOKEN
from app.tokens.authorization_server import TokenServer
from app.tokens.mint import Mint


def blueprint(mint: Mint) -> Blueprint:
    oauth = Blueprint("oauth", __name__)
    server = TokenServer(mint, request_id=lambda: g.request_id)

    @oauth.post(TOKEN)
    def token() -> Response:
        response: Response = server.create_token_response()
        return response

    return oauth

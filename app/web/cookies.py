"""The cookie that a session lives in (RFC 6265bis §4.1.3; ASVS 3.3)."""

from flask import request
from werkzeug.wrappers import Response

from app.secret import Secret


class SessionCookie:
    """``__Host-``: for this host alone, over https alone. On loopback there is no https to insist on."""

    def __init__(self, *, secure: bool) -> None:
        self._secure = secure
        self._name = "__Host-countersign" if secure else "countersign"

    def read(self) -> Secret | None:
        """Ours are ASCII; what is not was never given."""
        text = request.cookies.get(self._name)
        return Secret(text) if text and text.isascii() else None

    def give(self, response: Response, secret: Secret) -> None:
        """Until the browser is closed, or the session ends."""
        response.set_cookie(
            self._name, secret.reveal(), path="/", secure=self._secure, httponly=True, samesite="Lax"
        )

    def take(self, response: Response) -> None:
        response.delete_cookie(self._name, path="/", secure=self._secure, httponly=True, samesite="Lax")

"""Whether a request that changes something comes from a page of ours (ASVS 3.5.1, 3.5.3)."""

from urllib.parse import urlsplit

from flask import request

from app.identity.csrf import is_csrf_token
from app.secret import Secret

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def is_forged(issuer: str, secret: Secret | None) -> bool:
    """Fetch Metadata, or Origin where a browser sends none, and the session's own token beside it.

    ``secret`` of ``None``: nobody is signed in, and there is no token.
    """
    if request.method in SAFE:
        return False
    return not is_from_here(issuer) or (secret is not None and not is_csrf_token(secret, _given()))


def is_from_here(issuer: str) -> bool:
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    parts = urlsplit(issuer)
    return request.headers.get("Origin") == f"{parts.scheme}://{parts.netloc}"


def _given() -> str:
    return request.headers.get("X-CSRF-Token") or request.form.get("csrf_token", "")

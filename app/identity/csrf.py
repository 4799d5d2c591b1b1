"""Tokens against cross-site request forgery: made of the session's secret, so that none is kept.

Each page bears another one, for pages are compressed: of a text that stays, an attacker who has pages loaded
and sees their lengths could guess piece after piece (BREACH).
"""

import base64
import binascii
import hmac
import secrets

from app.secret import Secret

_SIZE = 32


def csrf_token(secret: Secret) -> str:
    """Tells nothing of the secret, and dies with it."""
    pad = secrets.token_bytes(_SIZE)
    return base64.urlsafe_b64encode(pad + _both(pad, _derived(secret))).decode().rstrip("=")


def is_csrf_token(secret: Secret, given: str) -> bool:
    """In the same time for all that are as long as one."""
    try:
        text = base64.b64decode(given + "=" * (-len(given) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        return False
    return len(text) == 2 * _SIZE and hmac.compare_digest(_both(text[:_SIZE], text[_SIZE:]), _derived(secret))


def _derived(secret: Secret) -> bytes:
    return hmac.digest(secret.reveal().encode(), b"countersign csrf", "sha256")


def _both(one: bytes, other: bytes) -> bytes:
    return bytes(left ^ right for left, right in zip(one, other, strict=True))

"""What a browser may do with our pages (CSP Level 3; UI.md)."""

import secrets

HEADER = "Content-Security-Policy"

_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'",
    "trusted-types": "htmx",
}


def new_nonce() -> str:
    """For one response: htmx heeds only elements that bear it."""
    return secrets.token_urlsafe(16)


def content_security_policy(nonce: str) -> str:
    """The header's value.

    Two policies, of which both must allow. The first is the one that counts, and it lets no inline script run
    whatever its nonce. The second only tells htmx the nonce of a response, for it is read from a script-src.
    """
    enforced = "; ".join(f"{directive} {sources}" for directive, sources in _POLICY.items())
    return f"{enforced}, script-src 'self' 'nonce-{nonce}'"

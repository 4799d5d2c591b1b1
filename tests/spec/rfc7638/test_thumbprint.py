"""A key is named for what it is: RFC 7638."""

import hashlib
from base64 import urlsafe_b64encode

import pytest


@pytest.mark.spec("RFC 7638", "3", "SHA-256 over the required members, in order, without whitespace.")
def test_the_kid_is_the_thumbprint(shared_world):
    for key in shared_world.http.get("/.well-known/jwks.json").get_json()["keys"]:
        required = f'{{"e":"{key["e"]}","kty":"RSA","n":"{key["n"]}"}}'
        digest = hashlib.sha256(required.encode("ascii")).digest()
        assert key["kid"] == urlsafe_b64encode(digest).decode().rstrip("=")

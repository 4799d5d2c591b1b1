"""An independent verifier: knows an issuer's URL and its own audience, and trusts nothing else.

usage: verifier.py ISSUER AUDIENCE < token

The standard library alone, and no code of the issuer's: discovery, JWKS, RS256 (RFC 8017 §8.2.2), claims.
"""

import base64
import hashlib
import json
import sys
import time
import urllib.request
from typing import Any

Json = dict[str, Any]

_SHA256_PREFIX = bytes.fromhex("3031300d060960864801650304020105000420")  # RFC 8017 §9.2, note 1
_CLOCK_SKEW_SECONDS = 60


def main() -> None:
    issuer, audience = sys.argv[1:]
    token = sys.stdin.read().strip()
    header, claims, signed, signature = parse(token)
    keys = {key["kid"]: key for key in published_keys(issuer)}
    check(header["alg"] == "RS256", "the algorithm is the one expected")
    check(header["kid"] in keys, "the issuer publishes the key")
    check(is_signed(signed, signature, keys[header["kid"]]), "the signature is the key's")
    check(claims["iss"] == issuer, "the issuer is the one asked")
    check(claims["aud"] == audience, "it is meant for this verifier")
    now = time.time()
    check(claims["nbf"] <= now + _CLOCK_SKEW_SECONDS and claims["exp"] > now, "it is valid now")
    print(f"verified for {audience}, by the keys of {issuer}:")
    print(f"  subject  {claims['sub']}")
    print(f"  agent    {claims['act']['sub']} ({claims['service_account']})")
    print(f"  human    user:{claims['user_id']} ({claims['user_login']}, {claims['user_access_level']})")
    print(f"  expires  in {claims['exp'] - int(now)} s")


def check(holds: bool, what: str) -> None:
    if not holds:
        sys.exit(f"refused: not so: {what}")


def parse(token: str) -> tuple[Json, Json, bytes, bytes]:
    head, body, signature = token.split(".")
    return json.loads(decoded(head)), json.loads(decoded(body)), f"{head}.{body}".encode(), decoded(signature)


def published_keys(issuer: str) -> list[Json]:
    metadata = fetched(f"{issuer}/.well-known/openid-configuration")
    check(metadata["issuer"] == issuer, "the metadata is the issuer's own")
    keys: list[Json] = fetched(metadata["jwks_uri"])["keys"]
    return keys


def fetched(url: str) -> Json:
    with urllib.request.urlopen(url, timeout=5) as response:
        content: Json = json.load(response)
    return content


def is_signed(signed: bytes, signature: bytes, key: Json) -> bool:
    n, e = (int.from_bytes(decoded(key[name])) for name in ("n", "e"))
    length = (n.bit_length() + 7) // 8
    digest = _SHA256_PREFIX + hashlib.sha256(signed).digest()
    expected = b"\x00\x01" + b"\xff" * (length - len(digest) - 3) + b"\x00" + digest
    return len(signature) == length and pow(int.from_bytes(signature), e, n).to_bytes(length) == expected


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


if __name__ == "__main__":
    main()

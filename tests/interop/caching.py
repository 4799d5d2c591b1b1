"""Verifies tokens as a Python program would, each cache of the JWKS on its own, and without a second look.

    python caching.py ISSUER CACHES < REQUESTS

CACHES is a JSON list of {"jwks", "seconds"}: how long a fetched key set is believed; 0 is not at all. A
request is a line {"token", "audience"}, its answer a line with a list: null for accepted, else the reason,
per cache.
"""

import json
import sys

import jwt


def client(cache: dict) -> jwt.PyJWKClient:
    """With as long a cool-down as a cache: an unknown `kid` fetches nothing that is not due anyway."""
    seconds = cache["seconds"]
    if seconds == 0:
        return jwt.PyJWKClient(cache["jwks"], cache_jwk_set=False)
    return jwt.PyJWKClient(cache["jwks"], lifespan=seconds, cooldown_duration=seconds)


def verdict(keys: jwt.PyJWKClient, issuer: str, token: str, audience: str) -> str | None:
    try:
        key = keys.get_signing_key_from_jwt(token)
        jwt.decode(
            token,
            key,
            algorithms=["RS256", "ES256"],
            audience=audience,
            issuer=issuer,
            options={"require": ["exp"]},
        )
    except jwt.PyJWTError as refusal:
        return f"{type(refusal).__name__} {refusal}"
    return None


def main(issuer: str, caches: str) -> None:
    clients = [client(each) for each in json.loads(caches)]
    for line in sys.stdin:
        answer = [verdict(each, issuer, **json.loads(line)) for each in clients]
        print(json.dumps(answer), flush=True)  # noqa: T201 - the answer


if __name__ == "__main__":
    main(*sys.argv[1:])

"""PyJWT as a verifier: `PyJWKClient` on what the issuer's discovery document says, and nothing else."""

from http import HTTPStatus
from typing import Any

import jwt
import pytest
import requests

from tests.support.verdict import Verdict, VerifierBrokeError

REQUIRED = ("iss", "sub", "aud", "iat", "exp")


class PyJwtVerifier:
    """Keeps each issuer's metadata and JWKS as PyJWT does: 5 minutes, and a refetch for an unknown `kid`."""

    def __init__(self) -> None:
        self._issuers: dict[str, tuple[jwt.PyJWKClient, list[str]]] = {}

    def verify(self, *, issuer: str, audience: str, token: str) -> Verdict:
        """From the issuer's discovery document on; raises `VerifierBrokeError` when it could not judge."""
        client, algorithms = self._issuer(issuer)
        try:
            key = client.get_signing_key_from_jwt(token)
            payload = jwt.decode(
                token,
                key,
                algorithms=algorithms,
                audience=audience,
                issuer=issuer,
                options={"require": list(REQUIRED)},
            )
        except jwt.PyJWKClientConnectionError as error:
            raise VerifierBrokeError(str(error)) from error
        except jwt.PyJWTError as refusal:
            return Verdict(ok=False, error=type(refusal).__name__)
        return Verdict(ok=True, payload=payload)

    def _issuer(self, issuer: str) -> tuple[jwt.PyJWKClient, list[str]]:
        if issuer not in self._issuers:
            metadata = _discover(issuer)
            algorithms = metadata["id_token_signing_alg_values_supported"]
            self._issuers[issuer] = (jwt.PyJWKClient(metadata["jwks_uri"]), algorithms)
        return self._issuers[issuer]


def _discover(issuer: str) -> dict[str, Any]:
    """OpenID Connect Discovery 1.0 §4: a direct 200 whose `issuer` is the one asked for."""
    try:
        answer = requests.get(f"{issuer}/.well-known/openid-configuration", timeout=60, allow_redirects=False)
        metadata: dict[str, Any] = answer.json()
    except (requests.RequestException, ValueError) as error:
        raise VerifierBrokeError(f"discovery: {error}") from error
    if answer.status_code != HTTPStatus.OK or metadata.get("issuer") != issuer:
        raise VerifierBrokeError(f"discovery: {answer.status_code} {metadata.get('issuer')}")
    return metadata


@pytest.fixture(scope="module")
def pyjwt_verifier() -> PyJwtVerifier:
    """Fresh for each module: what it has cached of an issuer is known from reading one file."""
    return PyJwtVerifier()

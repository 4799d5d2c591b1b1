"""The metadata documents, derived from what is really on (Discovery §3, RFC 8414 §2)."""

from collections.abc import Iterable
from typing import Any

from app.protocol.claims import FLOW_ID_TOKEN, REGISTERED

OPENID_CONFIGURATION = "/.well-known/openid-configuration"
OAUTH_AUTHORIZATION_SERVER = "/.well-known/oauth-authorization-server"
JWKS = "/.well-known/jwks.json"
TOKEN = "/oauth/token"  # noqa: S105 - a path
INTROSPECT = "/oauth/introspect"
REVOKE = "/oauth/revoke"
_AUTH_METHODS = ["client_secret_basic", "client_secret_post"]


def provider_metadata(issuer: str, algorithms: Iterable[str], scopes: Iterable[str]) -> dict[str, Any]:
    """One document under both names. Without an authorization endpoint none is named, and
    ``response_types_supported`` is ``["id_token"]``, as other issuers of workload identity have it.
    """
    return {
        "issuer": issuer,
        "jwks_uri": issuer + JWKS,
        "token_endpoint": issuer + TOKEN,
        "token_endpoint_auth_methods_supported": _AUTH_METHODS,
        "introspection_endpoint": issuer + INTROSPECT,
        "introspection_endpoint_auth_methods_supported": _AUTH_METHODS,
        "revocation_endpoint": issuer + REVOKE,
        "revocation_endpoint_auth_methods_supported": _AUTH_METHODS,
        "grant_types_supported": ["client_credentials"],
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": sorted({"RS256", *algorithms}),
        "scopes_supported": sorted(scopes),
        "claims_supported": [*REGISTERED, *FLOW_ID_TOKEN],
    }

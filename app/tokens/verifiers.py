"""What is known of verifiers out there: which algorithms they do not take, how long they keep a key.

From their sources and documentation; the guide to signing keys says the same.
"""

from collections.abc import Mapping
from datetime import timedelta

from app.clock import duration_text
from app.signing.algorithms import Algorithm

EXCLUDES: Mapping[Algorithm, tuple[str, ...]] = {
    Algorithm.RS256: (),
    Algorithm.PS256: ("AWS", "Google Cloud", "Microsoft Entra"),
    Algorithm.ES256: ("Microsoft Entra",),
    Algorithm.ES384: ("Google Cloud", "Microsoft Entra"),
    Algorithm.EDDSA: (
        "AWS",
        "Google Cloud",
        "Microsoft Entra",
        "Kubernetes",
        "Spring Security",
        "Nimbus",
        "MinIO (drops the whole key set)",
    ),
}
"""Who does not take tokens that are signed so."""

REFUSES_ALL: Mapping[Algorithm, tuple[str, ...]] = {Algorithm.EDDSA: ("MinIO",)}
"""Who drops the whole key set for such a key: takes no token of this issuer while it is published."""

_KEEP: Mapping[str, str] = {
    "Vault, OpenBao": "for ever, in memory: write auth/jwt/config again, or show it an unknown kid",
    "Go programs with go-oidc": "for ever, in memory: show them an unknown kid, or restart them",
    "Kubernetes": "for ever, in memory: restart the API server",
    "MinIO": "until it is restarted",
    "AWS, Google Cloud, Microsoft Entra": "hours, undocumented: remove the provider or its trust",
    "Apache mod_auth_openidc": "1 hour",
    "Istio": "20 minutes",
    "npm jose": "10 minutes",
    "Envoy, Spring Security, Nimbus": "5 minutes",
}


def keep(max_age: timedelta) -> dict[str, str]:
    """For how long a revoked key is still believed by whoever has fetched it, and what shortens that.

    An unknown kid is that of a token after ``countersign keys rotate --now``: what signs after a revocation
    was published beside the revoked key, and is known.
    """
    return {"whoever keeps to max-age": duration_text(max_age), **_KEEP}

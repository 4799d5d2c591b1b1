"""Claims: their names, and the tables of which kind of token carries which."""

REGISTERED = ("iss", "sub", "aud", "iat", "nbf", "exp", "jti")
"""Claims that every token of ours carries (RFC 7519 §4.1)."""

ACCESS_TOKEN_TYPE = "at+jwt"  # noqa: S105 - a media type (RFC 9068 §2.1)
ID_TOKEN_TYPE = "JWT"  # noqa: S105 - a media type (RFC 7519 §5.1)

AWS_TAGS = "https://aws.amazon.com/tags"

FLOW_ID_TOKEN = (
    "namespace_id",
    "namespace_path",
    "project_id",
    "project_path",
    "user_id",
    "user_login",
    "user_email",
    "user_access_level",
    "service_account_id",
    "service_account",
    "act",
    "flow",
    "run_id",
    "run_source",
    "ref",
    "ref_type",
    "ref_path",
    "ref_protected",
    "sha",
    "config_sha",
    AWS_TAGS,
)
"""Claims that a flow's ID token may carry besides the registered ones."""

LONGEST_SUBJECT = 127
"""Bytes of ``sub`` that every verifier takes (Google Cloud's limit)."""

LONGEST_AUDIENCE = 255


def check_audience(text: str) -> str | None:
    """Why an audience cannot be this text, as what completes "the audience …"; verifiers compare bytes."""
    if not text:
        return "is empty"
    if len(text) > LONGEST_AUDIENCE:
        return f"is longer than {LONGEST_AUDIENCE} characters"
    return None if all("!" <= each <= "~" for each in text) else "is not printable ASCII without spaces"

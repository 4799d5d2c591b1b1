"""The refusals of the OAuth endpoints, in the words of RFC 6749 §5.2, RFC 7009 §2.2.1 and RFC 8707 §2.

Descriptions are fixed: nothing of a request is repeated, and one code has one wording whatever the cause.
"""

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True)
class _Wording:
    code: str
    status: int
    description: str


class OAuthError(Enum):
    INVALID_REQUEST = _Wording("invalid_request", 400, "The request is malformed.")
    INVALID_CLIENT = _Wording("invalid_client", 401, "Client authentication failed.")
    UNSUPPORTED_GRANT_TYPE = _Wording("unsupported_grant_type", 400, "The grant type is not supported.")
    INVALID_SCOPE = _Wording("invalid_scope", 400, "The requested scope cannot be granted.")
    INVALID_GRANT = _Wording("invalid_grant", 400, "The token was issued to another client.")
    UNSUPPORTED_TOKEN_TYPE = _Wording("unsupported_token_type", 400, "An ID token cannot be revoked.")
    INVALID_TARGET = _Wording("invalid_target", 400, "The requested resource is not known.")

    @property
    def code(self) -> str:
        return self.value.code

    @property
    def status(self) -> int:
        return self.value.status

    @property
    def description(self) -> str:
        return self.value.description

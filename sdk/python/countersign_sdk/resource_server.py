"""A resource server's two questions: whose token is this, and may they do that."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import requests
from joserfc import jws, jwt
from joserfc.errors import JoseError

from countersign_sdk.keys import KeysUnavailable, PublishedKeys

_ALGORITHMS = ["RS256", "PS256", "ES256", "ES384", "EdDSA", "Ed25519"]
_TOKEN_TYPE = "at+jwt"  # noqa: S105 - RFC 9068 §2.1
_LONGEST_TOKEN = 16_384
_PARTIES = ("service_account_id", "user_id", "delegation_id")
_TIMEOUT_SECONDS = 5.0


class InvalidToken(Exception):  # noqa: N818 - RFC 6750 §3.1's word
    """Not a token that this resource server takes; answer 401 ``invalid_token``."""


class DecisionUnavailable(Exception):  # noqa: N818 - neither yes nor no
    """The issuer did not decide; answer 503 and let nothing through."""


@dataclass(frozen=True)
class Identity:
    """Who calls: the service account that acts, and the human it acts for (both in every composite token)."""

    service_account: str | None
    user: str | None
    scopes: frozenset[str]
    delegation_id: str | None
    claims: Mapping[str, Any]
    token: str


@dataclass(frozen=True)
class Decision:
    """``reasons`` are the refusing conjuncts in words, as far as the issuer lets this server know them."""

    allowed: bool
    reasons: tuple[str, ...] = ()


class ResourceServer:
    """``client_id`` and ``client_secret`` are those of a service account that may act alone; they are used
    to ask for decisions, never to verify tokens.
    """

    def __init__(
        self,
        *,
        issuer: str,
        audience: str,
        client_id: str | None = None,
        client_secret: str | None = None,
        leeway_seconds: int = 60,
        session: requests.Session | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._issuer = issuer
        self._audience = audience
        self._client = (client_id, client_secret) if client_id and client_secret else None
        self._leeway = leeway_seconds
        self._session = session or requests.Session()
        self._now = now
        self._keys = PublishedKeys(issuer, self._session)

    def identify(self, token: str) -> Identity:
        """Verifies locally: signature, ``typ``, ``iss``, ``aud`` and times (RFC 9068 §4), so that a killed
        token is good until it expires. Raises ``InvalidToken``, and ``DecisionUnavailable`` without keys.
        """
        if len(token) > _LONGEST_TOKEN:
            raise InvalidToken("the token is too long")
        claims = self._verified(token)
        wrong = [name for name, holds in self._conditions(claims).items() if not holds]
        if wrong:
            raise InvalidToken(f"not acceptable here: {', '.join(wrong)}")
        return _identity(claims, token)

    def decide(self, identity: Identity, action: str, resource: str) -> Decision:
        """Asks the issuer by OpenID AuthZEN 1.0; raises ``DecisionUnavailable`` when it does not answer."""
        question = {
            "subject": {"type": "access_token", "id": identity.token},
            "action": {"name": action},
            "resource": {"type": "project", "id": resource},
        }
        try:
            answer = self._session.post(
                f"{self._issuer}/access/v1/evaluation",
                json=question,
                auth=self._client,
                timeout=_TIMEOUT_SECONDS,
                allow_redirects=False,
            )
            if answer.status_code != requests.codes.ok:
                raise DecisionUnavailable(f"no decision from the issuer: it answered {answer.status_code}")
            body = answer.json()
            return Decision(body["decision"] is True, _reasons(body))
        except (requests.RequestException, AttributeError, LookupError, TypeError, ValueError) as error:
            raise DecisionUnavailable(f"no decision from the issuer: {type(error).__name__}") from error

    def _verified(self, token: str) -> dict[str, Any]:
        try:
            header = jws.extract_compact(token.encode()).headers()
            if str(header.get("typ")).lower().removeprefix("application/") != _TOKEN_TYPE:
                raise InvalidToken("not an access token")
            if not isinstance(kid := header.get("kid"), str):
                raise InvalidToken("it does not say which key has signed it")
            decoded = jwt.decode(token, self._keys.holding(kid), algorithms=_ALGORITHMS)
        except KeysUnavailable as unavailable:
            raise DecisionUnavailable(str(unavailable)) from unavailable
        except (JoseError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise InvalidToken(f"not verified: {type(error).__name__}") from error
        return dict(decoded.claims)

    def _conditions(self, claims: Mapping[str, Any]) -> dict[str, bool]:
        now = self._now()
        expires, starts = claims.get("exp"), claims.get("nbf", 0)
        return {
            "iss": claims.get("iss") == self._issuer,
            "aud": claims.get("aud") == self._audience,
            "exp": isinstance(expires, int) and now < expires,  # to the second: kills tell until when
            "nbf": isinstance(starts, int) and starts <= now + self._leeway,
            "sub": isinstance(claims.get("sub"), str) and isinstance(claims.get("jti"), str),
            "parties": all(isinstance(claims.get(name, ""), str) for name in _PARTIES),
        }


def _identity(claims: Mapping[str, Any], token: str) -> Identity:
    account, user = claims.get("service_account_id"), claims.get("user_id")
    return Identity(
        service_account=f"service_account:{account}" if account else None,
        user=f"user:{user}" if user else None,
        scopes=frozenset(str(claims.get("scope", "")).split()),
        delegation_id=claims.get("delegation_id"),
        claims=claims,
        token=token,
    )


def _reasons(body: Mapping[str, Any]) -> tuple[str, ...]:
    conjuncts = (body.get("context") or {}).get("reasons") or []
    return tuple(
        f"{each['name']}: {each['reason']}"
        for each in conjuncts
        if isinstance(each, dict) and each.get("allowed") is False
    )

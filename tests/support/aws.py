"""AWS's STS and Secrets Manager as far as reading a secret goes, on loopback, and as strict.

Requests are checked against the text of "Signature Version 4", and not with botocore, which made them. Who
the tokens are from is for the test to say: a real issuer's go through its discovery document and JWKS.
"""

import calendar
import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from tests.support.odd_server import Asked, OddServer, answer, serving

ROLE = "arn:aws:iam::123456789012:role/countersign-reader"
REGION = "eu-central-1"
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(\w+)/(\d{8})/([\w-]+)/(\w+)/aws4_request, "
    r"SignedHeaders=([\w;-]+), Signature=(\w+)"
)
_SIGNED = {"host", "x-amz-date", "x-amz-security-token", "x-amz-target", "content-type"}


class RefusedError(Exception):
    """As AWS answers it."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(code)
        self.status, self.code, self.message = status, code, message


@dataclass(frozen=True)
class Session:
    """Credentials that were given, and to whom."""

    key: str
    token: str
    name: str
    claims: Mapping[str, Any]
    policy: Mapping[str, Any]
    seconds: int


@dataclass
class Aws:
    """`claims_of`: those of a token that is the issuer's and for AWS, or None; `trusted`: what they must say.

    `secrets`: by name, then by version or label, what GetSecretValue answers; `sessions`: by access key id.
    """

    claims_of: Callable[[str], Mapping[str, Any] | None]
    trusted: Mapping[str, Any]
    secrets: dict[str, dict[str, Any]] = field(default_factory=dict)
    sessions: dict[str, Session] = field(default_factory=dict)
    reads: list[dict[str, str]] = field(default_factory=list)
    address: str = ""

    def behave(self, handler: BaseHTTPRequestHandler, server: OddServer) -> None:
        asked = server.asked[-1]
        is_sts = "X-Amz-Target" not in handler.headers
        try:
            status, body = 200, self._sts(asked) if is_sts else self._secrets_manager(asked)
        except RefusedError as refused:
            status, body = refused.status, (_xml_error if is_sts else _json_error)(refused)
        kind = "text/xml" if is_sts else "application/x-amz-json-1.1"
        answer(status, body.encode(), kind=kind)(handler, server)

    def _sts(self, asked: Asked) -> str:
        asks = dict(parse_qsl(asked.body.decode(), strict_parsing=True))
        assert (asks["Action"], asks["Version"]) == ("AssumeRoleWithWebIdentity", "2011-06-15")
        assert "Authorization" not in asked.headers  # STS takes no signature here, and nobody has a key
        claims = self.claims_of(asks["WebIdentityToken"])
        if claims is None:
            raise RefusedError(400, "InvalidIdentityToken", "No OpenIDConnect provider found in your account")
        if asks["RoleArn"] != ROLE or any(claims.get(name) != value for name, value in self.trusted.items()):
            words = "Not authorized to perform sts:AssumeRoleWithWebIdentity"
            raise RefusedError(403, "AccessDenied", words)
        key_id, policy = f"ASIA{secrets.token_hex(8).upper()}", json.loads(asks["Policy"])
        made = Session(
            secrets.token_urlsafe(30),
            secrets.token_urlsafe(200),
            asks["RoleSessionName"],
            claims,
            policy,
            int(asks["DurationSeconds"]),
        )
        self.sessions[key_id] = made
        given = {"AccessKeyId": key_id, "SecretAccessKey": made.key, "SessionToken": made.token}
        members = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in given.items())
        return _xml(
            "AssumeRoleWithWebIdentityResponse",
            f"<AssumeRoleWithWebIdentityResult><Credentials>{members}<Expiration>2035-01-01T00:00:00Z</Expiration>"
            "</Credentials></AssumeRoleWithWebIdentityResult>",
        )

    def _secrets_manager(self, asked: Asked) -> str:
        self._check_signature(asked)
        assert asked.headers["X-Amz-Target"] == "secretsmanager.GetSecretValue"
        asks: dict[str, str] = json.loads(asked.body)
        self.reads.append(asks)
        held = self.secrets.get(asks["SecretId"])
        if held is None:
            raise RefusedError(
                400, "ResourceNotFoundException", "Secrets Manager can't find the specified secret."
            )
        version = asks.get("VersionId") or asks.get("VersionStage", "AWSCURRENT")
        return json.dumps({"Name": asks["SecretId"], "VersionStages": [], **held[version]})

    def _check_signature(self, asked: Asked) -> None:
        """AWS, "Create a signed AWS API request": canonical request, string to sign, signature."""
        headers = {name.lower(): value for name, value in asked.headers.items()}
        parts = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
        session = self.sessions.get(parts[1]) if parts else None
        if parts is None or session is None or headers.get("x-amz-security-token") != session.token:
            raise RefusedError(400, "UnrecognizedClientException", "The security token included is invalid.")
        _, day, region, service, signed, signature = parts.groups()
        assert (region, service) == (REGION, "secretsmanager")
        assert set(signed.split(";")) >= _SIGNED
        lines = "".join(f"{name}:{headers[name].strip()}\n" for name in signed.split(";"))
        canonical = f"{asked.method}\n{asked.path}\n\n{lines}\n{signed}\n{_sha256(asked.body)}"
        scope = f"{day}/{region}/{service}/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{headers['x-amz-date']}\n{scope}\n{_sha256(canonical.encode())}"
        key = f"AWS4{session.key}".encode()
        for part in (*scope.split("/"), text):
            key = hmac.digest(key, part.encode(), "sha256")
        made_at = calendar.timegm(time.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ"))
        if not hmac.compare_digest(key.hex(), signature) or abs(time.time() - made_at) > 300:
            raise RefusedError(400, "InvalidSignatureException", "The request signature does not match.")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _xml(name: str, inside: str) -> str:
    namespace = "https://sts.amazonaws.com/doc/2011-06-15/"
    return f'<{name} xmlns="{namespace}">{inside}<RequestId>c6104cbe</RequestId></{name}>'


def _xml_error(refused: RefusedError) -> str:
    said = f"<Code>{refused.code}</Code><Message>{escape(refused.message)}</Message>"
    return _xml("ErrorResponse", f"<Error><Type>Sender</Type>{said}</Error>")


def _json_error(refused: RefusedError) -> str:
    return json.dumps({"__type": refused.code, "Message": refused.message})


@contextmanager
def aws(
    claims_of: Callable[[str], Mapping[str, Any] | None], trusted: Mapping[str, Any]
) -> Iterator[tuple[Aws, OddServer]]:
    """Both services at one address; `Aws` is what is there, `OddServer` what was asked."""
    there = Aws(claims_of, trusted)
    with serving(there.behave) as server:
        there.address = server.address
        yield there, server

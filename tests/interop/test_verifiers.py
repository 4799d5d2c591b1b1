"""The independent verifiers, on an issuer of a few lines: they refuse each wrong token for its own reason."""

import json
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support.verdict import VerifierBrokeError

KEY, FOREIGN = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
AUDIENCE = "https://vault.example.com"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format, *arguments): ...  # noqa: A002 - the name is the base class's


@pytest.fixture(scope="module")
def issuer(tmp_path_factory):
    """Serves a discovery document and a JWKS from a folder."""
    folder = tmp_path_factory.mktemp("issuer")
    (folder / ".well-known").mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        url = f"http://localhost:{server.server_port}"
        metadata = {
            "issuer": url,
            "jwks_uri": f"{url}/jwks.json",
            "id_token_signing_alg_values_supported": ["RS256"],
        }
        (folder / ".well-known/openid-configuration").write_text(json.dumps(metadata))
        jwk = jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key(), as_dict=True)
        jwk |= {"kid": "one", "alg": "RS256", "use": "sig"}
        (folder / "jwks.json").write_text(json.dumps({"keys": [jwk]}))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield url
        server.shutdown()


@pytest.fixture(params=["node_jose", "pyjwt_verifier"])
def verifier(request):
    return request.getfixturevalue(request.param)


def token(issuer, *, key=KEY, kid="one", algorithm="RS256", **changes):
    now = int(time.time())
    claims = {"iss": issuer, "sub": "x", "aud": AUDIENCE, "iat": now, "exp": now + 300} | changes
    present = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(present, key, algorithm, headers={"kid": kid})


def test_the_right_token_is_accepted_with_its_claims(verifier, issuer):
    verdict = verifier.verify(issuer=issuer, audience=AUDIENCE, token=token(issuer, user_id="42"))
    assert verdict.ok
    assert verdict.payload["user_id"] == "42"


REFUSED = {
    "wrong audience": ({"aud": "other"}, "ERR_JWT_CLAIM_VALIDATION_FAILED", "InvalidAudienceError"),
    "wrong issuer": ({"iss": "http://o"}, "ERR_JWT_CLAIM_VALIDATION_FAILED", "InvalidIssuerError"),
    "expired": ({"exp": 1}, "ERR_JWT_EXPIRED", "ExpiredSignatureError"),
    "no sub": ({"sub": None}, "ERR_JWT_CLAIM_VALIDATION_FAILED", "MissingRequiredClaimError"),
    "foreign key": ({"key": FOREIGN}, "ERR_JWS_SIGNATURE_VERIFICATION_FAILED", "InvalidSignatureError"),
    "unknown kid": ({"kid": "two"}, "ERR_JWKS_NO_MATCHING_KEY", "PyJWKClientError"),
    "alg none": ({"key": None, "algorithm": "none"}, "ERR_JOSE_NOT_SUPPORTED", "InvalidAlgorithmError"),
}


@pytest.mark.parametrize(("changes", "jose", "pyjwt"), REFUSED.values(), ids=REFUSED)
def test_a_wrong_token_is_refused_for_its_own_reason(node_jose, pyjwt_verifier, issuer, changes, jose, pyjwt):
    wrong = token(issuer, **changes)
    assert node_jose.verify(issuer=issuer, audience=AUDIENCE, token=wrong).error == jose
    assert pyjwt_verifier.verify(issuer=issuer, audience=AUDIENCE, token=wrong).error == pyjwt


def test_garbage_is_refused(verifier, issuer):
    assert not verifier.verify(issuer=issuer, audience=AUDIENCE, token="garbage").ok


def test_an_issuer_that_cannot_be_reached_is_no_refusal(verifier):
    with pytest.raises(VerifierBrokeError):
        verifier.verify(issuer="http://localhost:1", audience=AUDIENCE, token=token("http://localhost:1"))


def test_a_discovery_document_of_another_issuer_is_no_refusal(verifier, issuer):
    other = issuer.replace("localhost", "127.0.0.1")
    with pytest.raises(VerifierBrokeError):
        verifier.verify(issuer=other, audience=AUDIENCE, token=token(other))

"""A flow's ID tokens before verifiers that nobody here wrote: what they let in, and what they refuse."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import hvac
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support import forgery, sample_flow
from tests.support.openbao import OpenBao
from tests.support.sample_flow import FLOW, PROJECT, SampleFlow
from tests.support.verdict import Verdict, Verifier

pytestmark = pytest.mark.slow

AUDIENCE, OTHER_AUDIENCE = "https://vault.acme.example", "https://deploy.acme.example"
OTHER_PROJECT = "acme/other"
MOUNT = "flow-tokens"
BINDING = {
    "sub": f"project_path:{PROJECT}:flow:{FLOW}",
    "user_id": "1",
    "act": {"sub": "service_account:3"},
}
"""alice, by duo, in the first project."""


Judge = Callable[[str], Verdict]


def tokens_of_runs(sample: SampleFlow) -> dict[str, str]:
    """Real ones: each was minted for a run that succeeded."""
    id_tokens = {
        "VAULT_ID_TOKEN": {"aud": AUDIENCE},
        "DEPLOY_ID_TOKEN": {"aud": OTHER_AUDIENCE},
        "SHORT_ID_TOKEN": {"aud": AUDIENCE, "ttl": "1s"},
    }
    sample.add_project(OTHER_PROJECT)
    sample.cli("service-account", "create", "solo")
    sample.cli("member", "add", PROJECT, "service_account:solo", "--role", "developer")
    sample.cli("delegation", "grant", "--user", "alice", "--service-account", "solo")
    for project in (PROJECT, OTHER_PROJECT):
        sample.configure_flow(id_tokens=id_tokens, project=project)
    right = sample.handed_out()
    return {
        "right": right["VAULT_ID_TOKEN"],
        "another audience": right["DEPLOY_ID_TOKEN"],
        "expired": right["SHORT_ID_TOKEN"],
        "another project": sample.handed_out(project=OTHER_PROJECT)["VAULT_ID_TOKEN"],
        "another human": sample.handed_out(user="bob")["VAULT_ID_TOKEN"],
        "another agent": sample.handed_out(account="solo")["VAULT_ID_TOKEN"],
    }


def forged(right: str, published: list[dict[str, str]]) -> dict[str, str]:
    own = next(key for key in published if key["kid"] == forgery.read(right)[0]["kid"])
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return {
        "changed": forgery.changed(right, user_id="2"),
        "alg none": forgery.unsigned(right),
        "HS256 with our public key": forgery.keyed_with(forgery.pem_of(own), right),
        "a key never published": forgery.signed_by(stranger, right, kid="never-published"),
        "a stranger's key under our kid": forgery.signed_by(stranger, right),
    }


@pytest.fixture(scope="module")
def issuer(tmp_path_factory) -> Iterator[SampleFlow]:
    """It serves while the runs of this module are made and judged."""
    sample = sample_flow.make(tmp_path_factory.mktemp("issuer"))
    with sample.installation.serve():
        yield sample


@pytest.fixture(scope="module")
def tokens(issuer) -> dict[str, str]:
    """By the name of their case."""
    real = tokens_of_runs(issuer)
    url = f"{issuer.installation.issuer}/.well-known/jwks.json"
    made = real | forged(real["right"], requests.get(url, timeout=60).json()["keys"])
    expiry = forgery.read(made["expired"])[1]["exp"]
    while time.time() <= expiry + 1:  # verifiers compare whole seconds
        time.sleep(0.1)
    return made


@pytest.fixture(scope="module")
def bao(openbao: OpenBao, issuer) -> Iterator[hvac.Client]:
    """What `docs/guides/vault.md` tells an operator to set up, with no leeway for what has expired."""
    root = hvac.Client(openbao.address, openbao.root_token)
    url = issuer.installation.issuer
    with ExitStack() as end:
        end.callback(root.adapter.close)
        root.sys.enable_auth_method("jwt", path=MOUNT)
        end.callback(root.sys.disable_auth_method, MOUNT)
        root.auth.jwt.configure(oidc_discovery_url=url, bound_issuer=url, path=MOUNT)
        root.auth.jwt.create_role(
            "deploy",
            path=MOUNT,
            role_type="jwt",
            user_claim="sub",
            allowed_redirect_uris=[],
            bound_audiences=[AUDIENCE],
            bound_subject=BINDING["sub"],
            bound_claims={"/act/sub": BINDING["act"]["sub"], "user_id": BINDING["user_id"]},
            claim_mappings={"user_login": "user_login", "service_account": "service_account"},
            token_policies=["default"],
            token_ttl="5m",
            expiration_leeway=-1,
            not_before_leeway=-1,
            clock_skew_leeway=-1,
        )
        yield root


@pytest.fixture
def openbao_judge(bao) -> Judge:
    def judge(token: str) -> Verdict:
        """Its metadata is what OpenBao's own audit will show of a login."""
        stranger = hvac.Client(bao.url)
        try:
            auth = stranger.auth.jwt.jwt_login("deploy", token, use_token=False, path=MOUNT)["auth"]
        except (hvac.exceptions.InvalidRequest, hvac.exceptions.Forbidden) as refusal:
            return Verdict(ok=False, error=str(refusal))
        finally:
            stranger.adapter.close()
        bao.auth.token.revoke_accessor(auth["accessor"])
        return Verdict(ok=True, payload=auth["metadata"])

    return judge


def program(verifier: Verifier, issuer: SampleFlow) -> Judge:
    """A library verifies; which of the issuer's tokens it wants is for the program to say, and it does."""

    def judge(token: str) -> Verdict:
        verdict = verifier.verify(issuer=issuer.installation.issuer, audience=AUDIENCE, token=token)
        for claim, wanted in BINDING.items():
            if verdict.ok and verdict.payload[claim] != wanted:
                return Verdict(ok=False, error=f"not bound: {claim}")
        return verdict

    return judge


@pytest.fixture
def jose_judge(node_jose, issuer) -> Judge:
    return program(node_jose, issuer)


@pytest.fixture
def pyjwt_judge(pyjwt_verifier, issuer) -> Judge:
    return program(pyjwt_verifier, issuer)


JUDGES = ("openbao", "jose", "pyjwt")
REFUSED = {
    # by OpenBao, jose and PyJWT
    "another audience": ("invalid audience", "ERR_JWT_CLAIM_VALIDATION_FAILED", "InvalidAudienceError"),
    "another project": ("invalid subject", "not bound: sub", "not bound: sub"),
    "another human": ('"user_id" does not match', "not bound: user_id", "not bound: user_id"),
    "another agent": ('"/act/sub" does not match', "not bound: act", "not bound: act"),
    "expired": ("token is expired", "ERR_JWT_EXPIRED", "ExpiredSignatureError"),
    "changed": ("failed to verify", "ERR_JWS_SIGNATURE_VERIFICATION_FAILED", "InvalidSignatureError"),
    "alg none": ('algorithm "none"', "ERR_JOSE_NOT_SUPPORTED", "InvalidAlgorithmError"),
    "HS256 with our public key": ('algorithm "HS256"', "ERR_JOSE_NOT_SUPPORTED", "InvalidAlgorithmError"),
    "a key never published": ("failed to verify", "ERR_JWKS_NO_MATCHING_KEY", "PyJWKClientError"),
    "a stranger's key under our kid": (
        "failed to verify",
        "ERR_JWS_SIGNATURE_VERIFICATION_FAILED",
        "InvalidSignatureError",
    ),
}


@pytest.fixture
def judge(request) -> Judge:
    return request.getfixturevalue(f"{request.param}_judge")


@pytest.mark.parametrize("judge", JUDGES, indirect=True)
def test_the_right_token_is_accepted(judge, tokens):
    assert judge(tokens["right"]).ok


@pytest.mark.parametrize(
    ("judge", "case", "reason"),
    [
        pytest.param(judge, case, reason, id=f"{judge}-{case}")
        for case, reasons in REFUSED.items()
        for judge, reason in zip(JUDGES, reasons, strict=True)
    ],
    indirect=["judge"],
)
def test_a_wrong_token_is_refused_for_its_own_reason(judge, tokens, case, reason):
    verdict = judge(tokens[case])
    assert not verdict.ok
    assert reason in (verdict.error or "")


def test_both_names_stand_in_openbaos_own_metadata(openbao_judge, tokens):
    metadata: dict[str, Any] = openbao_judge(tokens["right"]).payload
    assert (metadata["user_login"], metadata["service_account"]) == ("alice", "duo")

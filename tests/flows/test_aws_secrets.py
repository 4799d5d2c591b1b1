"""Secrets of AWS in a run: its ID token assumes the role, as AWS checks it, and nothing else does."""

from collections.abc import Iterator

import pytest

from tests.support import sample_flow
from tests.support.aws import REGION, ROLE, Aws, aws
from tests.support.pyjwt_verifier import PyJwtVerifier
from tests.support.sample_flow import FLOW, HAND_OUT, PROJECT, SampleFlow

pytestmark = pytest.mark.slow

AUDIENCE = "sts.amazonaws.com"
PASSWORD, KEY = "corréct-horse-battery", "AKfycbx-of-the-canary-0123456789"
VERSION = "a1b2c3d4-5678-90ab-cdef-EXAMPLE11111"
SECRETS = {
    "PASSWORD": {"aws_secrets_manager": "app/db#password", "file": False},
    "API_KEY": {
        "aws_secrets_manager": {"secret_id": "app/key", "region": REGION, "version_stage": "AWSPREVIOUS"},
        "token": "$AWS_ID_TOKEN",
    },
}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory) -> Iterator[tuple[Aws, SampleFlow]]:
    """AWS that trusts the issuer, for alice's runs of the one flow."""
    verifier = PyJwtVerifier()
    trusted = {"sub": f"project_path:{PROJECT}:flow:{FLOW}", "user_login": "alice"}

    def claims_of(token: str) -> dict[str, object] | None:
        verdict = verifier.verify(issuer=sample.installation.issuer, audience=AUDIENCE, token=token)
        return verdict.payload if verdict.ok else None

    with aws(claims_of, trusted) as (there, _):
        there.secrets = {
            "app/db": {"AWSCURRENT": {"SecretString": f'{{"password": "{PASSWORD}"}}', "VersionId": VERSION}},
            "app/key": {"AWSPREVIOUS": {"SecretString": KEY, "VersionId": VERSION}},
        }
        sample = sample_flow.make(tmp_path_factory.mktemp("issuer"), AWS_ENDPOINT_URL=there.address)
        sample.cli("project", "variable", "set", PROJECT, f"AWS_ROLE_ARN={ROLE}", f"AWS_REGION={REGION}")
        with sample.installation.serve():
            yield there, sample


def configure(issuer: SampleFlow, *script: str, audience: str = AUDIENCE, **own: object) -> None:
    tables = {"id_tokens": {"AWS_ID_TOKEN": {"aud": audience}}, "secrets": SECRETS, **own}
    issuer.configure_flow(*script, **tables)


def test_a_run_reads_its_secrets_as_itself(cloud):
    there, issuer = cloud
    there.sessions.clear()
    configure(issuer, HAND_OUT, 'echo "$PASSWORD"', 'cat "$API_KEY"; echo')
    finished = issuer.start()
    given = issuer.given()
    assert given["PASSWORD"] == PASSWORD
    assert finished.stderr.splitlines()[:2] == ["[MASKED]", "[MASKED]"]
    run = finished.data["id"]
    [session] = there.sessions.values()
    assert session.name == f"countersign-run-{run}"
    assert (session.claims["act"], session.claims["run_id"]) == ({"sub": "service_account:3"}, str(run))
    assert not [name for name in given if name.startswith("AWS_") and name != "AWS_ID_TOKEN"]


def test_the_ledger_has_where_it_was_read_and_which_version(cloud):
    _, issuer = cloud
    configure(issuer, "true")
    run = issuer.start().data["id"]
    reads = [event for event in issuer.events("--run", str(run)) if event["action"] == "flows:secret:read"]
    where = {"engine": "aws_secrets_manager", "region": REGION, "role": ROLE, "version": VERSION}
    assert {read["detail"]["name"]: read["detail"] for read in reads} == {
        "PASSWORD": {"name": "PASSWORD", "path": "app/db", **where},
        "API_KEY": {"name": "API_KEY", "path": "app/key", **where},
    }


@pytest.mark.parametrize(
    ("user", "audience", "words"),
    [
        ("bob", AUDIENCE, "AccessDenied: Not authorized"),
        ("alice", "https://other.example", "InvalidIdentityToken"),
    ],
)
def test_another_identity_reads_nothing_and_nothing_runs(cloud, user, audience, words):
    there, issuer = cloud
    there.reads.clear()
    configure(issuer, 'touch "$OUT/ran"', audience=audience)
    refused = issuer.start(user=user, exit_code=1)
    assert "secrets.PASSWORD: cannot assume" in refused.data["reason"]
    assert words in refused.data["reason"]
    assert not there.reads
    assert not (issuer.out / "ran").exists()


def test_without_a_role_nothing_is_minted(cloud):
    _, issuer = cloud
    issuer.cli("project", "create", "acme/bare")
    for principal in ("user:alice", "service_account:duo"):
        issuer.cli("member", "add", "acme/bare", principal, "--role", "developer")
    tables = {"id_tokens": {"AWS_ID_TOKEN": {"aud": AUDIENCE}}, "secrets": SECRETS}
    issuer.configure_flow("true", project="acme/bare", **tables)
    refused = issuer.start(project="acme/bare", exit_code=1)
    assert refused.data["reason"].partition(": AWS_REGION is not set")[0].startswith("agent-config.yml:")
    assert refused.data["id_tokens"] == []

"""A secret of AWS: a role assumed with the ID token alone, signed requests, words for refusals, no leaks."""

import json
import logging
import socket
import sys
import traceback
from collections.abc import Iterator

import pytest

from app.errors import InvalidInput
from app.flows.aws_reference import AwsSecretReference
from app.flows.aws_secrets_manager import AwsRole, AwsSecretsManager
from app.flows.outbound import Outbound
from app.flows.secret_values import SecretRead, SecretUnavailable
from app.flows.transport import Limits
from app.secret import Secret
from tests.support import odd_server
from tests.support.aws import REGION, ROLE, Aws, aws
from tests.support.odd_server import OddServer, serving
from tests.support.process import free_port

ID_TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJwcm9qZWN0In0.c2lnbmF0dXJlLW9mLXRoZS1pZC10b2tlbg"
SUBJECT = "project_path:acme/webapp:flow:fix-ci"
VALUE = "correct-horse-battery-staple"
VERSION, OLD = "a1b2c3d4-5678-90ab-cdef-EXAMPLE11111", "a1b2c3d4-5678-90ab-cdef-EXAMPLE22222"
TO_READ = AwsRole(REGION, ROLE, "countersign-run-7")


def secret(text: str, version: str = VERSION) -> dict[str, object]:
    return {"SecretString": text, "VersionId": version}


FIELDS = json.dumps({"password": VALUE, "port": 5432, "tls": True, "none": None, "list": [VALUE]})


@pytest.fixture
def there() -> Iterator[tuple[Aws, OddServer]]:
    """Trusts the one subject, whose token is `ID_TOKEN`."""
    claims = {ID_TOKEN: {"sub": SUBJECT}, "another's": {"sub": "project_path:acme/other:flow:x"}}
    with aws(claims.get, {"sub": SUBJECT}) as (cloud, server):
        cloud.secrets = {
            "app/db": {
                "AWSCURRENT": secret(FIELDS),
                "AWSPREVIOUS": secret("the old one", OLD),
                OLD: secret(FIELDS, OLD),
            },
            "plain": {"AWSCURRENT": secret(VALUE)},
            "bytes": {"AWSCURRENT": {"SecretBinary": "AP/+", "VersionId": VERSION}},
            "empty": {"AWSCURRENT": {"VersionId": VERSION}},
            "odd": {"AWSCURRENT": secret('{"password": "\\ud800"}')},
        }
        yield cloud, server


def manager(address: str, **limits: float) -> AwsSecretsManager:
    return AwsSecretsManager(Outbound([], allow_loopback=True, limits=Limits(**limits)), address)


def read(
    address: str, *references: AwsSecretReference, id_token: str = ID_TOKEN, **limits: float
) -> list[SecretRead]:
    session = manager(address, **limits).assume(TO_READ, Secret(id_token))
    return [session.read(reference) for reference in references]


@pytest.fixture
def leaks(caplog, capfd):
    """Asserts that no part of a token, a key or the value is in an error, its chain, a log or an output."""
    caplog.set_level(logging.DEBUG)
    for name in ("boto3", "botocore"):  # as app.log has them
        caplog.set_level(logging.WARNING, name)

    def check(error: BaseException, *more: str) -> None:
        seen = [
            *traceback.format_exception(error),
            repr(error),
            repr(error.__context__),
            caplog.text,
            *capfd.readouterr(),
        ]
        whole = "".join(seen)
        for hidden in (ID_TOKEN, *ID_TOKEN.split("."), VALUE, *more):
            assert not [hidden[at : at + 8] for at in range(len(hidden) - 7) if hidden[at : at + 8] in whole]

    return check


@pytest.mark.parametrize(
    ("reference", "value", "version"),
    [
        (AwsSecretReference("plain"), VALUE, VERSION),
        (AwsSecretReference("app/db"), FIELDS, VERSION),
        (AwsSecretReference("app/db", "password"), VALUE, VERSION),
        (AwsSecretReference("app/db", "port"), "5432", VERSION),
        (AwsSecretReference("app/db", "tls"), "true", VERSION),
        (AwsSecretReference("app/db", version_stage="AWSPREVIOUS"), "the old one", OLD),
        (AwsSecretReference("app/db", "password", version_id=OLD), VALUE, OLD),
        (AwsSecretReference("bytes"), "AP/+", VERSION),
    ],
)
def test_what_is_read(there, reference, value, version):
    cloud, _ = there
    assert read(cloud.address, reference) == [SecretRead(Secret(value), version)]


def test_the_role_is_assumed_once_for_the_run_with_the_least_that_reads(there):
    cloud, server = there
    read(
        cloud.address,
        AwsSecretReference("app/db", "password"),
        AwsSecretReference("app/db", "port"),
        AwsSecretReference("plain"),
    )
    assert [ask["SecretId"] for ask in cloud.reads] == ["app/db", "plain"]
    [session] = cloud.sessions.values()
    assert (session.name, session.seconds) == ("countersign-run-7", 900)
    [statement] = session.policy["Statement"]
    assert statement["Action"] == ["secretsmanager:GetSecretValue", "kms:Decrypt"]
    assert [asked.headers["User-Agent"].split()[0] for asked in server.asked] == ["countersign"] * 3


def test_nothing_of_the_machine_is_used(there, monkeypatch, tmp_path):
    """Keys, profiles, endpoints, proxies, models, tokens: of the environment, of files, of an instance."""
    cloud, server = there
    (tmp_path / ".aws/models/secretsmanager/2017-10-17").mkdir(parents=True)
    (tmp_path / ".aws/models/secretsmanager/2017-10-17/service-2.json").write_text("{}")
    (tmp_path / ".aws/credentials").write_text(
        "[default]\naws_access_key_id=AKIAFILE\naws_secret_access_key=of-the-file\n"
    )
    (tmp_path / ".aws/config").write_text(
        "[default]\nregion=us-east-1\nrole_arn=of-the-file\nweb_identity_token_file=/x\n"
    )
    with serving(odd_server.hang_up) as elsewhere:
        environment = {
            "HOME": str(tmp_path),
            "AWS_ACCESS_KEY_ID": "AKIAENVIRONMENT",
            "AWS_SECRET_ACCESS_KEY": "of-the-environment",
            "AWS_SESSION_TOKEN": "of-the-environment",
            "AWS_PROFILE": "nobody",
            "AWS_REGION": "us-east-1",
            "AWS_ROLE_ARN": "arn:aws:iam::1:role/of-the-environment",
            "AWS_WEB_IDENTITY_TOKEN_FILE": "/nowhere",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{elsewhere.address}/creds",
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": elsewhere.address,
            "AWS_ENDPOINT_URL": elsewhere.address,
            "AWS_ENDPOINT_URL_STS": elsewhere.address,
            "AWS_CA_BUNDLE": "/nowhere",
            "AWS_USE_FIPS_ENDPOINT": "true",
            "AWS_MAX_ATTEMPTS": "9",
            "AWS_BEARER_TOKEN_SECRETSMANAGER": "of-the-environment",
            "HTTP_PROXY": elsewhere.address,
            "HTTPS_PROXY": elsewhere.address,
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        [found] = read(cloud.address, AwsSecretReference("plain"))
        assert not elsewhere.asked
    assert found.value == Secret(VALUE)
    assert "of-the" not in str(server.asked)
    assert "AKIA" not in str(server.asked)


def test_without_an_endpoint_of_our_own_it_is_aws_of_the_region():
    wanted: list[str] = []

    def resolve(host: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        wanted.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("169.254.169.254", 443))]

    outbound = Outbound([], allow_loopback=True, resolve=resolve)
    for region, host in {
        REGION: f"sts.{REGION}.amazonaws.com",
        "cn-north-1": "sts.cn-north-1.amazonaws.com.cn",
    }.items():
        role = AwsRole(region, ROLE, "a-name")
        with pytest.raises(SecretUnavailable, match=f"{host} has a link-local address, not a public one"):
            AwsSecretsManager(outbound).assume(role, Secret(ID_TOKEN))
    assert wanted == [f"sts.{REGION}.amazonaws.com", "sts.cn-north-1.amazonaws.com.cn"]


def said(status: int, text: str) -> odd_server.Behaviour:
    return odd_server.answer(status, text.encode(), kind="text/xml")


NOT_AWS = "its answer is not that of AWS"


@pytest.mark.parametrize(
    ("behave", "words"),
    [
        (odd_server.silence, "no whole answer within 0.6 s"),
        (odd_server.drip(b"HTTP/1.1 200 OK\r\n\r\n", b" "), "no whole answer within 0.6 s"),
        (odd_server.hang_up, "its answer is not HTTP, or broke off"),
        (said(200, ""), NOT_AWS),
        (said(200, "<html>Sign in"), NOT_AWS),
        (said(200, "<a/>"), NOT_AWS),
        (said(200, "<a><b><Credentials/></b></a>"), NOT_AWS),
        (said(200, '{"a": 1}'), NOT_AWS),
        (said(200, "x" * (2 << 20)), "its answer is larger than 1048576 bytes"),
        (said(503, "<html>Sign in"), "it answers 503: 503: Service Unavailable"),
        (
            odd_server.answer(307, b"", {"Location": "http://127.0.0.1:1/"}),
            "it redirects (307), which is not followed: name the host that answers itself",
        ),
    ],
)
def test_sts_that_is_down_slow_or_none(behave, words, leaks):
    with serving(behave) as server, pytest.raises(SecretUnavailable) as refusal:
        read(server.address, AwsSecretReference("plain"), total=0.6 if "0.6 s" in words else 60)
    leaks(refusal.value)
    assert str(refusal.value) == f"cannot assume {ROLE} in {REGION}: {words}"
    assert len(server.asked) <= 1  # nothing is tried again behind our back


def test_sts_at_an_address_where_nobody_is(leaks):
    with pytest.raises(SecretUnavailable, match="cannot connect: the connection was refused") as refusal:
        read(f"http://127.0.0.1:{free_port()}")
    leaks(refusal.value)


@pytest.mark.parametrize(
    ("id_token", "words"),
    [
        ("nobody's", "it answers 400: InvalidIdentityToken: No OpenIDConnect provider found in your account"),
        (
            "another's",
            "it answers 403: AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity",
        ),
    ],
)
def test_a_token_that_the_role_does_not_trust(there, id_token, words, leaks):
    cloud, _ = there
    with pytest.raises(SecretUnavailable) as refusal:
        read(cloud.address, id_token=id_token)
    assert str(refusal.value).endswith(words)
    assert not cloud.sessions


def test_words_that_hold_a_part_of_the_token_are_not_repeated(leaks):
    echo = f"<ErrorResponse><Error><Code>Bad</Code><Message>{ID_TOKEN}</Message></Error></ErrorResponse>"
    with (
        serving(said(400, echo)) as server,
        pytest.raises(SecretUnavailable, match=r"it answers 400$") as refusal,
    ):
        read(server.address)
    leaks(refusal.value)


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        (
            AwsSecretReference("none"),
            "it answers 400: ResourceNotFoundException: Secrets Manager can't find the specified secret.",
        ),
        (
            AwsSecretReference("plain", "password"),
            "the secret is not the JSON object that a field is asked of",
        ),
        (AwsSecretReference("app/db", "user"), "the secret has no such field"),
        (
            AwsSecretReference("app/db", "list"),
            "the field is an object, a list or null, where text is needed",
        ),
        (
            AwsSecretReference("app/db", "none"),
            "the field is an object, a list or null, where text is needed",
        ),
        (AwsSecretReference("odd", "password"), "the field is not valid Unicode text"),
        (AwsSecretReference("empty"), NOT_AWS),
    ],
)
def test_a_secret_that_cannot_be_had(there, reference, words, leaks):
    cloud, _ = there
    with pytest.raises(SecretUnavailable) as refusal:
        read(cloud.address, reference)
    [session] = cloud.sessions.values()
    leaks(refusal.value, session.key, session.token)
    step = f"cannot read {reference.secret_id!r} from AWS Secrets Manager in {REGION}"
    assert str(refusal.value) == f"{step}: {words}"


def test_a_request_that_was_tampered_with_is_refused_there(there, monkeypatch):
    """That the signature is checked at all: the same with another key is not taken."""
    cloud, _ = there
    session = manager(cloud.address).assume(TO_READ, Secret(ID_TOKEN))
    for key_id, given in cloud.sessions.items():
        cloud.sessions[key_id] = type(given)(**{**vars(given), "key": "another" + given.key})
    with pytest.raises(SecretUnavailable, match="InvalidSignatureException"):
        session.read(AwsSecretReference("plain"))


def test_what_the_reference_leaves_out_comes_from_the_variables():
    variables = {
        "AWS_REGION": REGION,
        "AWS_ROLE_ARN": ROLE,
        "AWS_ROLE_SESSION_NAME": "ours",
        "AWS_PROFILE": "x",
    }
    assert AwsRole.of(AwsSecretReference("s"), variables, 7) == AwsRole(REGION, ROLE, "ours")
    own = AwsSecretReference("s", region="eu-west-1", role_arn=ROLE + "-2", role_session_name="mine")
    assert AwsRole.of(own, variables, 7) == AwsRole("eu-west-1", ROLE + "-2", "mine")
    assert AwsRole.of(own, {}, 7) == AwsRole.of(own, variables, 8)
    assert AwsRole.of(AwsSecretReference("s"), {**variables, "AWS_ROLE_SESSION_NAME": ""}, 7) == AwsRole(
        REGION, ROLE, "countersign-run-7"
    )


@pytest.mark.parametrize("name", ["AWS_REGION", "AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME"])
@pytest.mark.parametrize("value", ["", "hunter2.evil.example/", "hunter2\n", "x" * 3000])
def test_a_wrong_variable_is_named_and_its_value_is_not(name, value):
    variables = {"AWS_REGION": REGION, "AWS_ROLE_ARN": ROLE, name: value}
    if (name, value) == ("AWS_ROLE_SESSION_NAME", ""):
        return
    with pytest.raises(InvalidInput, match=f"^{name} ") as refusal:
        AwsRole.of(AwsSecretReference("s"), variables, 7)
    assert "hunter2" not in str(refusal.value)


def test_without_boto3_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "app.flows.aws_client", None)
    with pytest.raises(SecretUnavailable, match=r"boto3 is not installed here: .*countersign-idp\[aws\]"):
        read("http://127.0.0.1:1")

"""The sample API, in Flask and behind the ASGI guard, against a running issuer."""

import asyncio
import importlib.util
import json

import pytest
from countersign_sdk import ANY_TOKEN
from countersign_sdk.asgi import Guard
from countersign_sdk.flask import requires
from countersign_sdk.resource_server import DecisionUnavailable, ResourceServer

from tests.support.server import Installation
from tests.support.tools import ROOT

AUDIENCE = "https://api.acme.example"
FILE = "/projects/acme/webapp/files/a.txt"

pytestmark = pytest.mark.slow


class Acme:
    """An issuer with its people, and the sample API that trusts it."""

    def __init__(self, installation, sample):
        self.installation = installation
        self.http = sample.app.test_client()
        self.server = sample.server

    def token(self, *scopes, user="alice", resource=AUDIENCE):
        asked = [word for scope in scopes for word in ("--scope", scope)]
        parties = ("--user", user, "--service-account", "duo", "--resource", resource)
        return self.installation.invoke("token", "issue", *parties, *asked, json=True).data["access_token"]

    def put(self, token, path=FILE):
        return self.http.put(path, data=b"hello", headers={"Authorization": f"Bearer {token}"})


def populate(here):
    for words in (
        "init",
        "user create alice --email alice@acme.example",
        "user create bob --email bob@acme.example",
        "service-account create duo",
        "service-account create acme-api --not-composite",
        "delegation grant --user alice --service-account duo",
        "delegation grant --user bob --service-account duo",
        "project create acme/webapp",
        "member add acme/webapp user:alice --role developer",
        "member add acme/webapp user:bob --role reporter",
        "member add acme/webapp service_account:duo --role developer",
        f"audience add {AUDIENCE} --kind api --introspect acme-api",
    ):
        here.invoke(*words.split())
    return here.invoke("service-account", "secret", "create", "acme-api", json=True).data


@pytest.fixture(scope="module")
def acme(tmp_path_factory):
    here = Installation(tmp_path_factory.mktemp("acme"))
    client = populate(here)
    settings = {
        "ISSUER": here.issuer,
        "CLIENT_ID": client["client_id"],
        "CLIENT_SECRET": client["client_secret"],
    }
    with here.serve(), pytest.MonkeyPatch.context() as environment:
        for name, value in settings.items():
            environment.setenv(name, value)
        spec = importlib.util.spec_from_file_location("sample", ROOT / "docs/examples/resource-server/app.py")
        sample = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sample)
        yield Acme(here, sample)
        sample.server._session.close()


def test_who_calls_has_two_names(acme):
    answer = acme.http.get("/whoami", headers={"Authorization": f"Bearer {acme.token('code.read')}"})
    assert answer.get_json() == {"agent": "service_account:3", "human": "user:1"}


def test_the_agent_may_what_both_may(acme):
    token = acme.token("code.write", "code.read")
    assert acme.put(token).status_code == 204
    assert acme.http.get(FILE, headers={"Authorization": f"Bearer {token}"}).data == b"hello"


@pytest.mark.parametrize(
    ("scopes", "user", "path", "why"),
    [
        (["code.write"], "bob", FILE, "human: bob is reporter in acme/webapp; code.write needs developer"),
        (["code.read"], "alice", FILE, "scope: the token's scopes do not cover"),
        (
            ["code.write"],
            "alice",
            "/projects/acme/none/files/a",
            "human: there is no such project or group, or none that may be seen",
        ),
    ],
)
def test_a_denial_says_who_and_why(acme, scopes, user, path, why):
    answer = acme.put(acme.token(*scopes, user=user), path)
    assert answer.status_code == 403
    assert answer.mimetype == "application/problem+json"
    assert why in answer.get_json()["detail"]
    assert " for user:" in answer.get_json()["detail"]


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic YTpi", "Bearer x.y.z", "Bearer é"])
def test_without_a_valid_token_nothing_is_answered(acme, header):
    answer = acme.http.put(FILE, headers={} if header is None else {"Authorization": header})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_token_for_another_api_is_refused(acme):
    other = acme.token("code.write", resource=f"{acme.installation.issuer}/api/v1")
    answer = acme.put(other)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'


def test_a_killed_delegation_closes_the_door(acme):
    acme.installation.invoke("user", "create", "carol", "--email", "carol@acme.example")
    acme.installation.invoke("member", "add", "acme/webapp", "user:carol", "--role", "developer")
    granted = acme.installation.invoke(
        "delegation", "grant", "--user", "carol", "--service-account", "duo", json=True
    ).data
    token = acme.token("code.write", user="carol")
    assert acme.put(token).status_code == 204
    acme.installation.invoke("kill", "--delegation", str(granted["id"]), "--reason", "a test")
    assert acme.put(token).status_code == 403


def test_without_an_issuer_nothing_is_let_through(acme):
    token = acme.token("code.write")
    identity = acme.server.identify(token)
    acme.server._issuer, issuer = "http://127.0.0.1:9", acme.server._issuer
    try:
        with pytest.raises(DecisionUnavailable):
            acme.server.decide(identity, "code.write", "acme/webapp")
    finally:
        acme.server._issuer = issuer


async def hello(scope, _receive, send):
    body = json.dumps({"human": scope["identity"].user}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


def called(guard, *authorization, kind="http"):
    """Status and body of one ASGI request with these `Authorization` headers."""
    sent = []

    async def send(message):
        sent.append(message)

    headers = [(b"Authorization", value.encode()) for value in authorization]
    asyncio.run(guard({"type": kind, "method": "PUT", "path": FILE, "headers": headers}, None, send))
    return sent[0]["status"], json.loads(sent[1]["body"])


@pytest.fixture
def guard(acme):
    return Guard(hello, acme.server, lambda _: ("code.write", "acme/webapp"))


def test_the_asgi_guard_decides_alike(acme, guard):
    good, reading = (f"Bearer {acme.token(scope)}" for scope in ("code.write", "code.read"))
    assert called(guard, good) == (200, {"human": "user:1"})
    assert called(guard, reading)[0] == 403
    assert called(guard)[0] == 401
    assert called(guard, good, good)[0] == 401
    assert called(Guard(hello, acme.server, lambda _: ANY_TOKEN), reading)[0] == 200
    assert called(Guard(hello, acme.server, lambda _: None), reading)[0] == 403


def test_the_asgi_guard_lets_http_alone_through(guard):
    with pytest.raises(RuntimeError, match="HTTP through and nothing else"):
        called(guard, kind="websocket")


@pytest.mark.parametrize("half", [{"action": "code.write"}, {"resource": "{project}"}], ids=str)
def test_half_a_question_is_none(acme, half):
    with pytest.raises(TypeError, match="both, or neither"):
        requires(acme.server, **half)


def test_the_guard_needs_a_server_that_may_ask(acme):
    token = acme.token("code.write")
    nobody = ResourceServer(issuer=acme.installation.issuer, audience=AUDIENCE)
    status, _ = called(Guard(hello, nobody, lambda _: ("code.write", "acme/webapp")), f"Bearer {token}")
    nobody._session.close()
    assert status == 503

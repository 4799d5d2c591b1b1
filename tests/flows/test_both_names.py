"""Whatever a composite identity does, through any door, the ledger's row names both parties, as columns."""

from contextlib import suppress

import pytest

from app.errors import Refusal
from app.factory import create_app
from app.settings import Settings
from tests.support.components import basic
from tests.support.sample_flow import FLOW, HAND_OUT, PROJECT, SampleFlow

pytestmark = pytest.mark.slow

ALICE, DUO = "user:1", "service_account:3"
API = "https://api.acme.example"
ABOUT_ONE = {
    "identity:user:create",
    "identity:user:disable",
    "identity:user:enable",
    "identity:service_account:create",
    "identity:service_account:disable",
    "identity:service_account:enable",
    "identity:client_secret:create",
    "identity:personal_access_token:create",
    "identity:member:add",
}
"""Of one party by its nature, with nobody acting for anybody."""


class Doors:
    """The HTTP endpoints over the installation of the command line."""

    def __init__(self, flow: SampleFlow) -> None:
        self.flow = flow
        self.app = create_app(Settings.from_env(flow.installation.environment))
        self.http = self.app.test_client()
        self.duo, self.shop = self._client("duo"), self._client("shop")

    def _client(self, name: str) -> dict[str, str]:
        secret = self.flow.cli("service-account", "secret", "create", name, json=True).data
        return {"Authorization": basic(secret["client_id"], secret["client_secret"])}

    def token(self, scope: str = f"api {ALICE}", status: int = 200, **form: str) -> str:
        data = {"grant_type": "client_credentials", "scope": scope, **form}
        answer = self.http.post("/oauth/token", data=data, headers=self.duo)
        assert answer.status_code == status, answer.text
        return str(answer.get_json().get("access_token"))

    def introspect(self, token: str) -> None:
        self.http.post("/oauth/introspect", data={"token": token}, headers=self.shop)

    def revoke(self, token: str, by: dict[str, str] | None = None) -> None:
        self.http.post("/oauth/revoke", data={"token": token}, headers=by or self.duo)


@pytest.fixture
def flow(sample_flow: SampleFlow) -> SampleFlow:
    sample_flow.cli("service-account", "create", "shop", "--not-composite")
    sample_flow.cli("audience", "add", API, "--kind", "api", "--introspect", "shop")
    return sample_flow


@pytest.fixture
def doors(flow):
    doors = Doors(flow)
    yield doors
    doors.app.extensions["countersign"].database.dispose()


def tokens(doors):
    kept, foreign = doors.token(resource=API), doors.token()
    doors.token(f"nonsense {ALICE}", 400)
    doors.token("api user:2", 200)
    doors.token("api user:99", 400)
    doors.token(resource="https://unknown.example", status=400)
    doors.introspect(kept)
    doors.introspect(foreign)
    doors.revoke(kept, by=doors.shop)
    doors.revoke(kept)
    doors.introspect(kept)


def runs(doors):
    flow = doors.flow
    flow.configure_flow(HAND_OUT, id_tokens={"VAULT_ID_TOKEN": {"aud": "https://vault.example"}})
    flow.start()
    flow.configure_flow("exit 3")
    flow.start(exit_code=1)
    closed = {"VAULT_SERVER_URL": "http://127.0.0.1:9", "VAULT_AUTH_ROLE": "r"}
    id_tokens = {"VAULT_ID_TOKEN": {"aud": "https://vault.example"}}
    secrets = {"KEY": {"vault": "ops/key/value"}}
    flow.configure_flow("true", top={"variables": closed, "secrets": secrets, "id_tokens": id_tokens})
    flow.start(exit_code=1)
    flow.cli("member", "remove", PROJECT, ALICE)
    flow.start(exit_code=1)
    flow.cli("member", "add", PROJECT, ALICE, "--role", "developer")
    flow.start(flow="unknown", exit_code=1)


def kills(doors):
    flow, token = doors.flow, doors.token(resource=API)
    jti = flow.cli("token", "inspect", "-", stdin=token, json=True).data["claims"]["jti"]
    flow.cli("kill", "--token", jti, "--reason", "a test")
    flow.cli("kill", "--run", "1", "--reason", "a test")
    flow.cli("delegation", "revoke", "1")
    doors.token(status=400)
    flow.cli("delegation", "grant", "--user", "alice", "--service-account", "duo")
    late = doors.token(resource=API)
    flow.cli("kill", "--delegation", "3", "--reason", "a test")
    doors.introspect(late)
    flow.cli("user", "disable", "alice")
    doors.token(status=400)


def abandoned(doors):
    """A run whose process is gone, and one that is cancelled before it began."""
    from datetime import timedelta

    from app.flows import runs as domain
    from app.flows.start import StartRequest, start
    from app.ledger.record import Actor

    components = doors.app.extensions["countersign"]
    request = StartRequest(
        project=PROJECT, flow=FLOW, user="alice", service_account="duo", inputs={}, source="test"
    )
    doors.flow.configure_flow("true")
    for _ in range(2):
        number = start(components.database, components.clock, request, Actor(name="operator:tester"))
    doors.flow.cli("run", "cancel", str(number))
    assert domain.fail_abandoned(components.database, components.clock() + timedelta(hours=1)) == 1
    with suppress(Refusal):
        start(components.database, components.clock, request, Actor(name=DUO))


def test_every_row_names_both(doors):
    for act in (tokens, runs, abandoned, kills):
        act(doors)
    rows = [row for row in doors.flow.events("--limit", "1000") if row["action"] not in ABOUT_ONE]
    theirs = [row for row in rows if is_of_a_pair(row)]
    assert [row for row in theirs if row["user"] is None or row["service_account"] is None] == []
    assert {row["action"] for row in theirs} >= {
        "tokens:access_token:issue",
        "tokens:access_token:introspect",
        "tokens:access_token:revoke",
        "tokens:id_token:issue",
        "flows:run:create",
        "flows:run:start",
        "flows:run:finish",
        "flows:run:cancel",
        "flows:secret:read",
        "identity:delegation:grant",
        "identity:delegation:revoke",
        "identity:cut_off:create",
    }
    assert {row["outcome"] for row in theirs} == {"success", "denied", "failed"}
    assert {(row["user"], row["service_account"]) for row in theirs} >= {(ALICE, DUO), ("user:2", DUO)}
    assert len(theirs) > 40


def is_of_a_pair(row):
    """Duo is enforced: whatever it does or is done with it as an agent, it does for somebody."""
    return DUO in {row["actor"], row["service_account"]} or row["run"] is not None or row["jti"] is not None

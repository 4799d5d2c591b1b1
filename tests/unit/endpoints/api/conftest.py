"""The API as each kind of caller meets it."""

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from sqlalchemy import event, select
from werkzeug.test import TestResponse

from app.identity import accounts, credentials
from app.ledger.models import AuditRow
from tests.support.components import ISSUER, OPERATOR, ManualClock, World, basic, inhabited

PREFIX = "/api/v1"
CALLERS = (
    "nobody", "client secret", "composite token", "account", "narrow", "stranger", "alice", "administrator",
)  # fmt: skip
"""`account` acts in its own name; `narrow` is a token of alice's without scope `api`; `stranger` is bob, who
is a member of nothing; `administrator` is root.
"""


@dataclass(frozen=True)
class Api:
    world: World
    authorization: dict[str, str | None] = field(repr=False)  # a failure prints this object

    def __call__(self, caller: str, method: str, path: str, body: Any = None, **headers: str) -> TestResponse:
        """`api("alice", "PUT", "/users/alice", {...}, If_Match='"…"')`; without a body none is sent."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if (authorization := self.authorization[caller]) is not None:
            given["Authorization"] = authorization
        sent = {} if body is None else {"json": body}
        return self.world.http.open(PREFIX + path, method=method, headers=given, **sent)

    def last_event(self) -> AuditRow:
        return self.world.events()[0]

    def told(self, answer: TestResponse) -> list[AuditRow]:
        """What the ledger says of the request that was answered so."""
        query = select(AuditRow).where(AuditRow.request_id == answer.headers["X-Request-Id"])
        with self.world.components.database.reading() as session:
            return list(session.scalars(query))


def personal(world: World, login: str, *scopes: str) -> str:
    with world.components.database.writing() as session:
        _, token = credentials.create_personal_access_token(
            session,
            accounts.find_user(session, login),
            scopes or ["api"],
            expires_at=None,
            by=OPERATOR,
            now=world.clock(),
        )
    return f"Bearer {token.reveal()}"


def in_api(world: World) -> Api:
    world.new_user("bob")
    world.change(accounts.create_user, "root", "root@example.com", is_admin=True)
    number, secret = world.new_account("shop", is_composite=False)
    pair = world.ask(scope=f"api {world.scope}")
    own = world.ask(authorization=basic(f"sa_{number}", secret.reveal()), scope="api")
    bearers = {
        "composite token": f"Bearer {pair.get_json()['access_token']}",
        "account": f"Bearer {own.get_json()['access_token']}",
        "narrow": personal(world, "alice", "code.read"),
        "stranger": personal(world, "bob"),
        "alice": personal(world, "alice"),
        "administrator": personal(world, "root"),
    }
    secret_of_a_client = basic(f"sa_{number}", secret.reveal())
    return Api(world, {"nobody": None, "client secret": secret_of_a_client, **bearers})


@pytest.fixture(scope="session")
def peopled_api(peopled, tmp_path_factory):
    """The callers in an installation to be copied, and what each authorizes itself with."""
    folder = tmp_path_factory.mktemp("peopled-api")
    with inhabited(peopled, folder, ManualClock()) as world:
        authorization = in_api(world).authorization
    prepared, people = peopled
    return (replace(prepared, home=folder / "var"), people), authorization


@contextmanager
def called(peopled_api, folder, clock, database_url=None):
    """An installation with its callers in it."""
    peopled, authorization = peopled_api
    with inhabited(peopled, folder, clock, database_url) as world:
        if not database_url:
            event.listen(world.components.database.engine, "connect", _hasten)
        yield in_api(world) if database_url else Api(world, dict(authorization))


def _hasten(connection, _record):
    """What a test writes need not survive the machine."""
    connection.execute("PRAGMA synchronous=OFF")


@pytest.fixture
def api(peopled_api, tmp_path, clock, database_url):
    """Alice and duo, of acme/webapp; bob, a stranger; root, an administrator; shop, which acts alone."""
    with called(peopled_api, tmp_path, clock, database_url) as api:
        yield api


@pytest.fixture(scope="module")
def shared_api(peopled_api, tmp_path_factory):
    """For a module's tests that change nothing but the ledger."""
    with called(peopled_api, tmp_path_factory.mktemp("api"), ManualClock()) as api:
        yield api


def problem(answer: TestResponse, status: int) -> dict[str, Any]:
    """The body of a refusal, which is RFC 9457's and names the request."""
    assert answer.status_code == status, answer.text
    assert answer.content_type == "application/problem+json"
    body: dict[str, Any] = answer.get_json()
    assert body["status"] == status
    assert body["request_id"] == answer.headers["X-Request-Id"]
    return body


def location(path: str) -> str:
    return f"{ISSUER}{PREFIX}{path}"

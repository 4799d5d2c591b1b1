"""The product within this process: a database, keys, a clock that obeys, and the people of the examples."""

import json
import shutil
from base64 import b64encode, urlsafe_b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote_plus

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import insert, make_url, select
from werkzeug.test import TestResponse

from app import factory
from app.db import Database, Patience, sqlite_url
from app.factory import create_app
from app.identity import accounts, credentials, delegations, members, projects
from app.ledger.models import AuditRow
from app.ledger.record import Actor
from app.ledger.search import NEWEST_FIRST
from app.secret import Secret
from app.settings import Settings
from app.signing.keyring import KeySnapshot
from app.signing.models import SigningKey
from app.tokens.models import IssuedToken
from app.wiring import Components
from tests.support.postgresql import Cluster

PASSPHRASE = "a passphrase that the tests share"
SECRET_KEY = "a cookie key that the tests share"
ISSUER = "http://localhost:8000"
OPERATOR = Actor(name="operator:tester")
NOW = datetime(2026, 11, 22, 10, 0, 0, 123456, tzinfo=UTC)
TOKEN = "/oauth/token"

Changed = TypeVar("Changed")

on_every_database = pytest.mark.parametrize("backend", ["sqlite", "postgresql"], indirect=True)
"""Runs a test of `components` or `world` on SQLite and on PostgreSQL; without it, on SQLite."""


@dataclass
class ManualClock:
    """Stands still until told otherwise."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **duration: float) -> None:
        """`advance(minutes=10)`."""
        self.now += timedelta(**duration)


@dataclass(frozen=True)
class Prepared:
    """What a first start has made, to be copied: it costs a quarter of a second."""

    home: Path
    keys: Path
    opened: KeySnapshot
    """Of the keys, for deriving the key that they are encrypted with takes longer than most tests."""


@dataclass(frozen=True, kw_only=True)
class People:
    """Alice, and duo that may act for her: their numbers."""

    alice: int
    duo: int
    delegation: int
    secret: Secret
    secret_id: int
    project: str = "acme/webapp"


@dataclass(frozen=True, kw_only=True)
class World(People):
    """The people of an installation, and a client that speaks to its token endpoint."""

    components: Components
    clock: ManualClock
    http: FlaskClient

    @property
    def client_id(self) -> str:
        return f"sa_{self.duo}"

    @property
    def scope(self) -> str:
        """The least that duo can ask for."""
        return f"user:{self.alice}"

    def change(self, do: Callable[..., Changed], *arguments: Any, **keywords: Any) -> Changed:
        """A domain function in a transaction of its own, by the operator, now."""
        with self.components.database.writing() as session:
            return do(session, *arguments, **keywords, by=OPERATOR, now=self.clock())

    def in_ledger(self, answer: TestResponse) -> AuditRow:
        """The one row of the request that was answered so."""
        with self.components.database.reading() as session:
            query = select(AuditRow).where(AuditRow.request_id == answer.headers["X-Request-Id"])
            return session.scalars(query).one()

    def set_active(self, named: str, *, active: bool) -> None:
        """`alice` or `duo`, disabled or enabled again."""
        with self.components.database.writing() as session:
            if named == "alice":
                user = accounts.find_user(session, named)
                accounts.set_user_active(session, user, active=active, by=OPERATOR, now=self.clock())
            else:
                account = accounts.find_service_account(session, named)
                accounts.set_service_account_active(
                    session, account, active=active, by=OPERATOR, now=self.clock()
                )

    def new_account(self, name: str, *, is_composite: bool = True) -> tuple[int, Secret]:
        """Its number and a secret of it."""
        with self.components.database.writing() as session:
            account = accounts.create_service_account(
                session, name, is_composite=is_composite, by=OPERATOR, now=self.clock()
            )
            _, secret = credentials.create_client_secret(
                session, account, expires_at=None, by=OPERATOR, now=self.clock()
            )
            return account.id, secret

    def new_secret(self, *, life: timedelta | None = None) -> tuple[int, Secret]:
        """One more of duo's: its number and itself."""
        until = self.clock() + life if life else None
        with self.components.database.writing() as session:
            account = accounts.find_service_account(session, "duo")
            row, secret = credentials.create_client_secret(
                session, account, expires_at=until, by=OPERATOR, now=self.clock()
            )
            return row.id, secret

    def new_user(self, login: str) -> int:
        with self.components.database.writing() as session:
            email = f"{login}@example.com"
            return accounts.create_user(
                session, login, email, is_admin=False, by=OPERATOR, now=self.clock()
            ).id

    def delegate(
        self,
        user: str = "alice",
        account: str = "duo",
        *,
        scopes: list[str] | None = None,
        life: timedelta = delegations.DEFAULT_LIFE,
    ) -> int:
        with self.components.database.writing() as session:
            return delegations.grant(
                session,
                accounts.find_user(session, user),
                accounts.find_service_account(session, account),
                scopes=scopes,
                project=None,
                expires_at=self.clock() + life,
                by=OPERATOR,
                now=self.clock(),
            ).id

    def basic(self, client_id: str | None = None, secret: Secret | None = None) -> str:
        """An `Authorization` header, duo's unless told otherwise."""
        return basic(client_id or self.client_id, (secret or self.secret).reveal())

    def ask(self, /, *, authorization: str | None = None, **form: Any) -> TestResponse:
        """`POST /oauth/token` as duo, by Basic; `form` is added to the grant type, `None` takes away."""
        data = {"grant_type": "client_credentials"} | form
        return self.http.post(
            TOKEN,
            data={name: value for name, value in data.items() if value is not None},
            headers={"Authorization": authorization or self.basic()},
        )

    def events(self, action: str | None = None) -> list[AuditRow]:
        """The ledger, the newest first."""
        query = select(AuditRow).order_by(*NEWEST_FIRST)
        with self.components.database.reading() as session:
            return list(session.scalars(query if action is None else query.where(AuditRow.action == action)))

    def tokens(self) -> list[IssuedToken]:
        with self.components.database.reading() as session:
            return list(session.scalars(select(IssuedToken).order_by(IssuedToken.issued_at)))


def basic(client_id: str, secret: str) -> str:
    """An `Authorization` header as RFC 6749 §2.3.1 has it: both parts form-encoded."""
    return "Basic " + b64encode(f"{quote_plus(client_id)}:{quote_plus(secret)}".encode()).decode()


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a compact JWS, unverified."""
    header, payload, _ = (urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in token.split("."))
    return json.loads(header), json.loads(payload)


def claims_of(answer: TestResponse) -> dict[str, Any]:
    """The claims of the access token in a successful answer."""
    assert answer.status_code == 200, answer.text
    return parts(answer.get_json()["access_token"])[1]


def settings_for(folder: Path, database_url: str | None = None, **settings: str) -> Settings:
    """Settings of an installation in `folder`; `settings` are INTERFACE.md's without the prefix."""
    own = {
        "ISSUER": ISSUER,
        "HOME_DIR": str(folder / "var"),
        "KEYS_DIR": str(folder / "keys"),
        "KEYS_PASSPHRASE": PASSPHRASE,
        "SECRET_KEY": SECRET_KEY,
    }
    if database_url is not None:
        own["DATABASE_URL"] = database_url
    return Settings.from_env({f"COUNTERSIGN_{name}": value for name, value in (own | settings).items()})


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """An SQLite installation after its first start, to be copied."""
    folder = tmp_path_factory.mktemp("prepared")
    components = Components(settings_for(folder), ManualClock())
    components.prepare(OPERATOR)
    opened = components.keyring.current()
    components.database.dispose()
    return Prepared(folder / "var", folder / "keys", opened)


@pytest.fixture(scope="session")
def peopled(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> tuple[Prepared, People]:
    """The same with people in it."""
    folder = tmp_path_factory.mktemp("peopled")
    with installed(prepared, folder, ManualClock()) as app:
        people = _people(app)
    return Prepared(folder / "var", folder / "keys", prepared.opened), people


@pytest.fixture(scope="session")
def prepared_postgresql(prepared: Prepared, postgresql: Cluster) -> Iterator[str]:
    """The name of a PostgreSQL database with the same keys, to be copied."""
    with postgresql.database() as url:
        source, target = Database(sqlite_url(prepared.home)), Database(url)
        target.upgrade()
        with source.reading_connection() as old, target.writing_connection() as new:
            rows = old.execute(select(SigningKey.__table__)).mappings().all()
            new.execute(insert(SigningKey), [dict(row) for row in rows])
        source.dispose()
        target.dispose()
        yield url


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> str:
    """`sqlite`, or what `on_every_database` says."""
    return getattr(request, "param", "sqlite")


@pytest.fixture
def database_url(backend: str, request: pytest.FixtureRequest) -> Iterator[str | None]:
    """A database after a first start; `None` for SQLite under the home directory."""
    if backend == "sqlite":
        yield None
        return
    cluster: Cluster = request.getfixturevalue("postgresql")
    template = make_url(request.getfixturevalue("prepared_postgresql"))
    with cluster.database() as url:
        name = make_url(url).database
        cluster.execute(f'DROP DATABASE "{name}"')
        cluster.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template.database}"')
        yield url


@pytest.fixture
def empty_database(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Database]:
    """A database without any schema."""
    url = f"sqlite:///{tmp_path / 'empty.sqlite3'}"
    database = Database(url if backend == "sqlite" else request.getfixturevalue("postgresql_url"))
    yield database
    database.dispose()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """For many who do the same at once, before `world`: a busy machine keeps them waiting for each other for
    longer than one request may wait.
    """
    monkeypatch.setattr(factory, "IN_A_REQUEST", Patience(connect=60, lock=60, statement=0))


@pytest.fixture
def components(
    prepared: Prepared, tmp_path: Path, database_url: str | None, clock: ManualClock
) -> Iterator[Components]:
    """An installation after its first start, in this process."""
    with installed(prepared, tmp_path, clock, database_url) as app:
        yield app.extensions["countersign"]


@pytest.fixture
def world(
    peopled: tuple[Prepared, People], tmp_path: Path, database_url: str | None, clock: ManualClock
) -> Iterator[World]:
    with inhabited(peopled, tmp_path, clock, database_url) as world:
        yield world


@pytest.fixture(scope="module")
def shared_world(
    peopled: tuple[Prepared, People], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """For a module's tests that change nothing but the ledger."""
    with inhabited(peopled, tmp_path_factory.mktemp("world"), ManualClock()) as world:
        yield world


@pytest.fixture(scope="module")
def shared_components(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Components]:
    """For a module's tests that change nothing, or take it back."""
    with installed(prepared, tmp_path_factory.mktemp("components"), ManualClock()) as app:
        yield app.extensions["countersign"]


@contextmanager
def inhabited(
    peopled: tuple[Prepared, People], folder: Path, clock: ManualClock, database_url: str | None = None
) -> Iterator[World]:
    """An installation with its people in it."""
    prepared, people = peopled
    with installed(prepared, folder, clock, database_url) as app:
        components = app.extensions["countersign"]
        components.keyring._snapshot = prepared.opened
        if database_url is not None:
            people = _people(app)
        yield World(components=components, clock=clock, http=app.test_client(), **vars(people))


@contextmanager
def installed(
    prepared: Prepared, folder: Path, clock: ManualClock, database_url: str | None = None, **settings: str
) -> Iterator[Flask]:
    """An installation after its first start; its `Components` are the app's extension `countersign`."""
    shutil.copytree(prepared.home, folder / "var")
    shutil.copytree(prepared.keys, folder / "keys")
    app = create_app(settings_for(folder, database_url, **settings), clock)
    yield app
    app.extensions["countersign"].database.dispose()


def _people(app: Flask) -> People:
    components: Components = app.extensions["countersign"]
    by_now: dict[str, Any] = {"by": OPERATOR, "now": components.clock()}
    until = components.clock() + delegations.DEFAULT_LIFE
    with components.database.writing() as session:
        alice = accounts.create_user(session, "alice", "alice@example.com", is_admin=False, **by_now)
        duo = accounts.create_service_account(session, "duo", is_composite=True, **by_now)
        secret_row, secret = credentials.create_client_secret(session, duo, expires_at=None, **by_now)
        project = projects.create_project(session, "acme/webapp", **by_now)
        for named in ("user:alice", "service_account:duo"):
            members.add_member(session, project, named, "developer", **by_now)
        delegation = delegations.grant(
            session, alice, duo, scopes=None, project=None, expires_at=until, **by_now
        )
        return People(
            alice=alice.id,
            duo=duo.id,
            delegation=delegation.id,
            secret=secret,
            secret_id=secret_row.id,
        )

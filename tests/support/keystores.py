"""Keystores of every kind over one database, and the real OpenBao as a tenant of ours sees it."""

import secrets
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hvac
import pytest
import requests
from sqlalchemy import insert, select, update

from app.db import Database
from app.flows.outbound import Outbound
from app.flows.transport import Limits
from app.secret import Secret
from app.signing.algorithms import Algorithm
from app.signing.keystores import Keystore, KeystoreName, NewKey
from app.signing.keystores.database import DatabaseKeystore
from app.signing.keystores.files import FileKeystore
from app.signing.keystores.sealing import KeyEncryptionKey
from app.signing.keystores.transit import TransitKeystore
from app.signing.keystores.transit_login import Login, TokenLogin
from app.signing.keystores.transit_server import TransitServer
from app.signing.models import SigningKey
from tests.support.components import PASSPHRASE, ManualClock
from tests.support.openbao import OpenBao

POLICY = """
path "{mount}/keys/countersign-*" { capabilities = ["create", "read", "update", "delete"] }
path "{mount}/sign/countersign-*" { capabilities = ["update"] }
path "{mount}/wrapping_key"       { capabilities = ["read"] }
"""
"""All that the keystore needs; the runbook shows the same."""


def new_kek() -> Secret:
    return Secret(b64encode(secrets.token_bytes(32)).decode())


@dataclass
class Tenancy:
    """A transit mount of one's own, and a token that the policy above is all of."""

    server: OpenBao
    mount: str
    token: Secret
    policy: str
    root: hvac.Client = field(repr=False)

    def login(self) -> TokenLogin:
        return TokenLogin(lambda: self.token)

    def new_token(self, **options: Any) -> Secret:
        answer = self.root.auth.token.create(policies=[self.policy], **options)
        return Secret(answer["auth"]["client_token"])


def tenancy(server: OpenBao) -> Tenancy:
    root = hvac.Client(server.address, server.root_token)
    mount = f"transit-{secrets.token_hex(4)}"
    root.sys.enable_secrets_engine("transit", path=mount)
    root.sys.create_or_update_policy(mount, POLICY.replace("{mount}", mount))
    made = Tenancy(server, mount, Secret(""), mount, root)
    made.token = made.new_token(period="1h")
    return made


def session_to(limits: Limits) -> Callable[[str], requests.Session]:
    return Outbound(["127.0.0.1"], allow_loopback=True, limits=limits).session


def transit_server(
    tenancy: Tenancy, login: Login | None = None, *, seconds: float = 20, **options: Any
) -> TransitServer:
    """Patient by default: this machine may be busy."""
    connect = session_to(Limits(total=seconds))
    return TransitServer(tenancy.server.address, login or tenancy.login(), connect, **options)


@dataclass(frozen=True)
class Shelf:
    """One kind of keystore. `opened` makes a new object over the same place, as another process would."""

    kind: KeystoreName
    database: Database
    clock: ManualClock
    folder: Path
    kek: Secret
    tenancy: Tenancy | None

    def opened(self) -> Keystore:
        match self.kind:
            case KeystoreName.FILES:
                return FileKeystore(self.folder, Secret(PASSPHRASE), self.database)
            case KeystoreName.DATABASE:
                return DatabaseKeystore(self.database, KeyEncryptionKey(self.kek), self.clock)
            case KeystoreName.TRANSIT:
                assert self.tenancy
                server = transit_server(self.tenancy)
                return TransitKeystore(server, self.database, self.clock, mount=self.tenancy.mount)

    def make(self, alg: Algorithm = Algorithm.ES256) -> NewKey:
        with self.opened().making_keys():
            return self.opened().generate(alg)

    def publish(self, key: NewKey, state: str = "removed", keystore: str | None = None) -> None:
        """Its row, committed; `removed` keys may be many."""
        values = {
            "kid": key.kid,
            "alg": key.alg.value,
            "state": state,
            "public_jwk": key.public_jwk,
            "keystore": keystore or self.kind.value,
            "reference": key.reference,
            "published_at": self.clock(),
        }
        with self.database.writing() as session:
            session.execute(insert(SigningKey).values(values))

    def bury(self) -> None:
        """No key there ever was plays a part any more."""
        with self.database.writing() as session:
            session.execute(update(SigningKey).values(state="removed", destroyed_at=self.clock()))

    def row(self, kid: str) -> SigningKey:
        with self.database.reading() as session:
            return session.scalars(select(SigningKey).where(SigningKey.kid == kid)).one()


@pytest.fixture(scope="module")
def key_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A schema without rows; its tests share it."""
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('keystores') / 'shared.sqlite3'}")
    database.upgrade()
    yield database
    database.dispose()


@pytest.fixture(scope="module")
def transit_tenancy(openbao: OpenBao) -> Tenancy:
    return tenancy(openbao)


@pytest.fixture(scope="module", params=list(KeystoreName))
def shelf(
    request: pytest.FixtureRequest, key_database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Shelf:
    """Each kind in turn."""
    kind = KeystoreName(request.param)
    tenant = request.getfixturevalue("transit_tenancy") if kind is KeystoreName.TRANSIT else None
    folder = tmp_path_factory.mktemp("keys")
    return Shelf(kind, key_database, ManualClock(), folder, new_kek(), tenant)

"""Our Vault client against the real OpenBao: what its jwt method lets in, reads out, and says no to."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import hvac
import jwt
import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from app.flows.outbound import Outbound
from app.flows.vault import SecretRead, SecretUnavailable, Vault, VaultServer, VaultSession
from app.flows.vault_reference import VaultReference
from app.secret import Secret
from tests.support.openbao import OpenBao
from tests.support.postgresql import USER

pytestmark = pytest.mark.slow

AUTH, V2, V1 = "client-test/jwt", "client-test/kv", "client-test/old"
AUDIENCE, SUBJECT = "https://vault.example.com", "project_path:acme/webapp:flow:fix-ci"
VALUE = "correct-horse-battery-staple"
POLICY = f'path "{V2}/*" {{capabilities = ["read"]}}\npath "{V1}/*" {{capabilities = ["read"]}}'
CLAIMS = {"sub": SUBJECT, "aud": AUDIENCE, "act": {"sub": "service_account:7"}, "user_id": "42"}


@dataclass(frozen=True)
class Bao:
    """One OpenBao with a jwt mount that trusts `key`, and two KV mounts."""

    server: OpenBao
    root: hvac.Client
    key: rsa.RSAPrivateKey

    def id_token(self, *, key: rsa.RSAPrivateKey | None = None, **claims: object) -> Secret:
        """The right claims but for `claims`; None leaves one out."""
        now = int(time.time())
        payload = {
            "iss": "https://issuer.example",
            "iat": now,
            "nbf": now,
            "exp": now + 600,
            **CLAIMS,
            **claims,
        }
        kept = {name: value for name, value in payload.items() if value is not None}
        return Secret(jwt.encode(kept, key or self.key, algorithm="RS256"))

    def login(self, id_token: Secret | None = None, role: str | None = "ship", **server: str) -> VaultSession:
        place = VaultServer(self.server.address, **{"auth_path": AUTH, **server}, role=role)
        return Vault(Outbound([], allow_loopback=True)).login(place, id_token or self.id_token())

    def read(self, *reference: str, **login: object) -> SecretRead:
        with self.login(**login) as session:
            found = session.read(VaultReference(*reference))
        assert session.revoked
        return found

    def add_role(self, name: str, **settings: object) -> None:
        bounds = {"/act/sub": "service_account:7", "user_id": "42"}
        self.root.auth.jwt.create_role(
            name,
            path=AUTH,
            role_type="jwt",
            user_claim="sub",
            allowed_redirect_uris=[],
            bound_audiences=[AUDIENCE],
            bound_subject=SUBJECT,
            bound_claims=bounds,
            token_policies=["client-test"],
            token_ttl="5m",
            **settings,
        )

    def accessors(self) -> set[str]:
        return set(self.root.auth.token.list_accessors()["data"]["keys"])

    def knows(self, accessor: str) -> bool:
        try:
            return bool(self.root.auth.token.lookup_accessor(accessor))
        except (hvac.exceptions.InvalidRequest, hvac.exceptions.Forbidden) as refusal:  # OpenBao's, Vault's
            if "invalid accessor" not in str(refusal):
                raise
            return False


@pytest.fixture(scope="module")
def bao(openbao: OpenBao) -> Iterator[Bao]:
    root = hvac.Client(openbao.address, openbao.root_token)
    made = Bao(openbao, root, rsa.generate_private_key(public_exponent=65537, key_size=2048))
    public = made.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    root.sys.enable_auth_method("jwt", path=AUTH)
    root.auth.jwt.configure(jwt_validation_pubkeys=[public], default_role="ship", path=AUTH)
    root.sys.create_or_update_policy("client-test", POLICY)
    made.add_role("ship")
    root.sys.enable_secrets_engine("kv", path=V2, options={"version": "2"})
    root.sys.enable_secrets_engine("kv", path=V1, options={"version": "1"})
    yield made
    root.sys.disable_auth_method(AUTH)
    for mount in (V2, V1):
        root.sys.disable_secrets_engine(mount)
    root.adapter.close()


def put(bao: Bao, path: str, **fields: object) -> None:
    for attempt in range(600):
        try:
            bao.root.secrets.kv.v2.create_or_update_secret(path, fields, mount_point=V2)
        except hvac.exceptions.InvalidRequest:  # a new KV v2 mount is being upgraded for a moment
            assert attempt < 599
            time.sleep(0.05)
        else:
            return


def test_an_id_token_opens_a_secret_of_each_engine(bao):
    put(bao, "ship/db", password="the first")
    put(bao, "ship/db", password=VALUE, port=5432, tls=True)
    bao.root.secrets.kv.v1.create_or_update_secret("ship/db", {"password": "old-" + VALUE}, mount_point=V1)
    assert bao.read("kv-v2", V2, "ship/db", "password") == SecretRead(Secret(VALUE), 2)
    assert bao.read("kv-v2", V2, "ship/db", "port") == SecretRead(Secret("5432"), 2)
    assert bao.read("kv-v2", V2, "ship/db", "tls") == SecretRead(Secret("true"), 2)
    assert bao.read("kv-v1", V1, "ship/db", "password") == SecretRead(Secret("old-" + VALUE), None)
    assert bao.read("generic", V1, "ship/db", "password") == SecretRead(Secret("old-" + VALUE), None)


def test_a_role_may_be_the_default_of_the_mount(bao):
    put(bao, "ship/default", password=VALUE)
    assert bao.read("kv-v2", V2, "ship/default", "password", role=None).value == Secret(VALUE)


@pytest.mark.parametrize("path", ["a b/c", "\N{LATIN SMALL LETTER U WITH DIAERESIS}/+&=;,:@!*'()", "a.b/..c"])
def test_a_path_of_odd_characters_is_that_path(bao, path):
    put(bao, path, **{"the field": VALUE})
    assert bao.read("kv-v2", V2, path, "the field").value == Secret(VALUE)


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"aud": "https://other.example.com"}, "invalid audience (aud) claim"),
        ({"aud": None}, "audience claim"),
        ({"sub": "project_path:acme/other:flow:fix-ci"}, "invalid subject (sub) claim"),
        ({"act": {"sub": "service_account:8"}}, 'claim "/act/sub" does not match'),
        ({"act": None}, 'claim "/act/sub" is missing'),
        ({"user_id": "43"}, 'claim "user_id" does not match'),
        ({"user_id": 42}, 'claim "user_id" does not match'),
        ({"exp": 1_700_000_000, "iat": 1_699_999_000, "nbf": 1_699_999_000}, "token is expired"),
    ],
)
def test_another_identity_is_refused_in_openbaos_own_words(bao, claims, words):
    before = bao.accessors()
    with pytest.raises(SecretUnavailable) as refusal:
        bao.login(bao.id_token(**claims))
    assert str(refusal.value).startswith(
        f"cannot log in to Vault at {bao.server.address}: it answers 400: error validating"
    )
    assert words in str(refusal.value)
    assert bao.accessors() == before


def test_a_token_that_is_not_the_issuers_is_refused(bao):
    foreign = bao.id_token(key=rsa.generate_private_key(public_exponent=65537, key_size=2048))
    head, payload, signature = bao.id_token().reveal().split(".")
    for token in (foreign, Secret(f"{head}.{payload[:-2]}.{signature}"), Secret("not a token")):
        with pytest.raises(SecretUnavailable, match="it answers 400") as refusal:
            bao.login(token)
        assert token.reveal() not in str(refusal.value)


@pytest.mark.parametrize(
    ("login", "words"),
    [
        ({"role": "nobody"}, 'it answers 400: role "nobody" could not be found'),
        ({"auth_path": "client-test/nowhere"}, "it answers 403: permission denied"),
        ({"namespace": "nowhere"}, "it answers 404: namespace not found"),
    ],
)
def test_a_login_at_the_wrong_place(bao, login, words):
    with pytest.raises(SecretUnavailable) as refusal:
        bao.login(**login)
    assert str(refusal.value).endswith(words)


def test_what_cannot_be_read_says_why(bao):
    put(bao, "ship/gone", password=VALUE)
    put(bao, "ship/burnt", password=VALUE)
    put(bao, "ship/nested", password={"a": VALUE})
    bao.root.secrets.kv.v2.delete_latest_version_of_secret("ship/gone", mount_point=V2)
    bao.root.secrets.kv.v2.destroy_secret_versions("ship/burnt", [1], mount_point=V2)
    with bao.login() as session:
        for reference, words in (
            (("kv-v2", V2, "ship/gone", "password"), "the latest version of the secret was deleted"),
            (("kv-v2", V2, "ship/burnt", "password"), "the latest version of the secret was destroyed"),
            (("kv-v2", V2, "ship/nested", "password"), "the field is an object, a list or null"),
            (("kv-v2", V2, "ship/nested", "user"), "the secret has no such field"),
            (("kv-v2", V2, "ship/never", "password"), "it answers 404: there is no such secret"),
            (("kv-v1", V2, "ship/nested", "password"), "it answers 404: Invalid path for a versioned K/V"),
            (
                ("kv-v2", V1, "ship/db", "password"),
                "it answers 404: there is no such secret, or its engine is not kv-v2",
            ),
            (("kv-v2", "client-test/nowhere", "ship/db", "password"), "permission denied"),
        ):
            with pytest.raises(SecretUnavailable) as refusal:
                session.read(VaultReference(*reference))
            assert words in str(refusal.value)
            assert VALUE not in str(refusal.value)


@pytest.mark.parametrize("fails", [False, True])
def test_the_token_is_dead_when_the_session_ends(bao, fails):
    before = bao.accessors()
    session = bao.login()
    [accessor] = bao.accessors() - before
    assert bao.knows(accessor)
    try:
        with session:
            if fails:
                session.read(VaultReference("kv-v2", V2, "ship/never", "password"))
    except SecretUnavailable:
        assert fails
    assert session.revoked
    assert not bao.knows(accessor)
    with pytest.raises(SecretUnavailable, match="it answers 403"):
        session.read(VaultReference("kv-v2", V2, "ship/db", "password"))


def test_a_token_that_cannot_be_revoked_is_no_quiet_matter(bao):
    bao.add_role("batch", token_type="batch")
    with (
        pytest.raises(SecretUnavailable, match="batch tokens cannot be revoked; it lives until"),
        bao.login(role="batch"),
    ):
        pass
    bao.add_role("no-default", token_no_default_policy=True)
    with (
        pytest.raises(SecretUnavailable, match=r"cannot revoke .* permission denied"),
        bao.login(role="no-default"),
    ):
        pass


# Credentials that OpenBao makes for one run


DATABASE = "client-test/database"
MAKE = """CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'"""


@pytest.fixture
def database(bao: Bao, postgresql_url: str) -> Iterator[dict[str, str]]:
    """What psycopg needs beside a role; OpenBao makes roles in it."""
    parts = urlsplit(postgresql_url)
    where = {"host": parse_qs(parts.query)["host"][0], "dbname": parts.path.strip("/")}
    bao.root.sys.enable_secrets_engine("database", path=DATABASE)
    bao.root.write_data(
        f"{DATABASE}/config/here",
        data={
            "plugin_name": "postgresql-database-plugin",
            "connection_url": f"postgresql://{USER}@/{where['dbname']}?host={where['host']}",
            "allowed_roles": "ship",
        },
    )
    role = {"db_name": "here", "creation_statements": MAKE, "default_ttl": "5m"}
    bao.root.write_data(f"{DATABASE}/roles/ship", data=role)
    bao.root.sys.create_or_update_policy(
        "client-test", f'{POLICY}\npath "{DATABASE}/creds/ship" {{ capabilities = ["read"] }}'
    )
    yield where
    bao.root.sys.disable_secrets_engine(DATABASE)


def credentials(session: VaultSession) -> dict[str, str]:
    fields = {"user": "username", "password": "password"}
    return {
        name: session.read(VaultReference("generic", DATABASE, "creds/ship", field)).value.reveal()
        for name, field in fields.items()
    }


def test_a_name_and_its_password_belong_together_and_end_with_the_session(bao, database):
    with bao.login() as session:
        made = credentials(session)
        with psycopg.connect(**database, **made) as connection:
            assert connection.execute("SELECT current_user").fetchone() == (made["user"],)
    assert session.revoked
    deadline = time.monotonic() + 90
    while role_exists(database, made["user"]):  # OpenBao ends a token's leases in the background
        assert time.monotonic() < deadline
        time.sleep(0.05)


def role_exists(database: dict[str, str], name: str) -> bool:
    with psycopg.connect(**database, user=USER) as connection:
        return bool(connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone())


def test_each_session_has_its_own(bao, database):
    with bao.login() as one, bao.login() as other:
        assert credentials(one)["user"] != credentials(other)["user"]
        assert credentials(one) == credentials(one)


def test_what_the_policy_does_not_grant_is_refused(bao, database):
    with bao.login() as session, pytest.raises(Exception, match="permission denied"):
        session.read(VaultReference("generic", DATABASE, "creds/root", "password"))

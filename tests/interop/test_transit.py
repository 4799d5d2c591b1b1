"""The ``transit`` keystore on the real OpenBao: what leaves it, who gets in, and what its failures do."""

import secrets
import signal
import time

import hvac
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jwt
from joserfc.jwk import ECKey

from app.secret import Secret
from app.signing.algorithms import Algorithm, generate, verifier
from app.signing.keystores import KeystoreError
from app.signing.keystores.transit import TransitKeystore
from app.signing.keystores.transit_login import AppRoleLogin, JwtLogin, TokenLogin
from tests.support.components import ManualClock
from tests.support.keystores import Tenancy, tenancy, transit_server
from tests.support.openbao import openbao_server

CONTENT = b"header.payload"


@pytest.fixture
def transit(transit_tenancy) -> Tenancy:
    return transit_tenancy


def keystore(tenancy, database, login=None, **options) -> TransitKeystore:
    server = transit_server(tenancy, login, **options)
    return TransitKeystore(server, database, ManualClock(), mount=tenancy.mount)


def signs(store, key) -> bool:
    signature = store.signing_key(key.kid, key.alg, key.reference).sign(CONTENT)
    return verifier(key.public_jwk)(signature, CONTENT)


class TestThePrivateHalf:
    @pytest.mark.parametrize("made", ["there", "elsewhere"])
    def test_never_leaves_even_for_root(self, transit, key_database, made):
        store = keystore(transit, key_database)
        key = (
            store.generate(Algorithm.RS256)
            if made == "there"
            else store.adopt(generate(Algorithm.RS256), Algorithm.RS256)
        )
        engine = transit.root.secrets.transit
        with pytest.raises(hvac.exceptions.InvalidRequest, match="not exportable"):
            engine.export_key(key.reference, "signing-key", mount_point=transit.mount)
        with pytest.raises(hvac.exceptions.VaultError, match="disallowed"):
            engine.backup_key(key.reference, mount_point=transit.mount)
        assert engine.read_key(key.reference, mount_point=transit.mount)["data"]["deletion_allowed"] is False

    def test_is_gone_once_it_is_destroyed(self, transit, key_database):
        store = keystore(transit, key_database)
        key = store.generate(Algorithm.ES256)
        store.destroy(key.kid, key.reference)
        with pytest.raises(hvac.exceptions.InvalidPath):
            transit.root.secrets.transit.read_key(key.reference, mount_point=transit.mount)


def test_rotating_it_in_the_vault_changes_no_signature_of_ours(transit, key_database):
    store = keystore(transit, key_database)
    key = store.generate(Algorithm.RS256)
    transit.root.secrets.transit.rotate_key(key.reference, mount_point=transit.mount)
    assert signs(store, key)


def test_a_mount_that_is_not_there_is_told(transit, key_database):
    store = TransitKeystore(transit_server(transit), key_database, ManualClock(), mount="elsewhere")
    with pytest.raises(KeystoreError, match="permission denied"):
        store.generate(Algorithm.ES256)


class TestLoggingIn:
    def test_by_a_token_that_its_file_replaces(self, transit, key_database):
        """Vault Agent writes a new one when the old one has reached its end."""
        held = {"token": transit.new_token(ttl="1h")}
        store = keystore(transit, key_database, TokenLogin(lambda: held["token"]))
        key = store.generate(Algorithm.ES256)
        transit.root.auth.token.revoke(held["token"].reveal())
        with pytest.raises(KeystoreError, match=r"cannot log in .* it answers 403") as refused:
            signs(store, key)
        assert held["token"].reveal() not in str(refused.value)
        held["token"] = transit.new_token(ttl="1h")
        assert signs(store, key)

    def test_a_token_is_renewed_when_half_of_its_life_is_over(self, transit, key_database):
        now = {"is": 0.0}
        token = transit.new_token(ttl="60s", explicit_max_ttl="3h")
        store = keystore(transit, key_database, TokenLogin(lambda: token), monotonic=lambda: now["is"])
        key = store.generate(Algorithm.ES256)
        first = self.last_renewal(transit, token)
        while int(time.time()) <= first:  # OpenBao notes it in whole seconds
            time.sleep(0.05)
        now["is"] = 31.0
        assert signs(store, key)
        assert self.last_renewal(transit, token) > first

    @pytest.mark.parametrize("options", [{"renewable": False}, {"type": "batch"}])
    def test_a_token_that_cannot_be_renewed_serves(self, transit, key_database, options):
        token = transit.new_token(ttl="1h", **options)
        store = keystore(transit, key_database, TokenLogin(lambda: token))
        assert signs(store, store.generate(Algorithm.ES256))

    def test_by_approle(self, transit, key_database):
        mount = f"approle-{secrets.token_hex(4)}"
        transit.root.sys.enable_auth_method("approle", path=mount)
        role = transit.root.auth.approle
        role.create_or_update_approle(
            "countersign", token_policies=[transit.policy], token_ttl="10m", mount_point=mount
        )
        role_id = role.read_role_id("countersign", mount_point=mount)["data"]["role_id"]
        secret_id = Secret(role.generate_secret_id("countersign", mount_point=mount)["data"]["secret_id"])
        store = keystore(transit, key_database, AppRoleLogin(role_id, lambda: secret_id, mount))
        assert signs(store, store.generate(Algorithm.ES256))
        wrong = keystore(transit, key_database, AppRoleLogin(role_id, lambda: Secret("wrong"), mount))
        with pytest.raises(KeystoreError, match="cannot log in"):
            wrong.generate(Algorithm.ES256)

    def test_by_a_jwt_as_kubernetes_gives_it(self, transit, key_database):
        mount, key = f"jwt-{secrets.token_hex(4)}", ec.generate_private_key(ec.SECP256R1())
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        transit.root.sys.enable_auth_method("jwt", path=mount)
        transit.root.auth.jwt.configure(jwt_validation_pubkeys=[public], path=mount)
        transit.root.auth.jwt.create_role(
            "countersign",
            path=mount,
            role_type="jwt",
            user_claim="sub",
            allowed_redirect_uris=[],
            bound_audiences=["vault"],
            token_policies=[transit.policy],
        )
        now = int(time.time())
        claims = {
            "sub": "system:serviceaccount:idp",
            "aud": "vault",
            "iat": now,
            "nbf": now,
            "exp": now + 600,
        }
        token = Secret(jwt.encode({"alg": "ES256"}, claims, ECKey.import_key(key)))
        store = keystore(transit, key_database, JwtLogin("countersign", lambda: token, mount))
        assert signs(store, store.generate(Algorithm.ES256))

    @staticmethod
    def last_renewal(transit, token) -> int:
        return transit.root.auth.token.lookup(token.reveal())["data"]["last_renewal_time"]


class TestADayWhenItFails:
    """On a server of its own, which is stopped, sealed and killed."""

    @pytest.fixture
    def own(self, tmp_path):
        with openbao_server(tmp_path) as server:
            yield tenancy(server)

    def test_it_hangs_and_comes_back(self, own, key_database):
        now = {"is": 0.0}
        store = keystore(own, key_database, seconds=3.0, monotonic=lambda: now["is"])
        key = store.generate(Algorithm.ES256)
        own.server.process.send_signal(signal.SIGSTOP)
        try:
            began = time.monotonic()
            with pytest.raises(KeystoreError, match="no whole answer within"):
                signs(store, key)
            with pytest.raises(KeystoreError, match="a moment ago"):
                signs(store, key)
            assert time.monotonic() - began < 30
        finally:
            own.server.process.send_signal(signal.SIGCONT)
        now["is"] = 3.0
        assert signs(keystore(own, key_database), key)
        assert signs(store, key)

    def test_it_is_sealed(self, own, key_database):
        store = keystore(own, key_database)
        key = store.generate(Algorithm.ES256)
        own.root.sys.seal()
        with pytest.raises(KeystoreError, match="503"):
            signs(store, key)

    def test_it_dies(self, own, key_database):
        store = keystore(own, key_database)
        key = store.generate(Algorithm.ES256)
        own.server.process.kill()
        own.server.process.wait()
        with pytest.raises(KeystoreError, match="the connection was refused"):
            signs(store, key)
        with pytest.raises(KeystoreError):
            store.destroy(key.kid, key.reference)
        with pytest.raises(KeystoreError):
            store.generate(Algorithm.ES256)

"""The life of keys where a keystore is away, is the wrong one, or fails after the commit."""

from base64 import b64encode
from contextlib import contextmanager

import pytest
from sqlalchemy.exc import OperationalError

from app.errors import Conflict
from app.signing.algorithms import Algorithm, generate
from app.signing.keystores import KeystoreError
from app.signing.keystores.checking import faults
from app.wiring import Components
from tests.support.components import OPERATOR, settings_for
from tests.unit.signing.keysets import assert_private_halves, assert_whole, key, states, told

RS256 = Algorithm.RS256
KEK = b64encode(bytes(32)).decode()


@contextmanager
def opened(components, folder, **settings):
    """Another process of the same installation, with other settings."""
    other = Components(settings_for(folder, **settings), components.clock)
    yield other
    other.database.dispose()


def without_vault(components, folder):
    away = {"TRANSIT_URL": "http://127.0.0.1:9", "TRANSIT_TOKEN": "hvs.nobody"}
    return opened(components, folder, KEYSTORE="transit", **away)


class TestAKeystoreThatMakesNoKeys:
    """A leaked key leaves the JWKS all the same."""

    @pytest.mark.parametrize("state", ["active", "next"])
    def test_holds_up_no_revocation(self, components, tmp_path, state, caplog):
        following = key(components, "next").kid
        with without_vault(components, tmp_path) as other:
            other.lifecycle.revoke(key(components, state).kid, "leaked", OPERATOR)
        components.keyring.refresh()
        assert sorted(states(components)) == ["active", "revoked"]
        if state == "active":
            assert components.keyring.current().active.kid == following
        assert "RS256 has no next key until the keystore can make one" in caplog.text

    @pytest.mark.parametrize("settle", ["start", "worker", "rotate"])
    def test_is_made_up_for_as_soon_as_it_can_be(self, components, tmp_path, settle):
        with without_vault(components, tmp_path) as other:
            other.lifecycle.revoke(key(components, "active").kid, "leaked", OPERATOR)
            other.lifecycle.ensure_keys(OPERATOR)
            with pytest.raises(KeystoreError):
                other.lifecycle.rotate(RS256, OPERATOR)
        match settle:
            case "start":
                components.lifecycle.ensure_keys(OPERATOR)
            case "worker":
                components.upkeep.keep()
            case "rotate":
                components.lifecycle.rotate(RS256, OPERATOR, override="a drill")
        components.keyring.refresh()
        assert_whole(components, tmp_path / "keys")

    def test_leaves_the_last_key_to_another_keystore(self, components, tmp_path):
        """As the runbook says: `COUNTERSIGN_KEYSTORE=files countersign keys revoke KID`."""
        with without_vault(components, tmp_path) as other:
            other.lifecycle.revoke(key(components, "active").kid, "leaked", OPERATOR)
            last = key(components, "active").kid
            with pytest.raises(Conflict, match="COUNTERSIGN_KEYSTORE=files before this command"):
                other.lifecycle.revoke(last, "leaked as well", OPERATOR)
        components.lifecycle.revoke(last, "leaked as well", OPERATOR)
        assert_whole(components, tmp_path / "keys")


class TestAnotherDirectory:
    """`COUNTERSIGN_KEYS_DIR` is relative, and this is another working directory; or another machine."""

    def test_gets_no_key(self, components, tmp_path):
        with opened(components, tmp_path, KEYS_DIR=str(tmp_path / "other")) as other:
            for act in (
                lambda: other.lifecycle.import_key(generate(RS256), RS256, OPERATOR),
                lambda: other.lifecycle.rotate(RS256, OPERATOR),
            ):
                with pytest.raises(KeystoreError, match="other"):
                    act()
        assert list((tmp_path / "other").glob("*")) == []
        assert_whole(components, tmp_path / "keys")

    def test_is_not_where_a_revoked_key_was_destroyed(self, components, tmp_path):
        leaked = key(components, "active").kid
        with opened(components, tmp_path, KEYS_DIR=str(tmp_path / "other")) as other:
            other.lifecycle.revoke(leaked, "leaked", OPERATOR)
        assert told(components, "destroy") == []
        components.upkeep.keep()
        components.keyring.refresh()
        assert [row.kid for row in told(components, "destroy")] == [leaked]
        assert_whole(components, tmp_path / "keys")

    def test_loses_its_copy_of_a_key_that_was_destroyed_elsewhere(self, components, tmp_path):
        old = tmp_path / "keys" / f"{key(components, 'active').kid}.pem"
        copy = old.read_bytes()
        components.lifecycle.rotate(RS256, OPERATOR)
        old.write_bytes(copy)
        components.lifecycle.ensure_keys(OPERATOR)
        assert_private_halves(components, tmp_path / "keys")

    def test_that_is_a_file_is_told(self, components, tmp_path):
        (tmp_path / "other").write_text("")
        with (
            opened(components, tmp_path, KEYS_DIR=str(tmp_path / "other")) as other,
            pytest.raises(KeystoreError, match="set COUNTERSIGN_KEYS_DIR"),
        ):
            other.lifecycle.import_key(generate(RS256), RS256, OPERATOR)

    def test_takes_new_keys_once_the_old_ones_are_known_to_be_lost(self, components, tmp_path):
        """As the runbook of the lost passphrase says."""
        following = key(components, "next").kid
        with opened(components, tmp_path, KEYS_DIR=str(tmp_path / "other")) as other:
            (tmp_path / "other").mkdir()
            (tmp_path / "other" / f"{following}.pem").touch()
            other.lifecycle.revoke(following, "lost", OPERATOR)
            other.lifecycle.rotate(RS256, OPERATOR, override="lost")
            assert_whole(other, tmp_path / "other")


def test_a_key_that_two_import_at_once_is_imported_once(components, tmp_path, monkeypatch):
    """Both have found it unknown before either has committed."""
    imported = generate(RS256)
    sealed = {"KEYSTORE": "database", "KEY_ENCRYPTION_KEY": KEK}
    with opened(components, tmp_path, **sealed) as one, opened(components, tmp_path, **sealed) as other:
        store = other.keystores.current
        adopt = store.adopt

        def overtaken(private, alg):
            one.lifecycle.import_key(imported, RS256, OPERATOR)
            return adopt(private, alg)

        monkeypatch.setattr(store, "adopt", overtaken)
        with pytest.raises(Conflict, match="a kid is never used again"):
            other.lifecycle.import_key(imported, RS256, OPERATOR)
        one.clock.advance(minutes=11)
        one.lifecycle.ensure_keys(OPERATOR)
        assert list(faults([key(one, "next")], one.keystores)) == []


@pytest.mark.parametrize("fault", [OperationalError("", {}, Exception("locked")), OSError(5, "I/O error")])
@pytest.mark.parametrize("step", ["destroy", "confirm"])
def test_what_fails_after_the_commit_is_no_failure_of_the_act(components, tmp_path, monkeypatch, fault, step):
    """A key that signs is confirmed again whenever it is read."""
    store, following = components.keystores.current, key(components, "next").kid

    def failing(kid, *_):
        if kid != following:
            raise fault

    with monkeypatch.context() as broken:
        broken.setattr(store, step, failing)
        signs = components.lifecycle.rotate(RS256, OPERATOR)
    assert components.keyring.current().active.kid == signs
    components.lifecycle.ensure_keys(OPERATOR)
    assert_whole(components, tmp_path / "keys")

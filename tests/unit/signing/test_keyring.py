"""Signing keys: made once whoever starts first, kept encrypted, told of, and never shown."""

import json
import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from sqlalchemy import insert, select, text
from sqlalchemy.exc import IntegrityError, OperationalError

from app.doctor import all_checks
from app.ledger.key import FILE_NAME as LEDGER_KEY
from app.ledger.models import AuditRow
from app.signing.keyring import Keyring
from app.signing.keystores import KeystoreError
from app.signing.models import SigningKey
from app.wiring import Components
from tests.support.components import (
    NOW,
    OPERATOR,
    PASSPHRASE,
    ManualClock,
    on_every_database,
    settings_for,
)
from tests.support.together import together


def rows(components: Components) -> list[SigningKey]:
    return list(components.keyring.history())


def files(folder: Path) -> list[Path]:
    return signing_keys(folder / "keys")


def signing_keys(keys: Path) -> list[Path]:
    """Every file but the ledger's own key, which lies beside them."""
    return sorted(file for file in keys.iterdir() if file.name != LEDGER_KEY)


@on_every_database
def test_a_first_start_makes_one_active_and_one_next_key_both_published(components, tmp_path):
    by_state = {row.state: row for row in rows(components)}
    assert len(rows(components)) == 2
    assert by_state.keys() == {"active", "next"}
    assert by_state["active"].activated_at == by_state["active"].published_at == NOW
    assert by_state["next"].activated_at is None
    current = components.keyring.current()
    assert current.active.kid == by_state["active"].kid
    assert {key["kid"] for key in current.public_jwks} == {row.kid for row in rows(components)}
    assert [file.name for file in files(tmp_path)] == sorted(f"{row.kid}.pem" for row in rows(components))


@on_every_database
def test_a_later_start_changes_nothing(components, tmp_path):
    before = [(row.kid, row.state) for row in rows(components)], files(tmp_path)
    components.prepare(OPERATOR)
    assert ([(row.kid, row.state) for row in rows(components)], files(tmp_path)) == before


def test_the_ledger_tells_who_made_them(prepared, components):
    with components.database.reading() as session:
        made = session.scalars(select(AuditRow).where(AuditRow.action == "keys:signing_key:create")).all()
    assert {(row.kid, row.detail["state"]) for row in made} == {
        (row.kid, row.state) for row in rows(components)
    }
    assert {row.actor for row in made} == {"operator:tester"}


@on_every_database
@pytest.mark.parametrize("state", ["active", "next"])
def test_the_database_holds_no_second_one_of_either(components, state):
    values = {"kid": "k", "alg": "RS256", "state": state, "public_jwk": {}, "published_at": NOW}
    with pytest.raises(IntegrityError), components.database.writing_connection() as connection:
        connection.execute(insert(SigningKey).values(**values))


def test_a_file_is_its_owners_alone_and_encrypted(prepared):
    for file in prepared.keys.iterdir():
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.read_text().startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    for file in signing_keys(prepared.keys):
        assert load_pem_private_key(file.read_bytes(), PASSPHRASE.encode()).key_size == 2048
    assert prepared.keys.stat().st_mode & 0o777 == 0o700


def started(folder: Path, **settings: str) -> Keyring:
    return Components(settings_for(folder, **settings), ManualClock()).keyring


def test_a_wrong_passphrase_is_named_and_not_repeated(components, tmp_path):
    wrong = "another passphrase altogether"
    with pytest.raises(KeystoreError, match="COUNTERSIGN_KEYS_PASSPHRASE is not the one") as refused:
        started(tmp_path, KEYS_PASSPHRASE=wrong).current()
    assert wrong not in str(refused.value)
    assert PASSPHRASE not in str(refused.value)


def test_a_missing_file_is_named_with_its_remedy(components, tmp_path):
    kid = components.keyring.current().active.kid
    (tmp_path / "keys" / f"{kid}.pem").unlink()
    with pytest.raises(KeystoreError, match="restore it from a backup") as refused:
        started(tmp_path).current()
    assert kid in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"garbage", b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAA==\n"])
def test_a_damaged_file_is_a_fault_that_is_worded(components, tmp_path, content):
    kid = components.keyring.current().active.kid
    (tmp_path / "keys" / f"{kid}.pem").write_bytes(content)
    with pytest.raises(KeystoreError, match="cannot be opened"):
        started(tmp_path).current()


def test_an_unencrypted_file_is_refused(components, tmp_path):
    """Somebody put it there: what is not under the passphrase is not trusted."""
    kid = components.keyring.current().active.kid
    file = tmp_path / "keys" / f"{kid}.pem"
    key = load_pem_private_key(file.read_bytes(), PASSPHRASE.encode())
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(KeystoreError):
        started(tmp_path).current()


def test_a_file_of_another_key_is_refused(components, tmp_path):
    """Else tokens would be signed under a kid whose public half does not fit."""
    one, other = files(tmp_path)
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)
    with pytest.raises(KeystoreError):
        started(tmp_path).current()


def test_without_any_key_the_remedy_is_told(tmp_path):
    components = Components(settings_for(tmp_path), ManualClock())
    (tmp_path / "var").mkdir()
    components.database.upgrade()
    with pytest.raises(KeystoreError, match="countersign init"):
        components.keyring.current()
    components.database.dispose()


def test_a_key_that_is_not_saved_is_not_published(components, tmp_path):
    """The keys directory is a file: nothing can be written there, so nothing may be promised."""
    folder = tmp_path / "fresh"
    (folder / "var").mkdir(parents=True)
    (folder / "keys").write_text("")
    fresh = Components(settings_for(folder), ManualClock())
    fresh.database.upgrade()
    with pytest.raises(KeystoreError, match="File exists: set COUNTERSIGN_KEYS_DIR"):
        fresh.lifecycle.ensure_keys(OPERATOR)
    assert rows(fresh) == []
    fresh.database.dispose()


def test_a_start_that_fails_leaves_no_private_key_behind(tmp_path):
    (tmp_path / "var").mkdir()
    fresh = Components(settings_for(tmp_path), ManualClock())
    fresh.database.upgrade()
    with fresh.database.writing_connection() as connection:
        connection.execute(text("DROP TABLE audit_events"))
    with pytest.raises(OperationalError):
        fresh.lifecycle.ensure_keys(OPERATOR)
    assert list((tmp_path / "keys").iterdir()) == []
    fresh.database.dispose()


def test_a_private_key_that_no_row_knows_is_named(components, tmp_path):
    def fault():
        checks = all_checks(
            components.database,
            components.keyring,
            components.keystores,
            tmp_path / "keys",
            lambda: None,
            NOW,
            secret_files=(),
            open_ledger_key=lambda: components.ledger_key.public,
        )
        return {check.name: check.fault for check in checks}["unknown keys"]

    assert fault() is None
    (tmp_path / "keys" / "orphan.pem").touch()
    assert "orphan.pem" in fault()


def test_what_a_start_leaves_that_was_killed_before_its_commit_is_thrown_away(components, tmp_path):
    before = files(tmp_path)
    (tmp_path / "keys" / "half-made.pem.new").touch()
    components.lifecycle.ensure_keys(OPERATOR)
    assert files(tmp_path) == before


def test_a_start_that_was_killed_right_after_its_commit_has_lost_no_key(components, tmp_path):
    before = files(tmp_path)
    for file in before:
        file.rename(f"{file}.new")
    assert started(tmp_path).current().active.kid == components.keyring.current().active.kid
    components.lifecycle.ensure_keys(OPERATOR)
    assert files(tmp_path) == before


def test_the_jwks_has_one_order(components):
    """Both keys of a first start were published in the same instant."""
    kids = [key["kid"] for key in components.keyring.current().public_jwks]
    assert kids == sorted(kids)


def test_a_file_that_may_not_be_read_is_a_fault_that_is_worded(components, tmp_path):
    kid = components.keyring.current().active.kid
    file = tmp_path / "keys" / f"{kid}.pem"
    file.unlink()
    file.mkdir()
    with pytest.raises(KeystoreError, match="cannot be read"):
        started(tmp_path).current()


class TestThePrivateHalf:
    def test_is_not_in_the_database(self, components, tmp_path, prepared):
        components.database.dispose()
        stored = b"".join(file.read_bytes() for file in (tmp_path / "var").glob("countersign.sqlite3*"))
        assert b"RS256" in stored
        for key in self.private_numbers(prepared):
            assert not [each for each in key if each in stored]

    def test_is_not_in_what_is_shown_of_the_objects(self, components, prepared):
        keyring = components.keyring
        current = keyring.current()
        shown = "".join(
            repr(each) + str(vars(each))
            for each in (components, keyring, current, components.keystores.current, current.active)
        )
        assert PASSPHRASE not in str(vars(keyring)) + repr(components.keystores.current)
        assert not [each for key in self.private_numbers(prepared) for each in key if each in shown.encode()]

    def test_is_not_logged_when_it_is_made(self, tmp_path, caplog):
        caplog.set_level(0)
        fresh = Components(settings_for(tmp_path), ManualClock())
        fresh.prepare(OPERATOR)
        fresh.keyring.current()
        fresh.database.dispose()
        assert "PRIVATE KEY" not in caplog.text
        assert PASSPHRASE not in caplog.text

    @staticmethod
    def private_numbers(prepared):
        """Each key's d, p and q, as they would be written in a JWK, in decimal, in hex and in bytes."""
        for file in signing_keys(prepared.keys):
            numbers = load_pem_private_key(file.read_bytes(), PASSPHRASE.encode()).private_numbers()
            for number in (numbers.d, numbers.p, numbers.q):
                raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
                yield str(number).encode()[:60], raw.hex().encode()[:60], raw[:40]


def start(folder: str, url: str | None) -> None:
    Components(settings_for(Path(folder), url)).prepare(OPERATOR)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_eight_processes_that_start_together_make_one_pair(tmp_path, kind, request):
    url = request.getfixturevalue("postgresql_url") if kind == "postgresql" else None
    (tmp_path / "var").mkdir()
    assert together(8, start, str(tmp_path), url) == [0] * 8
    components = Components(settings_for(tmp_path, url))
    assert sorted(row.state for row in rows(components)) == ["active", "next"]
    assert [file.name for file in files(tmp_path)] == sorted(f"{row.kid}.pem" for row in rows(components))
    assert components.keyring.current()
    components.database.dispose()


def test_a_kid_looks_like_no_client_id(components):
    for row in rows(components):
        assert re.fullmatch(r"[A-Za-z0-9_-]{43}", row.kid)


def test_a_published_key_is_json_that_any_node_reads(components):
    for row in rows(components):
        assert json.loads(json.dumps(row.public_jwk)) == row.public_jwk

"""The ``database`` keystore: what lies there is sealed, and the key that seals it can be replaced."""

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sqlalchemy import select, update

from app.ledger.models import AuditRow
from app.signing.algorithms import Algorithm, generate
from app.signing.keystores import KeystoreError, KeystoreName
from app.signing.keystores.database import DatabaseKeystore
from app.signing.keystores.models import SealedKey
from app.signing.keystores.sealing import KeyEncryptionKey
from tests.support.components import OPERATOR, ManualClock, on_every_database
from tests.support.keystores import new_kek

ONE, OTHER = KeyEncryptionKey(new_kek()), KeyEncryptionKey(new_kek())
ALG = Algorithm.ES256


@pytest.fixture
def database(empty_database):
    empty_database.upgrade()
    return empty_database


def keystore(database, key=ONE, old=None) -> DatabaseKeystore:
    return DatabaseKeystore(database, key, ManualClock(), old=old)


def sealed(database) -> dict[str, SealedKey]:
    with database.reading() as session:
        return {row.kid: row for row in session.scalars(select(SealedKey))}


def change(database, kid, **values) -> None:
    with database.writing() as session:
        session.execute(update(SealedKey).where(SealedKey.kid == kid).values(values))


def is_readable(store, *kids) -> bool:
    for kid in kids:
        store.private_key(kid, ALG)
    return True


def test_the_private_half_lies_there_sealed(database):
    private = generate(ALG)
    keystore(database).adopt(private, ALG)
    plain = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    number = private.private_numbers().private_value.to_bytes(32)
    stored = b"".join(row.ciphertext + row.nonce for row in sealed(database).values())
    assert plain not in stored
    assert number not in stored
    assert len(stored) == len(plain) + 16 + 12


def test_no_two_seals_share_a_nonce(database):
    private, store = generate(ALG), keystore(database)
    nonces = set()
    for _ in range(3):
        kid = store.adopt(private, ALG).kid
        nonces.add(sealed(database)[kid].nonce)
    assert len(nonces) == 3


class TestWhatWasAltered:
    def test_is_refused_where_it_was_moved_to_another_row(self, database):
        one, other = (keystore(database).generate(ALG).kid for _ in range(2))
        row = sealed(database)[one]
        change(database, other, nonce=row.nonce, ciphertext=row.ciphertext)
        with pytest.raises(KeystoreError, match="altered"):
            keystore(database).private_key(other, ALG)

    def test_is_refused_where_it_would_sign_by_another_algorithm(self, database):
        key = keystore(database).generate(Algorithm.RS256)
        change(database, key.kid, alg="PS256")
        with pytest.raises(KeystoreError, match="altered"):
            keystore(database).private_key(key.kid, Algorithm.PS256)

    @pytest.mark.parametrize("at", [0, -1])
    def test_is_refused_whichever_bit_it_is(self, database, at):
        kid = keystore(database).generate(ALG).kid
        content = bytearray(sealed(database)[kid].ciphertext)
        content[at] ^= 1
        change(database, kid, ciphertext=bytes(content))
        with pytest.raises(KeystoreError, match="altered"):
            keystore(database).signing_key(kid, ALG)


def test_another_key_encryption_key_is_told_by_its_id_alone(database):
    kid = keystore(database).generate(ALG).kid
    with pytest.raises(KeystoreError, match="COUNTERSIGN_KEY_ENCRYPTION_KEY") as refused:
        keystore(database, OTHER).signing_key(kid, ALG)
    assert ONE.id in str(refused.value)
    assert ONE.key.reveal() not in str(refused.value) + repr(ONE)


def test_a_row_that_is_gone_is_told_with_its_remedy(database):
    with pytest.raises(KeystoreError, match="restore a backup"):
        keystore(database).signing_key("gone", ALG)


def test_two_nodes_that_adopt_the_same_key_keep_one(database):
    private = generate(ALG)
    for _ in range(2):
        kid = keystore(database).adopt(private, ALG).kid
    assert list(sealed(database)) == [kid]


class TestReplacingTheKeyEncryptionKey:
    @pytest.fixture
    def kids(self, database) -> list[str]:
        return sorted(keystore(database).generate(ALG).kid for _ in range(3))

    def test_both_open_while_it_is_going_on_and_the_new_one_seals(self, database, kids):
        store = keystore(database, OTHER, old=ONE)
        made = store.generate(ALG).kid
        assert is_readable(store, *kids, made)
        assert sealed(database)[made].kek_id == OTHER.id

    @on_every_database
    def test_afterwards_the_old_one_opens_nothing_and_is_not_needed(self, database, kids):
        assert sorted(keystore(database, OTHER, old=ONE).rewrap(OPERATOR)) == kids
        assert is_readable(keystore(database, OTHER), *kids)
        assert {row.kek_id for row in sealed(database).values()} == {OTHER.id}
        with pytest.raises(KeystoreError):
            keystore(database, ONE).signing_key(kids[0], ALG)

    @pytest.mark.usefixtures("kids")
    def test_again_is_nothing(self, database):
        store = keystore(database, OTHER, old=ONE)
        store.rewrap(OPERATOR)
        before = {kid: row.nonce for kid, row in sealed(database).items()}
        assert store.rewrap(OPERATOR) == []
        assert {kid: row.nonce for kid, row in sealed(database).items()} == before

    def test_what_was_done_before_it_stopped_stays_done(self, database, kids):
        """One key's row is damaged; the way on is to rotate it out, or to restore it."""
        good = sealed(database)[kids[1]].ciphertext
        change(database, kids[1], ciphertext=good[::-1])
        with pytest.raises(KeystoreError, match=kids[1]):
            keystore(database, OTHER, old=ONE).rewrap(OPERATOR)
        done = [kid for kid, row in sealed(database).items() if row.kek_id == OTHER.id]
        assert is_readable(keystore(database, OTHER, old=ONE), *(set(kids) - {kids[1]}))
        change(database, kids[1], ciphertext=good)
        assert sorted(done + keystore(database, OTHER, old=ONE).rewrap(OPERATOR)) == kids

    def test_is_in_the_ledger_key_by_key(self, database, kids):
        keystore(database, OTHER, old=ONE).rewrap(OPERATOR)
        with database.reading() as session:
            rows = session.scalars(select(AuditRow).where(AuditRow.action == "keys:signing_key:rewrap")).all()
        assert sorted(row.kid for row in rows) == kids
        assert all(row.detail == {"from": ONE.id, "to": OTHER.id} for row in rows)

    @pytest.mark.usefixtures("kids")
    def test_without_the_old_one_it_is_refused_and_says_so(self, database):
        with pytest.raises(KeystoreError, match="COUNTERSIGN_KEY_ENCRYPTION_KEY_OLD"):
            keystore(database, OTHER).rewrap(OPERATOR)


def test_its_name_is_what_the_rows_say(database):
    assert keystore(database).name == KeystoreName.DATABASE == "database"

"""The ``files`` keystore: what else lies in its folder."""

import os
import time

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from app.secret import Secret
from app.signing.algorithms import Algorithm
from app.signing.keystores import KeystoreError
from app.signing.keystores.files import FileKeystore
from tests.support.components import PASSPHRASE


@pytest.fixture
def keystore(tmp_path, key_database) -> FileKeystore:
    return FileKeystore(tmp_path / "keys", Secret(PASSPHRASE), key_database)


def made(keystore, alg=Algorithm.ES256) -> str:
    with keystore.making_keys():
        kid = keystore.generate(alg).kid
    keystore.confirm(kid)
    return kid


@pytest.mark.parametrize("alg", list(Algorithm))
def test_a_file_is_encrypted_and_its_owners_alone(keystore, tmp_path, alg):
    file = tmp_path / "keys" / f"{made(keystore, alg)}.pem"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text().startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    assert load_pem_private_key(file.read_bytes(), PASSPHRASE.encode())


def test_another_keys_file_under_a_keys_name_is_refused(keystore, tmp_path):
    one, other = made(keystore), made(keystore)
    (tmp_path / "keys" / f"{one}.pem").rename(tmp_path / "keys" / f"{other}.pem")
    with pytest.raises(KeystoreError, match="holds another key"):
        keystore.signing_key(other, Algorithm.ES256)


def test_a_key_signs_by_no_other_algorithm_than_its_row_says(keystore):
    kid = made(keystore)
    with pytest.raises(KeystoreError, match="holds another key"):
        keystore.signing_key(kid, Algorithm.ES384)


def test_what_was_killed_while_it_wrote_is_swept_up_once_it_is_old(keystore, tmp_path):
    made(keystore)
    young, old = (tmp_path / "keys" / name for name in (".new-young", ".new-old"))
    for path in (young, old):
        path.write_bytes(b"half a ke")
    os.utime(old, (time.time() - 601, time.time() - 601))
    made(keystore)
    assert young.exists()
    assert not old.exists()

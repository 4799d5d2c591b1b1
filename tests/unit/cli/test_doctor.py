"""``doctor``: what would become an outage, a line for each check."""

from base64 import b64encode

import pytest

from tests.support.server import Installation

KEK = b64encode(bytes(32)).decode()


@pytest.fixture
def installation(tmp_path) -> Installation:
    made = Installation(tmp_path)
    made.invoke("init")
    return made


def faults(installation) -> dict[str, str]:
    rows = installation.invoke("doctor", json=True, exit_code=None).data
    return {row["check"]: row["fault"] for row in rows if row["fault"]}


def test_nothing_is_wrong_with_a_first_start(installation):
    assert faults(installation) == {}


@pytest.mark.parametrize(("mode", "is_told"), [(0o600, False), (0o640, False), (0o644, True), (0o660, True)])
def test_a_secret_that_others_can_read_is_told(tmp_path, installation, mode, is_told):
    file = tmp_path / "kek"
    file.write_text(KEK)
    file.chmod(mode)
    told = faults(Installation(tmp_path, KEY_ENCRYPTION_KEY_FILE=str(file)))
    assert told == ({"secret files": told.get("secret files")} if is_told else {})
    assert not is_told or f"chmod g-wx,o= {file}" in told["secret files"]


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda file: file.unlink(), "restore ledger.pem from a backup"),
        (lambda file: file.write_text(""), "ledger.pem"),
    ],
)
def test_a_ledger_key_that_cannot_be_had_is_told(tmp_path, installation, harm, words):
    harm(tmp_path / "keys" / "ledger.pem")
    told = faults(installation)
    assert told.keys() == {"ledger key"}
    assert words in told["ledger key"]


def test_a_keystore_that_makes_keys_and_does_not_answer_is_told(tmp_path, installation):
    transit = {"TRANSIT_URL": "http://127.0.0.1:9", "TRANSIT_TOKEN": "hvs.x"}
    told = faults(Installation(tmp_path, KEYSTORE="transit", **transit))["keystores"]
    assert "transit keystore: cannot read a key" in told or "transit keystore: cannot log in" in told
    assert "countersign keys move --to transit" in told


def test_a_reason_that_keys_share_is_told_once(tmp_path, installation):
    files = [file for file in (tmp_path / "keys").glob("*.pem") if file.name != "ledger.pem"]
    for file in files:
        file.write_text("")
    told = faults(installation)["keystores"]
    assert told.count("cannot be opened") == 1
    assert all(file.stem in told for file in files)


def test_of_keys_that_are_gone_it_says_how_to_go_on_without_them(tmp_path, installation):
    kids = [row["kid"] for row in installation.invoke("keys", "list", json=True).data]
    for kid in kids:
        (tmp_path / "keys" / f"{kid}.pem").unlink()
    told = faults(installation)["keystores"]
    assert any(f"make an empty file {kid}.pem there" in told for kid in kids)

"""``keys import``, ``move`` and ``rewrap`` at a shell; and that no way leads out of a keystore."""

import re
from base64 import b64encode

import click
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from app.cli import main
from app.factory import create_app
from tests.support.components import settings_for
from tests.support.server import Installation

KEK, NEXT_KEK = (b64encode(bytes([number]) * 32).decode() for number in (3, 4))
PASSPHRASE = "canary passphrase of the imported key"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
WHAT_NOBODY_SEES = [
    *(str(number) for number in (KEY.private_numbers().d, KEY.private_numbers().p)),
    PASSPHRASE,
    KEK,
    NEXT_KEK,
    "PRIVATE KEY",
]


@pytest.fixture
def installation(tmp_path) -> Installation:
    made = Installation(tmp_path, KEY_ENCRYPTION_KEY=KEK)
    made.invoke("init")
    return made


@pytest.fixture
def pem(tmp_path):
    def written(passphrase: str | None = None):
        encryption = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
        file = tmp_path / "old-issuer.pem"
        file.write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
        return str(file)

    return written


def states(installation) -> dict[str, str]:
    rows = installation.invoke("keys", "list", json=True).data
    return {row["state"]: row["kid"] for row in rows}


def keystores(installation) -> set[str]:
    rows = installation.invoke("keys", "list", json=True).data
    return {row["keystore"] for row in rows if row["state"] in {"active", "next"}}


class TestImport:
    def test_makes_the_next_key_of_it_and_never_the_active_one(self, installation, pem):
        before = states(installation)
        made = installation.invoke("keys", "import", pem(), json=True).data
        after = states(installation)
        assert (made["state"], made["alg"], made["keystore"]) == ("next", "RS256", "files")
        assert made["replaced"] == before["next"]
        assert after == {"active": before["active"], "next": made["kid"], "removed": before["next"]}
        refused = installation.invoke("keys", "rotate", exit_code=1)
        assert f"may sign from {made['may_sign_from']}" in refused.stderr, "its publish lead has begun"

    def test_it_signs_after_a_rotation(self, installation, pem):
        made = installation.invoke("keys", "import", pem(), json=True).data
        installation.invoke("keys", "rotate", "--now", "--reason", "verifiers have had it for years")
        assert states(installation)["active"] == made["kid"]

    def test_reads_a_passphrase_from_a_file(self, installation, pem, tmp_path):
        (tmp_path / "passphrase").write_text(PASSPHRASE + "\n")
        file = str(tmp_path / "passphrase")
        installation.invoke("keys", "import", pem(PASSPHRASE), "--passphrase-file", file)

    def test_an_encrypted_key_in_a_script_is_told_what_it_lacks(self, installation, pem):
        refused = installation.invoke("keys", "import", pem(PASSPHRASE), exit_code=1)
        assert "give --passphrase-file" in refused.stderr

    def test_has_no_option_for_the_passphrase_itself(self):
        command = main.commands["keys"].commands["import"]
        assert {name for each in command.params for name in each.opts} == {
            *("file", "--alg", "--passphrase-file", "--json"),
        }

    def test_the_same_key_is_not_imported_twice(self, installation, pem):
        installation.invoke("keys", "import", pem())
        refused = installation.invoke("keys", "import", pem(), exit_code=1)
        assert "a kid is never used again" in refused.stderr

    def test_what_is_no_key_is_refused(self, installation):
        refused = installation.invoke("keys", "import", "-", stdin="canary", exit_code=1)
        assert "no private key in PEM" in refused.stderr
        assert "canary" not in refused.stderr
        refused = installation.invoke("keys", "import", "-", stdin="x" * 70_000, exit_code=1)
        assert "larger than" in refused.stderr

    def test_an_algorithm_that_is_not_in_use_is_told(self, installation, pem):
        refused = installation.invoke("keys", "import", pem(), "--alg", "PS256", exit_code=1)
        assert "PS256 is not in use" in refused.stderr


class TestMove:
    def test_changes_the_place_and_nothing_else(self, installation):
        before = states(installation)
        moved = installation.invoke("keys", "move", "--to", "database", json=True).data
        assert moved == {"to": "database", "moved": [*moved["moved"]], "staying": []}
        assert set(moved["moved"]) == set(before.values())
        assert states(installation) == before
        assert keystores(installation) == {"database"}

    def test_says_what_is_left_to_do(self, installation):
        said = installation.invoke("keys", "move", "--to", "database").stdout
        assert "set COUNTERSIGN_KEYSTORE=database everywhere" in said
        assert "restart every server" in said
        [fault] = [
            row["fault"]
            for row in installation.invoke("doctor", json=True, exit_code=1).data
            if row["check"] == "keystores"
        ]
        assert "keys are in database, and new ones are made in files" in fault

    def test_refuses_a_keystore_that_is_not_set_up(self, installation):
        refused = installation.invoke("keys", "move", "--to", "transit", exit_code=1)
        assert "COUNTERSIGN_TRANSIT_URL" in refused.stderr
        assert keystores(installation) == {"files"}

    def test_again_is_nothing(self, installation):
        installation.invoke("keys", "move", "--to", "database")
        assert installation.invoke("keys", "move", "--to", "database", json=True).data["moved"] == []


class TestRewrap:
    def test_seals_anew_what_the_old_key_sealed(self, tmp_path, installation):
        installation.invoke("keys", "move", "--to", "database")
        changed = Installation(tmp_path, KEY_ENCRYPTION_KEY=NEXT_KEK, KEY_ENCRYPTION_KEY_OLD=KEK)
        assert set(changed.invoke("keys", "rewrap", json=True).data["rewrapped"]) == set(
            states(changed).values()
        )
        after = Installation(tmp_path, KEY_ENCRYPTION_KEY=NEXT_KEK, KEYSTORE="database")
        after.invoke("doctor")
        assert "nothing was done" in after.invoke("keys", "rewrap").stdout
        refused = installation.invoke("keys", "move", "--to", "files", exit_code=1)
        assert "is sealed under the key-encryption key" in refused.stderr


def test_a_second_machine_without_the_private_key_is_told_what_to_do(tmp_path, installation):
    """It shares the database, and has a keys directory of its own."""
    second = Installation(
        tmp_path,
        DATABASE_URL=f"sqlite:///{tmp_path / 'var' / 'countersign.sqlite3'}",
        KEYS_DIR=str(tmp_path / "other-keys"),
    )
    for line in ("init", "serve", "doctor"):
        refused = second.invoke(line, exit_code=1)
        told = refused.stderr + refused.stdout
        assert "is not in" in told
        assert "copy it from the machine that made it" in told
        assert "COUNTERSIGN_KEYSTORE=database or transit" in told
    assert not list((tmp_path / "other-keys").glob("*.pem.new"))


class TestNoWayLeadsOut:
    def test_of_the_commands(self):
        named = [path for path, _ in every_command(main) if path.startswith("keys ")]
        assert not [path for path in named if re.search("export|show|dump|backup|private|secret", path)]

    def test_of_the_routes(self, tmp_path):
        rules = create_app(settings_for(tmp_path)).url_map.iter_rules()
        routes = [rule.rule for rule in rules if re.search("key|jwk", rule.rule)]
        assert not [route for route in routes if re.search("export|private|pem", route)]

    def test_of_any_commands_output(self, installation, pem, tmp_path, caplog):
        caplog.set_level(0)
        (tmp_path / "passphrase").write_text(PASSPHRASE)
        said = [
            installation.invoke(*line.split(), json=as_json, exit_code=None)
            for line in (
                f"keys import {pem(PASSPHRASE)} --passphrase-file {tmp_path / 'passphrase'}",
                f"keys import {pem(PASSPHRASE)}",
                "keys list",
                "keys move --to database",
                "keys rewrap",
                "keys move --to files",
                "doctor",
                "audit list",
            )
            for as_json in (False, True)
        ]
        shown = "".join(each.stdout + each.stderr for each in said) + caplog.text
        assert not [secret for secret in WHAT_NOBODY_SEES if secret in shown]
        [file] = [
            load_pem_private_key(path.read_bytes(), (tmp_path / "var/keys-passphrase").read_bytes())
            for path in (tmp_path / "keys").glob("*.pem")
            if path.stem == states(installation)["next"]
        ]
        assert file.private_numbers() == KEY.private_numbers(), "it went in, and round"


def every_command(group: click.Group, path: str = ""):
    for name, command in group.commands.items():
        here = f"{path} {name}".strip()
        yield here, command
        if isinstance(command, click.Group):
            yield from every_command(command, here)

"""Settings of the keystores: complete or refused, and read anew where files are replaced under way."""

from base64 import b64encode

import pytest

from app.secret import Secret
from app.setting_faults import PREFIX
from app.settings import Settings, SettingsError

ONE, OTHER = (b64encode(bytes([number]) * 32).decode() for number in (1, 2))
TRANSIT = {"KEYSTORE": "transit", "TRANSIT_URL": "https://vault.example.com:8200"}
TOKEN = {"TRANSIT_TOKEN": "hvs.canary"}
APPROLE = {"TRANSIT_ROLE_ID": "a role", "TRANSIT_SECRET_ID": "canary"}
JWT = {"TRANSIT_ROLE": "countersign", "TRANSIT_JWT": "canary"}


def read(**settings: str) -> Settings:
    return Settings.from_env({PREFIX + name: value for name, value in settings.items()})


def faults(**settings: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as refused:
        read(**settings)
    assert "canary" not in str(refused.value)
    assert ONE not in str(refused.value)
    return refused.value.faults


class TestTheKeyEncryptionKey:
    def test_is_read_and_not_shown(self):
        settings = read(KEYSTORE="database", KEY_ENCRYPTION_KEY=ONE)
        assert settings.key_encryption_key == Secret(ONE)
        assert ONE not in repr(settings)

    @pytest.mark.parametrize(
        "text", ["short", ONE[:-4], ONE + ONE, ONE.replace("=", ""), "!" * 44, f" {ONE}"]
    )
    def test_is_32_bytes_in_base64(self, text):
        [fault] = faults(KEY_ENCRYPTION_KEY=text)
        assert fault == "COUNTERSIGN_KEY_ENCRYPTION_KEY is 32 random bytes in base64: openssl rand -base64 32"

    def test_is_required_by_its_keystore_on_loopback_too(self):
        """One that was generated here would lock the other nodes out."""
        [fault] = faults(KEYSTORE="database")
        assert "COUNTERSIGN_KEY_ENCRYPTION_KEY is required" in fault

    def test_may_be_there_before_the_keystore_is_used(self):
        assert read(KEY_ENCRYPTION_KEY=ONE).keystore == "files"

    def test_has_the_old_one_beside_it_while_it_is_replaced(self):
        settings = read(KEY_ENCRYPTION_KEY=OTHER, KEY_ENCRYPTION_KEY_OLD=ONE)
        assert settings.key_encryption_key_old == Secret(ONE)

    @pytest.mark.parametrize("now", [{}, {"KEY_ENCRYPTION_KEY": ONE}])
    def test_is_not_the_old_one(self, now):
        [fault] = faults(KEY_ENCRYPTION_KEY_OLD=ONE, **now)
        assert fault.startswith("COUNTERSIGN_KEY_ENCRYPTION_KEY_OLD is another key")

    def test_from_a_file(self, tmp_path):
        file = tmp_path / "kek"
        file.write_text(ONE + "\n")
        settings = read(KEYSTORE="database", KEY_ENCRYPTION_KEY_FILE=str(file))
        assert settings.key_encryption_key == Secret(ONE)
        assert settings.secret_files == {"key_encryption_key": file}


class TestTransit:
    @pytest.mark.parametrize("login", [TOKEN, APPROLE, JWT])
    def test_has_one_way_to_log_in(self, login):
        settings = read(**TRANSIT, **login)
        assert (settings.transit_url, settings.transit_mount) == ("https://vault.example.com:8200", "transit")
        assert "canary" not in repr(settings)

    @pytest.mark.parametrize(
        "login",
        [
            {},
            TOKEN | APPROLE,
            TOKEN | JWT,
            {"TRANSIT_ROLE_ID": "a role"},
            {"TRANSIT_SECRET_ID": "canary"},
            {"TRANSIT_JWT": "canary"},
            TOKEN | {"TRANSIT_ROLE": "countersign"},
        ],
    )
    def test_has_neither_none_nor_half_of_one_nor_two(self, login):
        [fault] = faults(**TRANSIT, **login)
        assert fault.startswith("COUNTERSIGN_TRANSIT_URL needs one way to log in")

    def test_needs_an_address(self):
        assert faults(KEYSTORE="transit", **TOKEN) == (
            "COUNTERSIGN_TRANSIT_URL is required by the transit keystore",
        )

    @pytest.mark.parametrize(
        "url", ["https://vault.example.com", "http://127.0.0.1:8200", "http://localhost/v"]
    )
    def test_is_reached_by_https_or_on_this_machine(self, url):
        assert read(**TRANSIT | TOKEN | {"TRANSIT_URL": url + "/"}).transit_url == url

    @pytest.mark.parametrize(
        "url",
        [
            "http://vault.example.com",
            "vault.example.com:8200",
            "https://",
            "https://user:canary@vault.example.com",
            "https://vault.example.com?token=canary",
            "https://[canary",
        ],
    )
    def test_is_reached_by_nothing_else(self, url):
        [fault] = faults(**TRANSIT | TOKEN | {"TRANSIT_URL": url})
        assert fault.startswith("COUNTERSIGN_TRANSIT_URL is a URL such as https://")


class TestACredentialThatIsReplacedUnderWay:
    """By Vault Agent, or by Kubernetes."""

    def test_is_read_anew(self, tmp_path):
        file = tmp_path / "token"
        file.write_text("first")
        settings = read(**TRANSIT, TRANSIT_TOKEN_FILE=str(file))
        file.write_text("second\n")
        assert settings.transit_token == Secret("first")
        assert settings.read_again("transit_token") == Secret("second")

    def test_without_a_file_is_what_it_was(self):
        assert read(**TRANSIT, **TOKEN).read_again("transit_token") == Secret("hvs.canary")

    @pytest.mark.parametrize("content", [None, b"\xff", b""])
    def test_that_cannot_be_read_or_is_empty_is_a_fault(self, content, tmp_path):
        file = tmp_path / "token"
        file.write_text("first")
        settings = read(**TRANSIT, TRANSIT_TOKEN_FILE=str(file))
        file.unlink()
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(ValueError, match=r"cannot be read|at least 1"):
            settings.read_again("transit_token")

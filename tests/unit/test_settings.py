"""Settings: each in its place, all faults at once, nothing secret shown."""

import os
import tempfile
from contextlib import suppress
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidInput
from app.flows.outbound import Outbound
from app.secret import Secret
from app.setting_faults import PREFIX
from app.settings import Settings, SettingsError, declared
from app.wiring import Components

PASSPHRASE = "correct horse battery staple"
COOKIE_KEY = "0123456789abcdef0123456789abcdef"
PRODUCTION = {
    "ISSUER": "https://id.example.com",
    "KEYS_PASSPHRASE": PASSPHRASE,
    "SECRET_KEY": COOKIE_KEY,
    "DATABASE_URL": "postgresql+psycopg://u:hunter2@db/countersign",
}


def read(**settings: str) -> Settings:
    return Settings.from_env({PREFIX + name: value for name, value in settings.items()})


def faults(environ=None, **settings: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as refused:
        Settings.from_env({PREFIX + name: value for name, value in settings.items()} | (environ or {}))
    return refused.value.faults


def test_nothing_need_be_set_for_a_trial():
    settings = read()
    assert settings.issuer == "http://localhost:8000"
    assert settings.on_loopback
    assert (settings.home_dir, settings.keys_dir) == (Path("var"), Path("keys"))
    assert settings.database_url is settings.keys_passphrase is settings.secret_key is None
    assert (settings.keystore, settings.audiences, settings.log_level) == ("files", "open", "info")
    assert settings.key_publish_lead == timedelta(hours=24)
    assert settings.access_token_ttl == settings.id_token_ttl == timedelta(minutes=10)
    assert settings.trusted_proxies == settings.outbound_allow == ()
    assert not settings.debug


def test_each_is_read():
    settings = read(
        ISSUER="https://id.example.com/tenant",
        DATABASE_URL="postgresql+psycopg://u:p@h/n",
        HOME_DIR="/srv/countersign",
        KEYS_DIR="/srv/keys",
        KEYS_PASSPHRASE=PASSPHRASE,
        SECRET_KEY=COOKIE_KEY,
        TRUSTED_PROXIES="10.0.0.0/8, 2001:db8::/32,",
        AUDIENCES="registered",
        OUTBOUND_ALLOW="vault.internal, 10.1.0.0/16",
        LOCAL_EXECUTOR_USER="nobody",
        KEY_PUBLISH_LEAD="30m",
        KEY_ROTATION_PERIOD="30d",
        JWKS_MAX_AGE="5m",
        ACCESS_TOKEN_TTL="1h",
        ID_TOKEN_TTL="90s",
        WEB_WORKERS="4",
        LOG_LEVEL="debug",
    )
    assert settings.issuer == "https://id.example.com/tenant"
    assert not settings.on_loopback
    assert settings.database_url == Secret("postgresql+psycopg://u:p@h/n")
    assert settings.trusted_proxies == (ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"))
    assert settings.outbound_allow == ("vault.internal", "10.1.0.0/16")
    assert settings.local_executor_user == "nobody"
    assert settings.key_publish_lead == timedelta(minutes=30)
    assert settings.id_token_ttl == timedelta(seconds=90)
    assert settings.web_workers == 4


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("ISSUER", "http://id.example.com", "https"),
        ("ISSUER", "https://ID.example.com", "lower case"),
        ("ISSUER", "https://id.example.com/", "trailing slash"),
        ("AUDIENCES", "closed", "one of: open, registered"),
        ("KEYSTORE", "floppy", "one of: files"),
        ("LOG_LEVEL", "INFO", "one of: debug, info"),
        ("KEYS_PASSPHRASE", "x" * 15, "at least 16 characters"),
        ("SECRET_KEY", "x" * 31, "at least 32 characters"),
        ("TRUSTED_PROXIES", "10.0.0.1/8", "networks"),
        ("TRUSTED_PROXIES", "proxy.example.com", "networks"),
        ("KEY_PUBLISH_LEAD", "a day", "duration"),
        ("KEY_PUBLISH_LEAD", "0s", "between 1s and 30d"),
        ("JWKS_MAX_AGE", "25h", "between 0s and 24h"),
        ("OUTBOUND_ALLOW", "vault.internal, https://vault", "host names and networks"),
        ("OUTBOUND_ALLOW", "10.0.0.0/33", "host names and networks"),
        ("OUTBOUND_ALLOW", "*.internal", "host names and networks"),
        ("LOCAL_EXECUTOR_USER", "no-such-account", "account of this machine"),
        ("DATABASE_URL", "var/countersign.sqlite3", "is not a URL"),
        ("DATABASE_URL", "postgresql+psycopg://u:p@h:port/n", "is not a URL"),
        ("DATABASE_URL", "postgresql+psycopg2://u:p@h/n", "begins with postgresql+psycopg: or sqlite:"),
        ("DATABASE_URL", "postgres://u:p@h/n", "begins with"),
        ("DATABASE_URL", "mysql://u:p@h/n", "begins with"),
        ("DATABASE_URL", "sqlite+aiosqlite:///file", "begins with"),
        ("DATABASE_URL", "sqlite://", "names a file"),
        ("DATABASE_URL", "sqlite:///:memory:", "names a file"),
        ("DATABASE_URL", "sqlite://host/file", "names a file"),
        ("DATABASE_URL", "sqlite:///file:name?uri=true", "names a file"),
        ("DATABASE_URL", "sqlite:////file?mode=ro", "names a file"),
        ("ACCESS_TOKEN_TTL", "59s", "between 1m and 1h"),
        ("ACCESS_TOKEN_TTL", "61m", "between 1m and 1h"),
        ("ID_TOKEN_TTL", "36501d", "longer than 36500d"),
        ("ID_TOKEN_TTL", "", "duration"),
        ("WEB_WORKERS", "0", "from 1 to 999"),
        ("WEB_WORKERS", "٤", "from 1 to 999"),
        ("WEB_WORKERS", "1000", "from 1 to 999"),
    ],
)
def test_a_value_that_cannot_be_right_is_named_and_explained(name, value, reason):
    [fault] = faults(**{name: value})
    assert fault.startswith(f"{PREFIX}{name} ")
    assert reason in fault


@pytest.mark.parametrize("given", ["postgresql", "postgresql+psycopg"])
def test_postgresql_is_spoken_to_by_psycopg(given):
    url = read(DATABASE_URL=f"{given}://u:p%40ss@h:5433/n?sslmode=verify-full").database_url
    assert url == Secret("postgresql+psycopg://u:p%40ss@h:5433/n?sslmode=verify-full")


@pytest.mark.parametrize("given", ["sqlite:////srv/x.sqlite3", "sqlite+pysqlite:///relative.sqlite3"])
def test_sqlite_is_a_file(given):
    assert read(DATABASE_URL=given).database_url == Secret(given)


@given(
    st.text("abz019.-_:/*x\u00e4", min_size=1, max_size=12)
    | st.sampled_from(["a" * 64, "a." * 126 + "bc", "a." * 127 + "a", "0x7f.1", "1.2.3", "::1", "fc00::/7"])
)
def test_what_may_be_fetched_from_is_checked_as_it_will_be_read(entry):
    def taken(read_it):
        try:
            return bool(read_it())
        except (SettingsError, InvalidInput):
            return False

    assert taken(lambda: read(OUTBOUND_ALLOW=entry)) == taken(lambda: Outbound([entry], allow_loopback=False))


def test_all_faults_are_told_at_once():
    found = faults(
        ISSUER="ftp://id", AUDIENCES="closed", WEB_WORKERS="many", KEYS_PASSPHRASE="short", COLOUR="red"
    )
    names = [fault.split()[0].removeprefix(PREFIX) for fault in found]
    assert sorted(names) == ["AUDIENCES", "COLOUR", "ISSUER", "KEYS_PASSPHRASE", "WEB_WORKERS"]


class TestAnHttpsIssuer:
    def test_is_served_when_it_has_all_it_demands(self):
        assert not read(**PRODUCTION).on_loopback
        assert read(**PRODUCTION).production

    def test_is_production_on_this_machine_too(self):
        local = PRODUCTION | {"ISSUER": "https://localhost:8443"}
        assert read(**local).production
        assert not read().production
        assert [fault.split()[0] for fault in faults(ISSUER="https://localhost:8443")] == [
            "COUNTERSIGN_KEYS_PASSPHRASE",
            "COUNTERSIGN_SECRET_KEY",
        ]
        refused = Components(read(**local)).why_no_local_runs()
        assert refused
        assert "set COUNTERSIGN_LOCAL_EXECUTOR_USER" in refused

    def test_demands_all_at_once(self):
        found = faults(
            {"FLASK_DEBUG": "1"}, ISSUER="https://id.example.com", KEY_PUBLISH_LEAD="29m59s", AUDIENCES="x"
        )
        assert [fault.split()[0] for fault in found] == [
            "COUNTERSIGN_AUDIENCES",
            "COUNTERSIGN_KEYS_PASSPHRASE",
            "COUNTERSIGN_SECRET_KEY",
            "FLASK_DEBUG",
            "COUNTERSIGN_KEY_PUBLISH_LEAD",
        ]

    @pytest.mark.parametrize("name", ["KEYS_PASSPHRASE", "SECRET_KEY"])
    @pytest.mark.parametrize("value", [None, ""])
    def test_generates_no_secret(self, name, value):
        given = {key: text for key, text in PRODUCTION.items() if key != name}
        [fault] = faults(**(given if value is None else given | {name: value}))
        assert fault.startswith(f"{PREFIX}{name} is required behind an https issuer")
        assert f"{PREFIX}{name}_FILE" in fault

    @pytest.mark.parametrize("debug", ["1", "true", "yes", "on"])
    def test_refuses_debug_mode(self, debug):
        [fault] = faults({"FLASK_DEBUG": debug}, **PRODUCTION)
        assert fault == "FLASK_DEBUG must be off behind an https issuer"

    @pytest.mark.parametrize("debug", ["", "0", "false", "No"])
    def test_takes_debug_that_is_off(self, debug):
        environ = {PREFIX + name: value for name, value in PRODUCTION.items()} | {"FLASK_DEBUG": debug}
        assert not Settings.from_env(environ).debug

    def test_publishes_keys_for_half_an_hour_at_least(self):
        assert read(**PRODUCTION, KEY_PUBLISH_LEAD="30m")
        [fault] = faults(**PRODUCTION, KEY_PUBLISH_LEAD="1799s")
        assert "at least 30m" in fault

    @pytest.mark.parametrize(
        ("lead", "max_age", "refused"),
        [("2h", "1h58m55s", False), ("2h", "1h58m56s", True), ("2h", "3h", True), ("30m", "15m", False)],
    )
    def test_publishes_a_key_for_longer_than_the_jwks_is_kept(self, lead, max_age, refused):
        given = {"KEY_PUBLISH_LEAD": lead, "JWKS_MAX_AGE": max_age}
        if not refused:
            assert read(**PRODUCTION, **given).doubts == ()
            return
        [fault] = faults(**PRODUCTION, **given)
        assert fault.startswith(
            "COUNTERSIGN_JWKS_MAX_AGE is at least 65s less than COUNTERSIGN_KEY_PUBLISH_LEAD"
        )
        assert fault.endswith("lower the one or raise the other")

    def test_rotates_no_faster_than_retired_keys_leave(self):
        assert read(**PRODUCTION, KEY_ROTATION_PERIOD="4d").doubts == ()
        [fault] = faults(**PRODUCTION, KEY_ROTATION_PERIOD="95h")
        assert fault.startswith("COUNTERSIGN_KEY_ROTATION_PERIOD is at least 4d")
        assert read(KEY_ROTATION_PERIOD="14s").doubts == (fault,)

    def test_names_a_short_lead_and_a_long_age_together(self):
        found = faults(**PRODUCTION, KEY_PUBLISH_LEAD="10m")
        assert [fault.split()[0] for fault in found] == [
            "COUNTERSIGN_KEY_PUBLISH_LEAD",
            "COUNTERSIGN_JWKS_MAX_AGE",
        ]
        assert read(KEY_PUBLISH_LEAD="10m").doubts == found

    @pytest.mark.parametrize("broken", [{"KEY_PUBLISH_LEAD": "a day"}, {"JWKS_MAX_AGE": "a day"}])
    def test_compares_only_what_is_well_formed(self, broken):
        assert len(faults(**PRODUCTION, **broken)) == 1

    @pytest.mark.parametrize(("kind", "refused"), [("nfs4", True), ("fuse.sshfs", True), ("ext4", False)])
    def test_refuses_sqlite_on_a_network_disk(self, kind, refused, mounted):
        mounted(kind)
        given = {name: value for name, value in PRODUCTION.items() if name != "DATABASE_URL"}
        given["HOME_DIR"] = "/srv/share/countersign"
        if refused:
            [fault] = faults(**given)
            assert fault.startswith("COUNTERSIGN_HOME_DIR is on a network disk")
        else:
            assert read(**given)

    def test_refuses_it_wherever_its_url_says(self, mounted):
        mounted("nfs4")
        [fault] = faults(**PRODUCTION | {"DATABASE_URL": "sqlite:////srv/share/countersign.sqlite3"})
        assert fault.startswith("COUNTERSIGN_DATABASE_URL is on a network disk")

    def test_keeps_postgresql_whatever_the_disk(self, mounted):
        mounted("nfs")
        assert read(**PRODUCTION, HOME_DIR="/srv/share/countersign")

    @pytest.fixture
    def mounted(self, monkeypatch):
        """The kernel's table of mounts, as it would be with /srv/share of some kind."""
        genuine = Path.read_text

        def mounted(kind):
            table = f"/dev/sda / ext4 rw 0 0\nserver:/ /srv/share {kind} rw 0 0\nproc /srv proc rw 0 0\n"
            monkeypatch.setattr(
                Path,
                "read_text",
                lambda path, *given: table if str(path) == "/proc/self/mounts" else genuine(path, *given),
            )

        return mounted


class TestASecretFromAFile:
    SECRETS = sorted(name.upper() for name, metadata in declared().items() if metadata["secret"])

    def test_every_secret_can_be(self):
        assert [
            *("DATABASE_URL", "KEYS_PASSPHRASE"),
            *("KEY_ENCRYPTION_KEY", "KEY_ENCRYPTION_KEY_OLD", "SECRET_KEY"),
            *("TRANSIT_JWT", "TRANSIT_SECRET_ID", "TRANSIT_TOKEN"),
        ] == self.SECRETS

    @pytest.mark.parametrize("name", [name for name in SECRETS if not name.startswith("KEY_ENCRYPTION")])
    @pytest.mark.parametrize("end", ["", "\n"])
    def test_is_its_content_but_for_one_newline(self, name, end, tmp_path):
        content = f"sqlite:///{COOKIE_KEY} "
        (tmp_path / "secret").write_text(content + end)
        settings = read(**{f"{name}_FILE": str(tmp_path / "secret")})
        assert getattr(settings, name.lower()) == Secret(content)

    def test_is_remembered_as_what_steps_must_not_read(self, tmp_path):
        file = tmp_path / "secret"
        file.write_text(COOKIE_KEY)
        assert read(SECRET_KEY_FILE=str(file)).secret_files == {"secret_key": file}
        assert read().secret_files == {}

    def test_is_not_given_twice(self, tmp_path):
        [fault] = faults(SECRET_KEY=COOKIE_KEY, SECRET_KEY_FILE=str(tmp_path / "absent"))
        assert fault == "COUNTERSIGN_SECRET_KEY and COUNTERSIGN_SECRET_KEY_FILE are both set: keep one"

    @pytest.mark.parametrize("content", [None, b"\xff" * 40])
    def test_that_cannot_be_read_is_a_fault(self, content, tmp_path):
        if content is not None:
            (tmp_path / "secret").write_bytes(content)
        [fault] = faults(SECRET_KEY_FILE=str(tmp_path / "secret"))
        assert fault.startswith("COUNTERSIGN_SECRET_KEY (…_FILE) cannot be read")

    def test_an_empty_one_is_no_secret(self, tmp_path):
        (tmp_path / "secret").write_text("\n")
        production = {name: value for name, value in PRODUCTION.items() if name != "SECRET_KEY"}
        [fault] = faults(**production, SECRET_KEY_FILE=str(tmp_path / "secret"))
        assert "COUNTERSIGN_SECRET_KEY is required" in fault

    def test_only_secrets_have_a_file(self):
        [fault] = faults(ISSUER_FILE="/etc/issuer")
        assert fault.startswith("COUNTERSIGN_ISSUER_FILE is not a setting")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("ISUER", "ISSUER"),
        ("ID_TOKEN_TLL", "ID_TOKEN_TTL"),
        ("KEYS_PASSPHRASE_FIL", "KEYS_PASSPHRASE_FILE"),
        ("DATABASE_URI", "DATABASE_URL"),
    ],
)
def test_a_misspelt_name_is_answered_with_the_one_meant(name, meant):
    [fault] = faults(**{name: "x"})
    assert fault == f"{PREFIX}{name} is not a setting: did you mean {PREFIX}{meant}?"


def test_a_name_like_no_other_is_refused_all_the_same():
    assert faults({"COUNTERSIGN_": "x", "COUNTERSIGN_COLOUR": "red", "OTHER": "y"}) == (
        "COUNTERSIGN_ is not a setting",
        "COUNTERSIGN_COLOUR is not a setting",
    )


def test_what_is_given_is_never_repeated():
    canary = "hunter2-canary"
    for name in (*declared(), "unknown"):
        with pytest.raises(SettingsError) as refused:
            Settings.from_env({PREFIX + name.upper(): canary, "COUNTERSIGN_COLOUR": canary})
        assert canary not in str(refused.value)


def test_no_secret_is_shown():
    shown = repr(read(**PRODUCTION)) + str(read(**PRODUCTION))
    assert "id.example.com" in shown
    for canary in (PASSPHRASE, COOKIE_KEY, "hunter2"):
        assert canary not in shown


def test_settings_do_not_change():
    with pytest.raises(AttributeError):
        read().issuer = "https://elsewhere.example"  # type: ignore[misc]


@given(
    st.dictionaries(
        st.sampled_from([PREFIX + name.upper() for name in declared()]),
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40),
    )
)
def test_anything_is_read_or_refused(environ):
    with suppress(SettingsError):
        Settings.from_env(environ)


class TestATrialsSecrets:
    """On loopback they are made, told of and kept; never behind https."""

    def test_are_made_once(self, tmp_path, caplog):
        settings = read(HOME_DIR=str(tmp_path / "var"))
        first, second = Components(settings).secret_key, Components(settings).secret_key
        assert first == second
        assert len(first.reveal()) >= 43
        file = tmp_path / "var" / "secret-key"
        assert file.stat().st_mode & 0o777 == 0o600
        told = [each.getMessage() for each in caplog.records]
        assert told.count(f"made {file} for development; an https issuer refuses it") == 1
        assert first.reveal() not in caplog.text

    def test_leave_nothing_else_behind(self, tmp_path):
        assert Components(read(HOME_DIR=str(tmp_path / "var"))).secret_key
        assert [file.name for file in (tmp_path / "var").iterdir()] == ["secret-key"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another account")
class TestTheAccountThatStepsRunAs:
    """Must reach neither keys nor secrets nor the database, wherever they are."""

    @pytest.fixture
    def folder(self):
        """Unlike tmp_path, every account may pass through it."""
        with tempfile.TemporaryDirectory() as name:
            Path(name).chmod(0o711)
            for inner in ("home", "keys", "db"):
                (Path(name) / inner).mkdir()
                (Path(name) / inner).chmod(0o711)
            yield Path(name)

    def write_for_all(self, file):
        file.write_text(PASSPHRASE)
        file.chmod(0o644)

    def refusal(self, folder, **settings):
        own = {"HOME_DIR": str(folder / "home"), "KEYS_DIR": str(folder / "keys")}
        return Components(read(LOCAL_EXECUTOR_USER="nobody", **own | settings)).why_no_local_runs()

    def test_is_taken_when_it_reaches_nothing(self, folder):
        assert self.refusal(folder) is None

    @pytest.mark.parametrize("name", ["elsewhere.sqlite3", "elsewhere.sqlite3-wal", "elsewhere.sqlite3-shm"])
    def test_reads_no_database_wherever_it_is(self, folder, name):
        self.write_for_all(folder / "db" / name)
        refused = self.refusal(folder, DATABASE_URL=f"sqlite:///{folder}/db/elsewhere.sqlite3")
        assert f"can read {folder / 'db' / name}: take that away" in refused

    def test_reads_no_secret_that_settings_came_from(self, folder):
        self.write_for_all(folder / "passphrase")
        assert str(folder / "passphrase") in self.refusal(
            folder, KEYS_PASSPHRASE_FILE=str(folder / "passphrase")
        )

    def test_reads_no_key_by_a_relative_path_either(self, folder, monkeypatch):
        self.write_for_all(folder / "keys" / "kid.pem")
        monkeypatch.chdir(folder)
        assert str(folder / "keys" / "kid.pem") in self.refusal(folder, KEYS_DIR="./keys")

    def test_must_not_read_this_processs_environment(self, folder):
        private = Components(read(HOME_DIR=str(folder), KEYS_DIR=str(folder / "keys")))._private_paths()
        assert Path(f"/proc/{os.getpid()}/environ") in private

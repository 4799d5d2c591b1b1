"""The commands for users, service accounts, delegations, members and audiences: shapes and refusals."""

import os
import pwd
from datetime import datetime, timedelta

import pytest

from app.signing.lifecycle import Lifecycle
from tests.support.server import Installation


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    installation = Installation(tmp_path_factory.mktemp("installation"))
    installation.invoke("init")
    installation.invoke("user", "create", "alice", "--email", "alice@example.com")
    installation.invoke("service-account", "create", "duo")
    installation.invoke("project", "create", "acme/webapp")
    return installation.invoke


def data(command, line: str):
    return command(*line.split(), json=True).data


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("user list --search LIC", 1),
        ("user list --search nobody", 0),
        ("service-account list --search duo", 1),
        ("service-account list --search %", 0),
    ],
)
def test_names_are_found_by_a_part_of_them(command, line, found):
    assert len(data(command, line)) == found
    if not found:
        assert "is like that" in command(*line.split()).stderr


SHAPES = {
    "user create bob --email bob@example.com": {"id", "principal", "login", "email", "active"},
    "user disable alice": {"id", "principal", "login", "email", "active"},
    "user enable alice": {"id", "principal", "login", "email", "active"},
    "service-account create robot --not-composite": {
        "id",
        "principal",
        "name",
        "client_id",
        "composite",
        "active",
    },
    "service-account disable duo": {"id", "principal", "name", "client_id", "composite", "active"},
    "service-account enable duo": {"id", "principal", "name", "client_id", "composite", "active"},
    "service-account secret create duo": {"id", "client_id", "client_secret", "expires_at"},
    "user token create alice --scope api": {"id", "token", "expires_at", "scopes"},
    "delegation grant --user alice --service-account duo": {
        *("id", "user", "service_account", "scopes", "project", "expires_at", "revoked_at")
    },
}


@pytest.mark.parametrize("line", SHAPES)
def test_an_object_has_the_keys_that_scripts_rely_on(command, line):
    assert SHAPES[line] <= data(command, line).keys()


@pytest.mark.parametrize(
    "line", ["user list", "service-account list", "delegation list", "audience list", "keys list"]
)
def test_a_list_is_an_array(command, line):
    assert isinstance(data(command, line), list)


def test_a_key_shows_its_state_and_no_secret(command):
    rows = data(command, "keys list")
    assert {row["state"] for row in rows} == {"active", "next"}
    moments = ("published_at", "activated_at", "retired_at", "removed_at", "revoked_at", "destroyed_at")
    to_come = ("signs_from", "leaves_jwks_by")
    assert rows[0].keys() == {"kid", "alg", "state", "keystore", "reason", *moments, *to_come}


def test_a_delegation_lasts_thirty_days_unless_told_otherwise(command):
    granted = data(command, "delegation grant --user alice --service-account duo --scope code.read")
    assert (granted["scopes"], granted["project"], granted["revoked_at"]) == (["code.read"], None, None)
    [event] = [
        row
        for row in data(command, "audit list --user alice")
        if row["detail"].get("delegation") == granted["id"]
    ]
    life = datetime.fromisoformat(granted["expires_at"]) - datetime.fromisoformat(event["at"])
    assert abs(life - timedelta(days=30)) < timedelta(minutes=5)


def test_what_remains_of_a_pairs_delegations_is_said(command):
    command("service-account", "create", "trio")
    pair = ("--user", "alice", "--service-account", "trio")
    narrow = command("delegation", "grant", *pair, "--scope", "code.read", json=True)
    wide = command("delegation", "grant", *pair, json=True)
    assert "note: " not in narrow.stderr + wide.stderr
    again = command("delegation", "grant", *pair, "--project", "acme/webapp", json=True)
    already = f"note: delegation {wide.data['id']} does so already, until {wide.data['expires_at']}"
    assert again.stderr.splitlines() == [already]
    command("delegation", "revoke", str(again.data["id"]))
    still = command("delegation", "revoke", str(wide.data["id"]))
    remaining = f"note: delegation {narrow.data['id']} still lets trio act for alice"
    assert still.stderr.splitlines() == [remaining]
    assert command("delegation", "revoke", str(narrow.data["id"])).stderr == ""


REFUSALS = {
    "user create alice --email a@example.com": "login: is taken",
    "user create Alice --email a@example.com": "lower-case",
    "user create carol --email nowhere": "email",
    "user disable nobody": "there is no user",
    "service-account create duo": "name: is taken",
    "service-account secret create nobody": "there is no service account",
    "service-account secret revoke duo 4711": "has no secret 4711",
    "service-account secret revoke duo 9223372036854775807": "has no secret",
    "service-account secret create duo --expires 0s": "does not lie in the future",
    "user token create alice --scope everything": "use one or more of api",
    "user token create alice --scope api --expires 0s": "does not lie in the future",
    "user token revoke 9223372036854775807": "there is no personal access token",
    "delegation grant --user nobody --service-account duo": "there is no user",
    "delegation grant --user alice --service-account duo --expires 0s": "in the past",
    "delegation grant --user alice --service-account duo --project acme/none": "there is no project",
    "delegation revoke 4711": "there is no delegation 4711",
    "member add acme/webapp alice --role developer": "user:LOGIN or service_account:NAME",
    "member remove acme/webapp user:alice": "is not a member",
    "audience add sa_7 --kind verifier": "reserved",
    "audience remove https://a.example": "no such audience",
    "token issue --service-account duo --scope api": "there is no human to act for",
}


@pytest.mark.parametrize("line", REFUSALS)
def test_a_refusal_is_exit_1_with_its_reason_on_stderr_alone(command, line):
    refused = command(*line.split(), "--json", exit_code=1)
    assert refused.stdout == ""
    assert REFUSALS[line] in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    "line",
    [
        "user create alice",
        "user create",
        "user nonsense",
        "user token create alice",
        "delegation grant --user alice --service-account duo --expires tomorrow",
        "member add acme/webapp user:alice --role admin",
        "audience add https://a.example --kind other",
        "service-account secret revoke duo first",
        "service-account secret revoke duo 0",
        "service-account secret revoke duo 100000000000000000000",
        "user token revoke 9223372036854775808",
        "user token create alice --scope api --expires 36501d",
        "delegation grant --user alice --service-account duo --expires 999999999d",
        "audit list --since 9999999d",
        "audit list --run 9223372036854775808",
    ],
)
def test_a_wrong_usage_is_exit_2(command, line):
    refused = command(*line.split(), exit_code=2)
    assert refused.stdout == ""
    assert "Usage:" in refused.stderr


def test_an_argument_that_is_no_text_is_a_wrong_usage(command):
    refused = command("project", "variable", "set", "acme/webapp", "A=\udcff", exit_code=2)
    assert "is not text in UTF-8" in refused.stderr


def test_the_ledger_names_the_login_of_the_process_whatever_its_environment_says(tmp_path):
    installation = Installation(tmp_path)
    installation.environment |= dict.fromkeys(("LOGNAME", "USER", "LNAME", "USERNAME"), "mallory")
    installation.invoke("init")
    installation.invoke("project", "create", "acme/webapp")
    [newest] = installation.invoke("audit", "list", "--limit", "1", json=True).data
    assert newest["actor"] == f"operator:{pwd.getpwuid(os.getuid()).pw_name}"


def test_before_init_every_command_says_what_to_do(tmp_path):
    refused = Installation(tmp_path).invoke("user", "list", exit_code=1)
    assert "countersign init" in refused.stderr


def test_a_wrong_setting_is_named(tmp_path):
    refused = Installation(tmp_path, ID_TOKEN_TTL="1w", COLOUR="red").invoke("user", "list", exit_code=1)
    assert "COUNTERSIGN_ID_TOKEN_TTL" in refused.stderr
    assert "COUNTERSIGN_COLOUR" in refused.stderr


class TestAnIssuedToken:
    """`countersign token issue` and `inspect`."""

    @pytest.fixture(scope="class")
    @classmethod
    def answer(cls, command):
        command("delegation", "grant", "--user", "alice", "--service-account", "duo")
        return data(command, "token issue --service-account duo --user alice --scope code.read")

    def test_is_the_token_endpoints_answer(self, answer):
        assert answer.keys() == {"access_token", "token_type", "expires_in", "scope"}

    def test_is_inspected_from_stdin(self, command, answer):
        shown = command("token", "inspect", "-", stdin=answer["access_token"] + "\n", json=True).data
        assert shown["claims"]["scope"] == answer["scope"]
        assert shown["header"]["typ"] == "at+jwt"
        assert shown["expired"] is False

    def test_of_another_issuer_name_is_refused(self, command, answer, monkeypatch):
        monkeypatch.setitem(command.__self__.environment, "COUNTERSIGN_ISSUER", "http://localhost:1")
        refused = command("token", "inspect", "-", stdin=answer["access_token"], exit_code=1)
        assert "and this issuer is http://localhost:1\n" in refused.stderr

    def test_of_a_revoked_key_is_told_by_that_key(self, command, answer):
        [kid] = [row["kid"] for row in data(command, "keys list") if row["state"] == "active"]
        command("keys", "revoke", kid, "--reason", "leaked", "--yes")
        refused = command("token", "inspect", "-", stdin=answer["access_token"], exit_code=1)
        assert f"dead: signed with {kid}, which was revoked at " in refused.stderr

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ("{:.0}", "this is no JWT (three parts with dots)"),
            ("{:.9}", "this is no JWT (three parts with dots)"),
            ("{}AAAA", "the signature is wrong: the token was changed, or another issuer signed it"),
            ("a.b.{:.1}", "this is no JWT (three parts with dots)"),
        ],
    )
    def test_of_nobody_elses_is_refused(self, command, answer, change, reason):
        refused = command(
            "token", "inspect", "-", "--json", stdin=change.format(answer["access_token"]), exit_code=1
        )
        assert reason in refused.stderr
        assert answer["access_token"][:40] not in refused.stderr


def test_an_audience_keeps_what_a_change_does_not_name(command):
    command("service-account", "create", "shop", "--not-composite")
    uri, rest = "https://change.example", ("--rendering", "delegated", "--introspect", "shop")
    command("audience", "add", uri, "--kind", "api", *rest)
    changed = command("audience", "change", uri, "--alg", "ES256", json=True).data
    assert (changed["alg"], changed["rendering"], changed["introspect"]) == ("ES256", "delegated", ["shop"])
    changed = command("audience", "change", uri, "--no-introspect", json=True).data
    assert (changed["alg"], changed["rendering"], changed["introspect"]) == ("ES256", "delegated", [])
    assert data(command, "audit list --limit 1")[0]["action"] == "tokens:audience:change"


def test_a_verifier_stays_bound_until_a_change_says_otherwise(command):
    command("audience", "add", "bound", "--kind", "verifier", "--project", "acme/webapp")
    assert data(command, "audience change bound --alg RS256")["projects"] == ["acme/webapp"]
    assert data(command, "audience change bound --no-project")["projects"] is None
    command("audience", "change", "bound", "--no-project", "--project", "acme/webapp", exit_code=2)


def test_an_algorithm_that_somebody_else_has_just_changed_is_not_set_back(command, monkeypatch):
    command("audience", "add", "https://raced.example", "--kind", "api")
    offering = Lifecycle.offering

    def overtaken(*arguments):
        monkeypatch.setattr(Lifecycle, "offering", offering)
        command("audience", "change", "https://raced.example", "--alg", "ES256")
        return offering(*arguments)

    monkeypatch.setattr(Lifecycle, "offering", overtaken)
    refused = command("audience", "change", "https://raced.example", "--rendering", "delegated", exit_code=1)
    assert "say it again" in refused.stderr
    changed = data(command, "audience change https://raced.example --rendering delegated")
    assert (changed["alg"], changed["rendering"]) == ("ES256", "delegated")


def test_a_user_keeps_what_a_change_does_not_name(command):
    command("user", "create", "dora", "--email", "dora@example.com", "--auditor")
    changed = data(command, "user change dora --email dora@acme.example --admin")
    assert [changed[key] for key in ("email", "admin", "auditor")] == ["dora@acme.example", True, True]
    changed = data(command, "user change dora --no-admin --no-auditor")
    assert [changed[key] for key in ("email", "admin", "auditor")] == ["dora@acme.example", False, False]
    command("user", "change", "nobody", "--admin", exit_code=1)


def test_each_version_of_a_configuration_is_shown(command, tmp_path):
    file = tmp_path / "agent-config.yml"
    texts = [f'flows: {{fix: {{script: ["echo {word}"]}}}}\n' for word in ("one", "two")]
    made = []
    for text in texts:
        file.write_text(text)
        made.append(
            command("project", "config", "set", "acme/webapp", "--file", str(file), json=True).data["id"]
        )
    show = ("project", "config", "show")
    assert command(*show, "acme/webapp").stdout == texts[1]
    assert [command(*show, "acme/webapp", "--version", str(each)).stdout for each in made] == texts
    command("project", "create", "acme/other")
    command(*show, "acme/other", "--version", str(made[0]), exit_code=1)

"""The command line's promise: shapes under `--json`, exit codes, clean stdout, an example in every help."""

import csv
import io
import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta

import click
import pytest

from app.cli import main
from app.clock import system_clock
from tests.support import sample_flow
from tests.support.sample_flow import FLOW, PROJECT

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
PRINCIPAL = re.compile(r"user:[1-9]\d*")
ACCOUNT = re.compile(r"service_account:[1-9]\d*")


class Maybe:
    """`null`, or what it holds."""

    def __init__(self, inner):
        self.inner = inner


class ListOf(Maybe):
    """Any number of them."""


def fits(value, kind) -> bool:
    match kind:
        case ListOf():
            return isinstance(value, list) and all(fits(each, kind.inner) for each in value)
        case Maybe():
            return value is None or fits(value, kind.inner)
        case re.Pattern():
            return isinstance(value, str) and kind.fullmatch(value) is not None
        case _:
            return type(value) is kind


NAMES = ListOf(str)
USER = {"id": int, "principal": PRINCIPAL, "login": str, "email": str, "active": bool}
SERVICE_ACCOUNT = {
    "id": int,
    "principal": ACCOUNT,
    "name": str,
    "client_id": re.compile(r"sa_[1-9]\d*"),
    "composite": bool,
    "active": bool,
}
DELEGATION = {
    "id": int,
    "user": PRINCIPAL,
    "service_account": ACCOUNT,
    "scopes": Maybe(NAMES),
    "project": Maybe(str),
    "expires_at": TIME,
    "revoked_at": Maybe(TIME),
}
RUN = {
    "id": int,
    "state": re.compile("pending|running|succeeded|failed|cancelled"),
    "reason": Maybe(str),
    "project": str,
    "flow": str,
    "user": PRINCIPAL,
    "service_account": ACCOUNT,
    "id_tokens": NAMES,
    "secrets": NAMES,
    "exit_code": Maybe(int),
    "started_at": Maybe(TIME),
    "ended_at": Maybe(TIME),
}
EVENT = {
    "at": TIME,
    "action": re.compile(r"[a-z]+:[a-z_]+:[a-z]+"),
    "outcome": re.compile("success|denied|failed"),
    "actor": str,
    "user": Maybe(PRINCIPAL),
    "service_account": Maybe(ACCOUNT),
    "project": Maybe(str),
    "run": Maybe(int),
    "jti": Maybe(str),
    "kid": Maybe(str),
    "request_id": Maybe(str),
    "detail": dict,
    "writer": int,
    "seq": int,
    "hash": re.compile("[0-9a-f]{64}"),
}
KEY = {
    "kid": re.compile(r"[\w-]{43}"),
    "alg": str,
    "state": re.compile("next|active|retired|removed|revoked"),
    "published_at": TIME,
    "activated_at": Maybe(TIME),
    "retired_at": Maybe(TIME),
    "removed_at": Maybe(TIME),
}
CLIENT_SECRET = {
    "id": int,
    "client_id": re.compile("sa_3"),
    "client_secret": re.compile(r"cssa_\S{43}"),
    "expires_at": Maybe(TIME),
}
PERSONAL_TOKEN = {"id": int, "token": re.compile(r"cspat_\S{43}"), "expires_at": Maybe(TIME), "scopes": NAMES}
TOKEN_ANSWER = {
    "access_token": re.compile(r"[\w-]+\.[\w-]+\.[\w-]+"),
    "token_type": re.compile("Bearer"),
    "expires_in": int,
    "scope": str,
}
PAIR = ("--user", "alice", "--service-account", "duo")

ONE = [
    ("user create carol --email carol@acme.example", USER),
    ("user disable bob", USER),
    ("user enable bob", USER),
    ("user token create alice --scope api --expires 30d", PERSONAL_TOKEN),
    ("user token create alice --scope api", PERSONAL_TOKEN),
    ("service-account create trio --not-composite", SERVICE_ACCOUNT),
    ("service-account disable duo", SERVICE_ACCOUNT),
    ("service-account enable duo", SERVICE_ACCOUNT),
    ("service-account secret create duo --expires 90d", CLIENT_SECRET),
    ("service-account secret create duo", CLIENT_SECRET),
    (f"delegation grant {' '.join(PAIR)} --scope code.read --project {PROJECT}", DELEGATION),
    (f"delegation grant {' '.join(PAIR)}", DELEGATION),
    ("delegation revoke 2", DELEGATION),
    (f"token issue {' '.join(PAIR)} --scope api", TOKEN_ANSWER),
    (f"flow start {FLOW} --project {PROJECT} {' '.join(PAIR)}", RUN),
    ("run show 1", RUN),
]
MANY = [
    ("user list", USER),
    ("service-account list", SERVICE_ACCOUNT),
    ("delegation list", DELEGATION),
    ("keys list", KEY),
    ("run list", RUN),
    ("audit list", EVENT),
]


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """Every command with a promised shape, once and in order, with what it printed."""
    sample = sample_flow.make(tmp_path_factory.mktemp("cli"))
    sample.configure_flow(id_tokens={"T": {"aud": "https://vault.example"}})
    return {words: sample.cli(*words.split(), json=True) for words, _ in (*ONE, *MANY)}


@pytest.mark.parametrize(("words", "shape"), ONE, ids=[words for words, _ in ONE])
def test_one_object_of_the_promised_shape(told, words, shape):
    assert_shape(told[words].data, shape)


@pytest.mark.parametrize(("words", "shape"), MANY, ids=[words for words, _ in MANY])
def test_an_array_of_objects_of_the_promised_shape(told, words, shape):
    rows = told[words].data
    assert rows
    for row in rows:
        assert_shape(row, shape)


def assert_shape(data, shape):
    wrong = {
        key: data.get(key, "absent") for key, kind in shape.items() if not fits(data.get(key, ...), kind)
    }
    assert not wrong
    for key, value in data.items():
        assert value is None or not key.endswith("_at") or TIME.fullmatch(value), key


def commands(command: click.Command = main, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """The leaves and the groups, but for hidden ones."""
    yield path, command
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            if not inner.hidden:
                yield from commands(inner, *path, name)


ALL = dict(commands())
LEAVES = {path: command for path, command in ALL.items() if not isinstance(command, click.Group)}


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_help_has_an_example_of_that_command(shared_flow, path):
    text = " ".join(shared_flow.cli(*path, "--help").stdout.split())
    example = re.search(r"Example: (countersign .*)", text)
    assert example
    assert " ".join(path) in example[1]


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_an_example_is_in_one_piece_on_the_narrowest_terminal(shared_flow, path):
    documented = [line for line in ALL[path].help.splitlines() if line.startswith("Example: ")]
    shown = [line.strip() for line in shared_flow.cli(*path, "--help").stdout.splitlines()]
    assert [line for line in shown if line.startswith("Example: ")] == documented


WITHOUT_JSON = {("serve",), ("try",)}
"""They print no data."""


@pytest.mark.parametrize("path", sorted(LEAVES.keys() - WITHOUT_JSON), ids=" ".join)
def test_every_command_takes_json(path):
    assert any("--json" in option.opts for option in LEAVES[path].params)


LISTS = [
    path
    for path, command in LEAVES.items()
    if path[-1] == "list"
    and path[0] not in {"keys", "audit"}
    and not any(param.required for param in command.params)
]


@pytest.mark.parametrize("path", LISTS, ids=" ".join)
def test_a_list_of_nothing_is_an_empty_array_or_says_how_to_begin(empty, path):
    assert empty.cli(*path, json=True).data == []
    plain = empty.cli(*path)
    assert plain.stdout == ""
    assert "countersign " in plain.stderr


REFUSED = [
    "user create alice --email alice@acme.example",
    "user disable nobody",
    "user enable nobody",
    "user token create nobody --scope api",
    "user token create alice --scope everything",
    "user token revoke 4711",
    "service-account create duo",
    "service-account disable nobody",
    "service-account secret create nobody",
    "service-account secret revoke duo 4711",
    "project create Not/A/Path",
    f"project create {PROJECT}",
    "project config set acme/nowhere --file FILE",
    f"project config set {PROJECT} --file FILE",
    f"project variable set {PROJECT} LD_PRELOAD=x",
    "project variable set acme/nowhere STAGE=x",
    f"member add {PROJECT} user:nobody --role developer",
    f"member add {PROJECT} group:all --role developer",
    f"member remove {PROJECT} user:nobody",
    "delegation grant --user nobody --service-account duo",
    "delegation grant --user duo --service-account alice",
    "delegation revoke 4711",
    "audience add sa_3 --kind verifier",
    "audience remove https://nowhere.example",
    "token issue --service-account duo --scope api",
    "token issue --service-account duo --user alice --scope everything",
    "token issue --service-account duo --user alice --resource https://nowhere.example",
    "token inspect FILE",
    f"flow start nowhere --project {PROJECT} {' '.join(PAIR)}",
    "run show 4711",
    "run log 4711",
    "run cancel 4711",
    "audit list --user nobody",
    "audit list --service-account nobody",
]


@pytest.mark.parametrize("words", REFUSED)
def test_a_refusal_is_exit_1_a_line_on_stderr_and_nothing_on_stdout(shared_flow, tmp_path, words):
    (tmp_path / "FILE").write_text("not: [what it should be")
    arguments = [str(tmp_path / "FILE") if word == "FILE" else word for word in words.split()]
    refused = shared_flow.cli(*arguments, exit_code=1, json=True)
    assert refused.stdout == ""
    assert refused.stderr.startswith("countersign: ")
    assert "Traceback" not in refused.stderr


def test_the_faults_of_a_file_are_what_the_linter_was_asked_for(shared_flow, tmp_path):
    """So that they are on stdout, as a run is that has failed (ADR 0021)."""
    (tmp_path / "FILE").write_text("not: [what it should be")
    found = shared_flow.cli("flow", "lint", str(tmp_path / "FILE"), exit_code=1, json=True)
    assert [fault["line"] for fault in found.data["faults"]] == [1]
    assert found.stderr.startswith(f"{tmp_path / 'FILE'}:1:")


WRONGLY_USED = [
    "nonsense",
    "user create",
    "user create alice",
    "user create dora --email d@acme.example --admin=very",
    "user token create alice --scope api --expires soon",
    "user token revoke one",
    f"member add {PROJECT} user:alice --role emperor",
    f"project variable set {PROJECT} NOVALUE",
    f"project variable set {PROJECT} A=1 A=2",
    f"project config set {PROJECT} --file /nowhere/at/all.yml",
    f"flow start {FLOW} --project {PROJECT} {' '.join(PAIR)} --input NOVALUE",
    "delegation grant --user alice",
    f"delegation grant {' '.join(PAIR)} --expires 3w",
    "audience add https://x.example --kind other",
    "audience add https://new.example --kind api --alg none",
    "audit list --limit 0",
    "audit list --since yesterday",
    "audit list --since 2026-11-22T10:00:00",
    "audit export --format xml",
    "audit export --format csv --json",
    "run show first",
    "serve --bind 8000",
    "serve --bind 127.0.0.1:0",
    "serve --bind 127.0.0.1:65536",
    "serve --bind 127.0.0.1:http",
]


@pytest.mark.parametrize("words", WRONGLY_USED)
def test_wrong_usage_is_exit_2(shared_flow, words):
    finished = shared_flow.cli(*words.split(), exit_code=2)
    assert finished.stdout == ""
    assert finished.stderr


@pytest.mark.parametrize("words", ["user list", "run list", "keys list", "audit list", "run show 1"])
def test_without_a_database_a_command_says_what_makes_one(tmp_path, words):
    refused = sample_flow.Installation(tmp_path).invoke(*words.split(), exit_code=1)
    assert "run countersign init" in refused.stderr
    assert refused.stdout == ""
    assert not (tmp_path / "var").exists()


def test_a_database_of_another_version_is_not_a_missing_one(tmp_path):
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "countersign.sqlite3").touch()
    refused = sample_flow.Installation(tmp_path).invoke("user", "list", exit_code=1)
    assert "run countersign db upgrade" in refused.stderr


def test_wrong_settings_are_all_named_at_once(tmp_path):
    installation = sample_flow.Installation(
        tmp_path, ISSUER="ftp://x", ID_TOKEN_TTL="never", AUDIENCE="open", SECRET_KEY="short-secret"
    )
    refused = installation.invoke("user", "list", exit_code=1)
    for name in ("ISSUER", "ID_TOKEN_TTL", "AUDIENCE is not a setting: did you mean", "SECRET_KEY"):
        assert f"COUNTERSIGN_{name}" in refused.stderr
    assert "short-secret" not in refused.stderr


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    installation = sample_flow.Installation(tmp_path_factory.mktemp("empty"))
    installation.invoke("init")
    return sample_flow.SampleFlow(installation, installation.folder)


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    """alice has run twice, bob once, and a cell of it would be a formula to a spreadsheet."""
    sample = sample_flow.make(tmp_path_factory.mktemp("ledger"))
    sample.configure_flow("true")
    for user in ("alice", "bob", "alice"):
        sample.start(user=user)
    sample.start("X=1", exit_code=1)
    return sample


def test_the_ledger_lists_the_newest_first(ledger):
    events = ledger.events("--limit", "1000")
    places = [(event["at"], event["writer"], event["seq"]) for event in events]
    assert places == sorted(places, reverse=True)
    starts = [event["outcome"] for event in events if event["action"] == "flows:run:create"]
    assert starts == ["denied", "success", "success", "success"]
    assert ledger.events("--limit", "3") == events[:3]
    assert events[0]["actor"].startswith("operator:")


@pytest.mark.parametrize(
    ("filters", "key", "value"),
    [
        (["--user", "alice"], "user", "user:1"),
        (["--service-account", "duo"], "service_account", "service_account:3"),
        (["--run", "2"], "run", 2),
        (["--run", "3", "--user", "alice"], "run", 3),
    ],
)
def test_the_ledger_can_be_narrowed(ledger, filters, key, value):
    every = ledger.events("--limit", "1000")
    some = ledger.events(*filters)
    assert some == [event for event in every if event[key] == value]
    assert 0 < len(some) < len(every)


def test_filters_exclude_each_other_where_nothing_fits_both(ledger):
    assert ledger.events("--run", "2", "--user", "alice") == []


def test_the_ledger_since_a_time_or_for_a_while(ledger):
    every = ledger.events("--limit", "1000")
    middle = every[len(every) // 2]
    assert ledger.events("--since", middle["at"]) == [event for event in every if event["at"] >= middle["at"]]
    assert ledger.events("--since", "1h", "--limit", "1000") == every
    assert ledger.events("--since", "0s") == []


def test_an_export_is_the_ledger_the_oldest_first(ledger):
    every = ledger.events("--limit", "1000")[::-1]
    lines = ledger.cli("audit", "export").stdout.splitlines()
    assert [json.loads(line) for line in lines] == every
    assert ledger.cli("audit", "export", json=True).data == every
    assert ledger.cli("audit", "export", "--since", "0s", json=True).data == []
    some = ledger.cli("audit", "export", "--run", "2").stdout.splitlines()
    assert [json.loads(line)["run"] for line in some] == [2] * len(some)


def test_an_export_for_spreadsheets_has_the_same_columns_and_no_formula(ledger):
    ledger.cli("project", "create", "acme/plain")
    every = ledger.events("--limit", "1000")[::-1]
    rows = list(csv.DictReader(io.StringIO(ledger.cli("audit", "export", "--format", "csv").stdout)))
    assert set(rows[0]) == set(every[0])
    assert [json.loads(row["detail"]) for row in rows] == [event["detail"] for event in every]
    assert [row["at"] for row in rows] == [event["at"] for event in every]
    assert not [cell for row in rows for cell in row.values() if cell.startswith(("=", "+", "-", "@"))]


@pytest.mark.parametrize("jti", ["-0Zp", "=1+1", "+1", "@SUM(A1)"])
def test_a_cell_that_looks_like_a_formula_is_quoted_for_spreadsheets(ledger, jti):
    """A `jti` is base64url, so one in 64 begins with a dash."""
    with closing(sqlite3.connect(ledger.database)) as connection, connection:
        connection.execute(
            "UPDATE audit_events SET jti = ? WHERE (writer, seq) ="
            " (SELECT writer, seq FROM audit_events WHERE jti IS NOT NULL LIMIT 1)",
            [jti],
        )
    rows = list(csv.DictReader(io.StringIO(ledger.cli("audit", "export", "--format", "csv").stdout)))
    assert f"'{jti}" in [row["jti"] for row in rows]


def test_a_secret_is_shown_once_and_stored_nowhere(ledger):
    shown = [
        ledger.cli("service-account", "secret", "create", "duo", json=True).data["client_secret"],
        ledger.cli("user", "token", "create", "alice", "--scope", "api", json=True).data["token"],
    ]
    content = b"".join(path.read_bytes() for path in ledger.database.parent.glob("countersign.sqlite3*"))
    export = ledger.cli("audit", "export").stdout
    for value in shown:
        assert value.encode() not in content
        assert value not in export


def test_a_token_is_inspected_from_stdin_and_never_given_as_an_argument(ledger):
    token = ledger.cli("token", "issue", *PAIR, "--scope", "code.read").stdout
    shown = ledger.cli("token", "inspect", "-", stdin=token, json=True).data
    assert shown["header"]["typ"] == "at+jwt"
    assert shown["claims"]["sub"] == "service_account:3"
    assert shown["expired"] is False
    for wrong in ([token.strip()], ["-", token.strip()]):
        refused = ledger.cli("token", "inspect", *wrong, exit_code=2)
        assert refused.stdout == ""
        assert "pipe the token in" in refused.stderr
        assert token[:10] not in refused.stderr


def test_init_may_be_run_again_and_changes_nothing(ledger):
    before = ledger.rows("SELECT kid, state FROM signing_keys ORDER BY kid")
    again = ledger.cli("init", json=True).data
    assert again == {"issuer": ledger.installation.issuer, "keys": 2}
    assert ledger.rows("SELECT kid, state FROM signing_keys ORDER BY kid") == before
    assert sorted(state for _, state in before) == ["active", "next"]


def test_a_delegation_lasts_30_days_unless_told_otherwise(ledger):
    before = system_clock()
    granted = ledger.cli("delegation", "grant", *PAIR, json=True).data["expires_at"]
    begins = datetime.fromisoformat(granted) - timedelta(days=30)
    assert before <= begins <= system_clock()


@pytest.mark.parametrize(
    ("option", "named"),
    [("--project", "there is no project 'acme/webap'"), ("--user", "there is no user 'alcie'")],
)
def test_a_name_that_is_not_there_is_no_empty_list_of_runs(ledger, option, named):
    refused = ledger.cli("run", "list", option, named.split("'")[1], exit_code=1)
    assert named in refused.stderr


def test_the_command_itself_works_as_a_process(ledger):
    assert (
        ledger.installation.run("user", "list", json=True).data == ledger.cli("user", "list", json=True).data
    )
    assert ledger.installation.run("user", "disable", "nobody", exit_code=1).stdout == ""
    plain = ledger.installation.run("run", "list").stdout
    assert "\x1b" not in plain

"""``countersign audit``, as somebody at a shell meets it."""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from tests.support.components import PASSPHRASE, SECRET_KEY
from tests.support.process import running
from tests.support.tools import ROOT

pytestmark = pytest.mark.timeout(900)  # dozens of start-ups


@pytest.fixture
def environment(tmp_path):
    return {
        "PATH": os.defpath,
        "COUNTERSIGN_HOME_DIR": str(tmp_path / "var"),
        "COUNTERSIGN_KEYS_DIR": str(tmp_path / "keys"),
        "COUNTERSIGN_KEYS_PASSPHRASE": PASSPHRASE,
        "COUNTERSIGN_SECRET_KEY": SECRET_KEY,
    }


@pytest.fixture
def shell(environment):
    def run(*words, code=0, **changed):
        command = [sys.executable, "-m", "app.cli", *map(str, words)]
        done = subprocess.run(command, env=environment | changed, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        return done

    run("init")
    return run


@pytest.fixture
def edit(tmp_path):
    def do(statement):
        connection = sqlite3.connect(tmp_path / "var" / "countersign.sqlite3")
        with connection:
            connection.execute(statement)
        connection.close()

    return do


@pytest.mark.slow
def test_an_edited_event_is_named_and_an_anchor_finds_a_cut_tail(shell, edit, tmp_path):
    shell("user", "create", "alice", "--email", "alice@example.com")
    assert "intact" in shell("audit", "verify").stdout
    anchor = tmp_path / "anchor.json"
    anchor.write_text(shell("audit", "head").stdout)
    printed = json.loads(anchor.read_text())
    assert printed.keys() == {"id", "at", "previous", "heads", "hash", "signature", "public_key"}
    assert json.loads(shell("audit", "head", "--json").stdout) == printed  # nothing has happened since
    report = json.loads(shell("audit", "verify", "--anchor", anchor, "--json").stdout)
    assert report["intact"]
    assert report["events"] > 2

    edit("UPDATE audit_events SET actor = 'user:13' WHERE action = 'identity:user:create'")
    bad = shell("audit", "verify", "--json", code=1)
    (found,) = json.loads(bad.stdout)["findings"]
    assert found["kind"] == "edited"
    assert f"event {found['writer']}/{found['seq']} was edited" in shell("audit", "verify", code=1).stdout
    edit("UPDATE audit_events SET actor = 'user:13' WHERE action = 'identity:user:create'")

    edit("DELETE FROM ledger_heads")
    edit("DELETE FROM ledger_checkpoints")
    bad = shell("audit", "verify", "--anchor", anchor, code=1)
    assert "its tail was cut off" in bad.stdout
    assert "countersign audit head --restored" in shell("audit", "head", code=1).stderr

    (tmp_path / "keys" / "ledger.pem").rename(tmp_path / "lost")
    assert "ledger.pem from a backup" in shell("audit", "verify", code=1).stderr
    (tmp_path / "lost").rename(tmp_path / "keys" / "ledger.pem")
    wrong = {"COUNTERSIGN_KEYS_PASSPHRASE": "another one of sixteen"}
    assert "COUNTERSIGN_KEYS_PASSPHRASE" in shell("audit", "head", "--restored", code=1, **wrong).stderr
    anchor.write_text("{}")
    assert "countersign audit head" in shell("audit", "verify", "--anchor", anchor, code=1).stderr


@pytest.mark.slow
def test_pages_filters_and_retention(shell):
    shell("user", "create", "alice", "--email", "alice@example.com")
    shell("service-account", "create", "duo")
    shell("delegation", "grant", "--user", "alice", "--service-account", "duo")
    everything = json.loads(shell("audit", "list", "--json").stdout)
    page = shell("audit", "list", "--json", "--limit", "2")
    cursor = page.stderr.split("--cursor ")[1].strip()
    rest = json.loads(shell("audit", "list", "--json", "--cursor", cursor).stdout)
    assert json.loads(page.stdout) + rest == everything
    assert "cursor" in shell("audit", "list", "--cursor", "x", code=1).stderr

    both = json.loads(shell("audit", "list", "--user", "alice", "--service-account", "duo", "--json").stdout)
    assert [row["action"] for row in both] == ["identity:delegation:grant"]
    for filters, expected in (
        (["--action", "identity:user:create"], 1),
        (["--outcome", "denied"], 0),
        (["--since", "1h", "--until", "30m"], 0),
        (["--until", "0s"], len(everything)),
        (["--jti", "none"], 0),
        (["--project", "acme/none"], 0),
    ):
        assert len(json.loads(shell("audit", "list", "--json", *filters).stdout)) == expected, filters
    shell("audit", "list", "--action", "no:such:thing", code=2)
    exported = shell("audit", "export", "--service-account", "duo").stdout.splitlines()
    assert [json.loads(line)["seq"] for line in exported]

    assert "nothing to prune" in shell("audit", "prune", "--before", "0s", code=1).stderr
    shell("audit", "head")
    done = json.loads(shell("audit", "prune", "--before", "0s", "--json").stdout)
    assert done["events"] == len(everything)
    assert [row["action"] for row in json.loads(shell("audit", "list", "--json").stdout)] == [
        "ledger:events:prune"
    ]
    report = json.loads(shell("audit", "verify", "--json").stdout)
    assert report["intact"]
    assert report["since"] == done["since"]


@pytest.mark.slow
def test_the_worker_signs_at_once_and_when_it_stops(shell, environment, tmp_path):
    def signed():
        with closing(sqlite3.connect(tmp_path / "var" / "countersign.sqlite3")) as connection:
            return connection.execute("SELECT count(*) FROM ledger_checkpoints").fetchone()[0]

    command = [sys.executable, "-m", "app.cli", "worker"]
    log = tmp_path / "worker.log"
    with running(
        command, ready=lambda: signed() == 1, log=log, env=environment, cwd=ROOT, patience=60
    ) as worker:
        shell("user", "create", "alice", "--email", "alice@example.com")
    assert worker.returncode == 0
    assert signed() == 2
    assert json.loads(shell("audit", "verify", "--json").stdout)["awaiting_checkpoint"] == 0

"""`countersign id-token` as a client: what it sends, to whom, how often, and what it says."""

import json
import os
import subprocess
import sys
import time
from datetime import timedelta
from itertools import chain, repeat
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import pytest

from app.flows.executors import steps_program
from app.flows.executors.local import LocalExecutor
from app.flows.executors.programs import programs
from app.flows.executors.steps_program import Refused, fresh_token
from tests.support.odd_server import OddServer, answer, hang_up, raw, serving

TOKEN = "csrun_" + "A" * 43
ANSWER = {"name": "VAULT_ID_TOKEN", "token": "a.b.c", "expires_at": "2026-11-22T10:10:00Z"}
GOOD = answer(200, json.dumps(ANSWER).encode())


def problem(status: int, detail: str, **headers: str):
    body = json.dumps({"title": "No", "detail": detail}).encode()
    return answer(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


def one_after_the_other(*behaviours):
    """The last one for ever."""
    left = chain(behaviours, repeat(behaviours[-1]))

    def behave(handler, server):
        next(left)(handler, server)

    return behave


def environment_of(server: OddServer) -> dict[str, str]:
    return {
        "COUNTERSIGN_ISSUER": server.address,
        "COUNTERSIGN_RUN_ID": "7",
        "COUNTERSIGN_RUN_TOKEN": TOKEN,
    }


def ask(server: OddServer):
    return fresh_token("VAULT_ID_TOKEN", environment_of(server))


def test_it_asks_the_issuer_with_the_run_token_as_a_bearer(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with serving(GOOD) as server:
        assert ask(server) == ANSWER
    [asked] = server.asked
    assert (asked.method, asked.path) == ("POST", "/api/v1/runs/7/id_tokens")
    assert asked.headers["Authorization"] == f"Bearer {TOKEN}"
    assert json.loads(asked.body) == {"name": "VAULT_ID_TOKEN"}


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_is_unavailable_is_asked_again(status):
    with serving(one_after_the_other(problem(status, "later", Retry_After="0"), GOOD)) as server:
        assert ask(server) == ANSWER
    assert len(server.asked) == 2


@pytest.mark.parametrize("behave", [problem(503, "The database does not answer.", Retry_After="0"), hang_up])
def test_but_not_for_ever(behave, monkeypatch):
    monkeypatch.setattr(steps_program, "_TRY_SECONDS", 0.5)
    with serving(behave) as server, pytest.raises(Refused, match="does not answer"):
        ask(server)
    assert 1 <= len(server.asked) <= 6


def pausing(monkeypatch, pause):
    """In this module alone: threads that other tests have left behind sleep as well."""
    monkeypatch.setattr(steps_program, "time", SimpleNamespace(monotonic=time.monotonic, sleep=pause))


def test_a_pause_is_as_the_server_says(monkeypatch):
    pauses = []
    pausing(monkeypatch, pauses.append)
    behaviours = [problem(503, "", Retry_After=each) for each in ("2", "7", "soon", "-1")]
    with serving(one_after_the_other(*behaviours, GOOD)) as server:
        ask(server)
    assert pauses == [2.0, 7.0, 1.0, 1.0]


@pytest.mark.parametrize("status", [429, 503])
def test_a_pause_beyond_its_time_is_a_refusal_at_once(status, monkeypatch):
    pausing(monkeypatch, pytest.fail)
    behave = problem(status, "in 57 seconds", Retry_After="57")
    with serving(behave) as server, pytest.raises(Refused, match="in 57 seconds"):
        ask(server)
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 500])
def test_a_refusal_is_told_in_its_own_words_once(status):
    with (
        serving(problem(status, "cancelled \x1b[2J; everything")) as server,
        pytest.raises(Refused) as refusal,
    ):
        ask(server)
    assert str(refusal.value) == "cancelled  [2J; everything"
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "behave",
    [
        answer(200, b"{}"),
        answer(200, b"<html>"),
        answer(200, b"[]"),
        answer(200, b"\xff"),
        raw(b"HTTP/1.1 2"),
    ],
)
def test_what_is_no_answer_of_the_issuers_is_refused(behave, monkeypatch):
    monkeypatch.setattr(steps_program, "_TRY_SECONDS", 0)
    with serving(behave) as server, pytest.raises(Refused):
        ask(server)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_the_run_token_follows_no_redirect(status):
    with serving(GOOD) as other, serving(answer(status, b"", {"Location": f"{other.address}/x"})) as server:
        with pytest.raises(Refused, match=f"HTTP status {status}"):
            ask(server)
        assert other.asked == []


@pytest.mark.parametrize("missing", steps_program.NEEDED)
def test_outside_of_a_run_it_says_what_is_missing(missing):
    whole = dict.fromkeys(steps_program.NEEDED, "x")
    with pytest.raises(Refused, match=f"{missing}: not set; this command works inside a run alone"):
        fresh_token("VAULT_ID_TOKEN", whole | {missing: ""})


@pytest.mark.parametrize(
    "own",
    [
        {"COUNTERSIGN_ISSUER": "file:///etc/passwd"},
        {"COUNTERSIGN_RUN_ID": "7/../8"},
        {"COUNTERSIGN_RUN_TOKEN": "csrun_é"},
    ],
)
def test_what_no_run_has_is_not_sent(own):
    with serving(GOOD) as server, pytest.raises(Refused, match="not as a run has them"):
        fresh_token("VAULT_ID_TOKEN", environment_of(server) | own)
    assert server.asked == []


@pytest.fixture
def installed(tmp_path):
    """The run's own directory of its search path."""
    for name, content in programs().items():
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o500)
    return tmp_path


def run(installed, environment, *words: str) -> subprocess.CompletedProcess[str]:
    own = {"PATH": f"{installed}:{os.defpath}", **environment}
    return subprocess.run(
        ["countersign", *words], env=own, cwd="/", capture_output=True, text=True, check=False
    )


def test_the_program_prints_the_token_alone_or_one_object(installed):
    with serving(GOOD) as server:
        environment = environment_of(server)
        plain = run(installed, environment, "id-token", "VAULT_ID_TOKEN")
        as_json = run(installed, environment, "id-token", "VAULT_ID_TOKEN", "--json")
    assert (plain.returncode, plain.stdout, plain.stderr) == (0, "a.b.c\n", "")
    assert (as_json.returncode, json.loads(as_json.stdout)) == (0, ANSWER)


def test_the_program_refuses_on_stderr(installed):
    with serving(problem(403, "cancelled")) as server:
        refused = run(installed, environment_of(server), "id-token", "VAULT_ID_TOKEN", "--json")
    assert (refused.returncode, refused.stdout, refused.stderr) == (1, "", "countersign: cancelled\n")
    misspelt = run(installed, {}, "run", "list")
    assert (misspelt.returncode, misspelt.stdout) == (2, "")
    assert "usage: countersign" in misspelt.stderr


def test_the_program_finds_a_python_where_ours_cannot_be_reached(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    for name, content in programs.__wrapped__().items():
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o500)
    helped = run(tmp_path, {"PATH": f"{tmp_path}:{sys.prefix}/bin:{os.defpath}"}, "--help")
    assert (helped.returncode, helped.stderr) == (0, "")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another account")
def test_the_account_of_the_steps_can_run_it():
    output: list[bytes] = []
    with TemporaryDirectory() as directory:
        Path(directory).chmod(0o711)
        executor = LocalExecutor(runs_dir=Path(directory) / "runs", user="nobody")
        with executor.workspace(7, "0" * 32) as workspace:
            outcome = executor.execute(
                workspace=workspace,
                script=["countersign id-token --help"],
                environment={"PATH": f"{workspace.programs}:{os.defpath}"},
                timeout=timedelta(seconds=60),
                output=output.append,
                cancelled=lambda: False,
            )
    assert (outcome.exit_code, outcome.reason) == (0, "the script ended with exit code 0"), b"".join(output)
    assert b"usage: countersign id-token" in b"".join(output)

"""A run's life: its states, its log, and that nothing of it outlives its end, whoever brings that about."""

import fcntl
import json
import os
import pty
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from app import worker
from app.cli import flows
from app.clock import system_clock
from app.flows import log
from app.flows.runs import ABANDONED_AFTER
from app.settings import Settings
from app.wiring import Components
from tests.support.family import alive_with
from tests.support.sample_flow import FLOW, PROJECT, SampleFlow
from tests.support.server import command

LINGER = 'touch "$OUT/running"; sleep 300 & sleep 301'
"""Says that it has begun, and then two processes only wait."""


def until(holds: Callable[[], object], *, patience: float = 120) -> None:
    deadline = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def newest(sample_flow: SampleFlow) -> dict[str, object]:
    run: dict[str, object] = sample_flow.cli("run", "list", json=True).data[0]
    return run


def steps_of(sample_flow: SampleFlow) -> dict[int, str]:
    """Processes that a run has started: they alone have its workspace for a home."""
    return alive_with(str(sample_flow.installation.folder / "var/runs"))


def transitions(sample_flow: SampleFlow, run: object) -> list[tuple[str, str]]:
    events = reversed(sample_flow.events("--run", str(run)))
    return [
        (e["action"].split(":")[-1], e["outcome"]) for e in events if e["action"].startswith("flows:run:")
    ]


def test_a_run_that_succeeds(sample_flow):
    sample_flow.configure_flow("echo one", "echo two >&2", "echo three")
    finished = sample_flow.start()
    run = finished.data
    assert (run["state"], run["reason"], run["exit_code"]) == ("succeeded", None, 0)
    assert finished.stderr.startswith("one\ntwo\nthree\n")
    assert run["created_at"] <= run["started_at"] <= run["ended_at"]
    assert run == sample_flow.cli("run", "show", str(run["id"]), json=True).data == newest(sample_flow)
    assert transitions(sample_flow, run["id"]) == [
        ("create", "success"),
        ("start", "success"),
        ("finish", "success"),
    ]
    assert sample_flow.rows("SELECT token_sha256 FROM runs") == [(None,)]


@pytest.mark.parametrize(("script", "code"), [("exit 7", 7), ("false", 1), ("kill -TERM $$", 143)])
def test_a_step_that_fails_ends_the_run_and_nothing_after_it_runs(sample_flow, script, code):
    sample_flow.configure_flow("echo before", script, 'touch "$OUT/ran"')
    failed = sample_flow.start(exit_code=1)
    run = failed.data
    assert (run["state"], run["exit_code"]) == ("failed", code)
    assert failed.stderr.startswith("before\n")
    assert f"run {run['id']} failed: {run['reason']}" in failed.stderr
    assert not (sample_flow.out / "ran").exists()
    assert transitions(sample_flow, run["id"])[-1] == ("finish", "failed")


def test_a_run_that_takes_too_long_is_ended_with_all_it_started(sample_flow):
    """Its time counts from its start: on a busy machine the first may be over before a step has begun."""
    for limit in ("1s", "10s", "60s"):
        sample_flow.configure_flow(LINGER, timeout=limit)
        run = sample_flow.start(exit_code=1).data
        assert (run["state"], run["exit_code"]) == ("failed", None)
        assert "time limit" in run["reason"]
        assert not steps_of(sample_flow)
        if (sample_flow.out / "running").exists():
            return
    pytest.fail("no step has ever begun")


def test_another_process_cancels_a_run_and_all_it_started_dies(sample_flow):
    sample_flow.configure_flow(LINGER)
    with sample_flow.starting() as process:
        until((sample_flow.out / "running").exists)
        run = newest(sample_flow)
        assert (run["state"], run["ended_at"], run["exit_code"]) == ("running", None, None)
        assert steps_of(sample_flow)
        sample_flow.cli("run", "cancel", str(run["id"]))
        assert process.wait(120) == 1
    assert not steps_of(sample_flow)
    ended = sample_flow.cli("run", "show", str(run["id"]), json=True).data
    assert ended["state"] == "cancelled"
    again = sample_flow.cli("run", "cancel", str(run["id"]), exit_code=1)
    assert "has ended already: it was cancelled" in again.stderr
    actions = [action for action, _ in transitions(sample_flow, run["id"])]
    assert actions == ["create", "start", "cancel", "finish"]


def test_a_run_that_has_ended_cannot_be_cancelled(sample_flow):
    sample_flow.configure_flow("true")
    run = sample_flow.start().data["id"]
    refused = sample_flow.cli("run", "cancel", str(run), exit_code=1)
    assert "has ended already: it succeeded" in refused.stderr


def test_killing_who_executes_a_run_kills_its_steps_and_housekeeping_ends_it(sample_flow):
    sample_flow.configure_flow(LINGER)
    with sample_flow.starting() as process:
        until((sample_flow.out / "running").exists)
        process.kill()
        process.wait()
        until(lambda: not steps_of(sample_flow))
    assert newest(sample_flow)["state"] == "running"
    [workspace] = (sample_flow.installation.folder / "var/runs").iterdir()
    until(lambda: is_left(workspace))
    keep_house(sample_flow, later=timedelta(0))
    run = newest(sample_flow)
    assert (run["state"], run["reason"]) == ("failed", "the process that executed it is gone")
    assert transitions(sample_flow, run["id"])[-1] == ("finish", "failed")
    assert not list((sample_flow.installation.folder / "var/runs").iterdir())


def is_left(workspace: Path) -> bool:
    """The two processes of the launcher hold it a moment longer than the steps live."""
    directory = os.open(workspace, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(directory)
    return True


def keep_house(sample_flow: SampleFlow, *, later: timedelta) -> None:
    """What the worker process does, some time from now."""
    settings = Settings.from_env(sample_flow.installation.environment)
    components = Components(settings, lambda: system_clock() + later)
    worker.keep_house(components.database, components.clock, components.executor, settings.log_retention)
    components.database.dispose()


def test_housekeeping_leaves_a_run_alone_that_is_executed(sample_flow):
    sample_flow.configure_flow(LINGER)
    with sample_flow.starting() as process:
        until((sample_flow.out / "running").exists)
        keep_house(sample_flow, later=ABANDONED_AFTER / 2)
        assert process.poll() is None
        assert newest(sample_flow)["state"] == "running"
        assert steps_of(sample_flow)


def test_a_run_that_somebody_else_has_ended_stops(sample_flow):
    """A process that slept through its own funeral must not go on with a run that has failed."""
    sample_flow.configure_flow(LINGER)
    with sample_flow.starting() as process:
        until((sample_flow.out / "running").exists)
        keep_house(sample_flow, later=2 * ABANDONED_AFTER)
        assert newest(sample_flow)["state"] == "failed"
        assert process.wait(120) == 1
    assert not steps_of(sample_flow)
    assert newest(sample_flow)["state"] == "failed"


def test_steps_do_not_steer_the_terminal_of_who_starts_the_run(sample_flow):
    sample_flow.configure_flow(r"printf '\033[2J\033]52;c;aGk=\007\033[31mred\033[0m true\rfalse\n'")
    ours, theirs = pty.openpty()
    words = ("--project", PROJECT, "--user", "alice", "--service-account", "duo")
    with open(theirs, "wb") as terminal:  # noqa: PTH123 - a descriptor
        installation = sample_flow.installation
        subprocess.run(
            [*command(), "flow", "start", FLOW, *words],
            env=installation.environment,
            cwd=installation.folder,
            stdin=subprocess.DEVNULL,
            stdout=terminal,
            stderr=subprocess.DEVNULL,
            check=True,
        )
    said = all_of(ours).replace(b"\r\n", b"\n")
    assert said == b"]52;c;aGk=\x1b[31mred\x1b[0m true\nfalse\n"


def all_of(terminal: int) -> bytes:
    """What was written to it by those who have closed it, whereupon it has no more to read but an error."""
    said = b""
    with open(terminal, "rb", buffering=0) as shown, suppress(OSError):
        while more := shown.read(4096):
            said += more
    return said


def test_the_log_is_followed_while_the_run_is_going_on(sample_flow):
    sample_flow.configure_flow('echo begun; until test -e "$OUT/go"; do sleep 0.1; done; echo ended')
    with sample_flow.starting() as process:
        until(lambda: sample_flow.count("run_log_chunks"))
        run = str(newest(sample_flow)["id"])
        with subprocess.Popen(
            [*command(), "run", "log", run, "--follow"],
            env=sample_flow.installation.environment,
            stdout=subprocess.PIPE,
            text=True,
        ) as follower:
            assert follower.stdout is not None
            assert follower.stdout.readline() == "begun\n"
            assert sample_flow.cli("run", "log", run).stdout == "begun\n"
            (sample_flow.out / "go").touch()
            assert follower.stdout.read() == "ended\n"
        assert follower.returncode == 0
        assert process.wait(120) == 0
    assert sample_flow.cli("run", "log", run, json=True).data == {"id": int(run), "log": "begun\nended\n"}


def test_a_long_log_is_whole_and_in_order(sample_flow):
    sample_flow.configure_flow("seq 1 200000")
    run = sample_flow.start().data["id"]
    expected = "".join(f"{number}\n" for number in range(1, 200_001))
    assert sample_flow.cli("run", "log", str(run)).stdout == expected
    chunks = sample_flow.rows('SELECT "offset", length(content) FROM run_log_chunks ORDER BY "offset"')
    assert len(chunks) > 1
    ends = [offset + length for offset, length in chunks]
    assert [offset for offset, _ in chunks] == [0, *ends[:-1]]


def test_a_log_is_stored_up_to_a_limit_and_the_run_goes_on(sample_flow, monkeypatch):
    monkeypatch.setattr(log, "LARGEST_LOG", 100_000)
    sample_flow.configure_flow("seq 1 200000", "echo done")
    finished = sample_flow.start()
    said = "".join(f"{number}\n" for number in range(1, 200_001)) + "done\n"
    assert finished.data["state"] == "succeeded"
    assert finished.stderr.startswith(said)
    stored = sample_flow.cli("run", "log", str(finished.data["id"])).stdout
    assert stored[:100_000] == said[:100_000]
    assert stored[100_000:] == (
        "\n[countersign: the log has reached 50 MB; the run goes on, the rest is not stored]\n"
    )


def test_a_log_is_read_from_an_offset_searched_and_had_raw(sample_flow):
    sample_flow.configure_flow("printf 'one\\n\\033[31mTwo\\033[0m\\033[2J\\nthree\\n'")
    run = str(sample_flow.start().data["id"])
    assert sample_flow.cli("run", "log", run).stdout == "one\n\x1b[31mTwo\x1b[0m\nthree\n"
    raw = sample_flow.cli("run", "log", run, "--raw").stdout
    assert raw == "one\n\x1b[31mTwo\x1b[0m\x1b[2J\nthree\n"
    assert sample_flow.cli("run", "log", run, "--raw", "--offset", "4").stdout == raw[4:]
    assert sample_flow.cli("run", "log", run, "--search", "THREE").stdout.split() == [
        f"{raw.index('three')}:",
        "three",
    ]
    found = sample_flow.cli("run", "log", run, "--search", "two", json=True).data
    assert found == {"id": int(run), "found": [{"offset": 4, "line": raw.splitlines()[1]}]}
    assert (
        sample_flow.cli("run", "log", "99", "--search", "x", exit_code=1)
        .stderr.strip()
        .endswith("there is no run 99")
    )


def started(sample_flow: SampleFlow, *options: str) -> subprocess.Popen[str]:
    pair = ("--user", "alice", "--service-account", "duo")
    return subprocess.Popen(
        [*command(), "flow", "start", FLOW, "--project", PROJECT, *pair, *options],
        env=sample_flow.installation.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_run_goes_on_when_nobody_reads_its_log(sample_flow):
    """`countersign flow start … | head -1`"""
    sample_flow.configure_flow(
        "echo one", 'until test -e "$OUT/go"; do sleep 0.1; done', "seq 1 50000", "echo end"
    )
    with started(sample_flow) as process:
        assert process.stdout.readline() == "one\n"
        process.stdout.close()
        (sample_flow.out / "go").touch()
        assert process.wait(120) == 0, process.stderr.read()
    run = newest(sample_flow)
    assert run["state"] == "succeeded"
    assert sample_flow.cli("run", "log", str(run["id"])).stdout.endswith("\n50000\nend\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_interrupted_prints_that_it_is_cancelled(sample_flow, number):
    sample_flow.configure_flow(LINGER)
    with started(sample_flow, "--json") as process:
        until((sample_flow.out / "running").exists)
        process.send_signal(number)
        printed, told = process.communicate(timeout=120)
    assert process.returncode == 1
    assert json.loads(printed) == newest(sample_flow)
    assert newest(sample_flow)["state"] == "cancelled"
    assert "Traceback" not in told
    assert not steps_of(sample_flow)


def test_a_log_whose_following_is_interrupted_is_printed_so_far(sample_flow, monkeypatch):
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    sample_flow.configure_flow("echo begun", LINGER)
    with sample_flow.starting():
        until(lambda: sample_flow.count("run_log_chunks"))
        monkeypatch.setattr(flows, "time", SimpleNamespace(sleep=interrupt))
        followed = sample_flow.cli("run", "log", "1", "--follow", json=True, exit_code=1)
    assert followed.data == {"id": 1, "log": "begun\n"}


def test_the_newest_run_is_listed_first(sample_flow):
    sample_flow.configure_flow("true")
    for user in ("alice", "bob"):
        sample_flow.start(user=user)
    runs = sample_flow.cli("run", "list", json=True).data
    assert [run["id"] for run in runs] == [2, 1]
    assert [run["user_login"] for run in runs] == ["bob", "alice"]
    table = sample_flow.cli("run", "list").stdout
    assert table.count("succeeded") == 2


def test_ids_are_never_reused(sample_flow):
    sample_flow.configure_flow("true")
    first = sample_flow.start().data["id"]
    assert sample_flow.start().data["id"] > first
    sequences = dict(sample_flow.rows("SELECT name, seq FROM sqlite_sequence"))
    assert sequences["runs"] >= 2


def remove_human(flow):
    flow.cli("member", "remove", PROJECT, "user:alice")


def remove_account(flow):
    flow.cli("member", "remove", PROJECT, "service_account:duo")


def demote_human(flow):
    flow.cli("member", "add", PROJECT, "user:alice", "--role", "reporter")


def demote_account(flow):
    flow.cli("member", "add", PROJECT, "service_account:duo", "--role", "guest")


def disable_human(flow):
    flow.cli("user", "disable", "alice")


def disable_account(flow):
    flow.cli("service-account", "disable", "duo")


def revoke_delegation(flow):
    flow.cli("delegation", "revoke", "1")


def delegate_for_another_project(flow):
    revoke_delegation(flow)
    flow.add_project("acme/other")
    parties = ("--user", "alice", "--service-account", "duo")
    flow.cli("delegation", "grant", *parties, "--project", "acme/other")


def let_delegation_expire(flow):
    revoke_delegation(flow)
    flow.cli("delegation", "grant", "--user", "alice", "--service-account", "duo", "--expires", "1s")
    expires_at = flow.cli("delegation", "list", json=True).data[-1]["expires_at"]
    until(lambda: system_clock() > datetime.fromisoformat(expires_at))


REFUSED = [
    (remove_human, "human: alice is no member in acme/webapp"),
    (demote_human, "human: alice is reporter in acme/webapp; flow.start needs developer"),
    (remove_account, "service_account: duo is no member in acme/webapp"),
    (demote_account, "service_account: duo is guest in acme/webapp; flow.start needs developer"),
    (disable_human, "active: alice is disabled"),
    (disable_account, "active: duo is disabled"),
    (revoke_delegation, "the delegation was revoked"),
    (delegate_for_another_project, "delegation: the delegation is for one project, and not for this"),
    (let_delegation_expire, "the delegation has expired"),
]


@pytest.mark.parametrize(("lose", "says"), REFUSED, ids=[lose.__name__ for lose, _ in REFUSED])
def test_both_have_to_be_entitled_when_a_run_is_made(sample_flow, lose, says):
    sample_flow.configure_flow('touch "$OUT/ran"')
    lose(sample_flow)
    refused = sample_flow.start(exit_code=1)
    assert says in refused.stderr
    assert refused.stdout == ""
    assert sample_flow.count("runs") == sample_flow.count("issued_tokens") == 0
    assert not (sample_flow.out / "ran").exists()
    [newest_event] = sample_flow.events("--limit", "1")
    assert (newest_event["action"], newest_event["outcome"]) == ("flows:run:create", "denied")
    assert says in newest_event["detail"]["cause"]
    assert (newest_event["user"], newest_event["service_account"]) == ("user:1", "service_account:3")


def test_the_other_human_is_not_touched_by_it(sample_flow):
    sample_flow.configure_flow("true")
    disable_human(sample_flow)
    assert sample_flow.start(user="bob").data["state"] == "succeeded"


def test_an_account_that_acts_in_its_own_name_runs_no_flow(sample_flow):
    sample_flow.cli("service-account", "create", "robot", "--not-composite")
    sample_flow.configure_flow("true")
    refused = sample_flow.start(account="robot", exit_code=1)
    assert "service_account: robot acts in its own name, for no human" in refused.stderr


def test_signing_that_fails_never_lets_a_run_start_without_its_tokens(sample_flow):
    sample_flow.configure_flow('touch "$OUT/ran"', id_tokens={"T": {"aud": "https://vault.example"}})
    for key in (sample_flow.installation.folder / "keys").glob("*.pem"):
        key.rename(key.with_suffix(".away"))
    failed = sample_flow.start(exit_code=1)
    assert failed.data["state"] == "failed"
    assert "the private key" in failed.data["reason"]
    assert "restore it from a backup" in failed.data["reason"]
    assert not (sample_flow.out / "ran").exists()
    assert sample_flow.count("issued_tokens") == 0


def behind_https(sample_flow: SampleFlow) -> None:
    sample_flow.installation.environment.update(
        COUNTERSIGN_ISSUER="https://issuer.example",
        COUNTERSIGN_KEYS_PASSPHRASE=(sample_flow.installation.folder / "var/keys-passphrase").read_text(),
        COUNTERSIGN_SECRET_KEY="0123456789abcdef0123456789abcdef",
    )


def test_behind_https_no_step_runs_without_an_account_of_its_own(sample_flow):
    sample_flow.configure_flow('touch "$OUT/ran"')
    behind_https(sample_flow)
    failed = sample_flow.start(exit_code=1)
    assert "set COUNTERSIGN_LOCAL_EXECUTOR_USER" in failed.data["reason"]
    assert not (sample_flow.out / "ran").exists()
    assert sample_flow.count("issued_tokens") == 0


def test_a_host_that_only_serves_tokens_has_no_fault(sample_flow):
    behind_https(sample_flow)
    checked = sample_flow.cli("doctor", json=True)
    assert {row["check"]: row["fault"] for row in checked.data}["local runs"] is None
    assert "no flow runs on this host: " in checked.stderr
    assert "set COUNTERSIGN_LOCAL_EXECUTOR_USER" in checked.stderr


def test_every_token_of_a_run_has_its_row_and_its_ledger_row(sample_flow):
    id_tokens = {name: {"aud": "https://vault.example"} for name in ("ONE", "TWO")}
    sample_flow.configure_flow(id_tokens=id_tokens)
    run = sample_flow.start().data
    given = sample_flow.given()
    shown = [
        sample_flow.cli("token", "inspect", "-", stdin=given[name], json=True).data
        for name in ("ONE", "TWO", "COUNTERSIGN_ACCESS_TOKEN")
    ]
    jtis = {token["claims"]["jti"] for token in shown}
    assert {
        jti for (jti,) in sample_flow.rows("SELECT jti FROM issued_tokens WHERE run_id = ?", run["id"])
    } == jtis
    minted = [event for event in sample_flow.events("--run", str(run["id"])) if event["jti"]]
    assert {event["jti"] for event in minted} == jtis
    assert {event["kid"] for event in minted} == {token["header"]["kid"] for token in shown}
    assert {event["action"] for event in minted} == {"tokens:id_token:issue", "tokens:access_token:issue"}
    assert {(event["user"], event["service_account"], event["project"]) for event in minted} == {
        ("user:1", "service_account:3", PROJECT)
    }

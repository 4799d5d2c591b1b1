"""A run lives no longer than what it lives from, and says why it had to end."""

import time
from contextlib import suppress
from pathlib import Path

import pytest

from app.flows.start import StartRequest, start
from app.ledger.record import Actor
from app.settings import Settings
from app.wiring import Components
from tests.support.sample_flow import FLOW, PROJECT, SampleFlow

pytestmark = pytest.mark.slow

VERIFIER = "https://vault.acme.example"
WAIT = (
    'printf "%s" "$COUNTERSIGN_ACCESS_TOKEN" > "$OUT/token"',
    'sleep 300 & echo $! > "$OUT/pid.new"; mv "$OUT/pid.new" "$OUT/pid"; wait',
)
"""Steps that leave their token and the number of a process of theirs, and then do not end by themselves."""

BOUND = 120
"""Seconds that a busy machine may take; of their own accord the steps go on for longer."""

ENDINGS = {
    "kill --run": (("kill", "--run", "1", "--reason", "stop it"), "stop it"),
    "kill --user": (("kill", "--user", "alice", "--reason", "laptop stolen"), "laptop stolen"),
    "kill --service-account": (("kill", "--service-account", "duo", "--reason", "leaked"), "leaked"),
    "kill --delegation": (("kill", "--delegation", "1", "--reason", "enough"), "enough"),
    "delegation revoke": (("delegation", "revoke", "1"), "delegation 1 was revoked"),
    "user disable": (("user", "disable", "alice"), "alice is disabled"),
    "service-account disable": (("service-account", "disable", "duo"), "duo is disabled"),
    "member remove": (("member", "remove", PROJECT, "user:alice"), "alice is no member"),
    "member add, weaker": (("member", "add", PROJECT, "user:alice", "--role", "guest"), "alice is guest"),
    "run cancel": (("run", "cancel", "1"), "cancelled"),
}


@pytest.fixture
def flow(sample_flow: SampleFlow) -> SampleFlow:
    sample_flow.configure_flow(*WAIT, id_tokens={"VAULT_ID_TOKEN": {"aud": VERIFIER}})
    return sample_flow


def until(condition, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def step_of(flow: SampleFlow) -> int:
    """The process that the steps wait for, by its number outside of the run's namespace."""
    until((flow.out / "pid").exists)
    marker = str(flow.out).encode()
    found: list[int] = []

    def is_found() -> bool:
        """The shell tells its child's number before the child has become `sleep`."""
        found.extend(pid for pid in numbers_of_processes() if is_step(pid, marker))
        return bool(found)

    until(is_found)
    return found[0]


def numbers_of_processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def is_step(pid: int, marker: bytes) -> bool:
    process = Path(f"/proc/{pid}")
    with suppress(OSError):
        is_sleep = b"sleep\x00300" in (process / "cmdline").read_bytes()
        return is_sleep and marker in (process / "environ").read_bytes()
    return False


def inspected(flow: SampleFlow) -> dict[str, object]:
    token = (flow.out / "token").read_text()
    found: dict[str, object] = flow.cli("token", "inspect", "-", stdin=token, json=True).data
    return found


@pytest.mark.parametrize(("ending", "says"), ENDINGS.values(), ids=ENDINGS)
def test_the_run_ends_as_cancelled_within_its_bound(flow, ending, says):
    """The executing process asks twice a second; nothing else would end it for minutes."""
    with flow.starting() as process:
        step = step_of(flow)
        assert inspected(flow)["active"] is True
        flow.cli(*ending)
        assert process.wait(BOUND) == 1
    assert not is_running(step)
    run = flow.cli("run", "show", "1", json=True).data
    assert run["state"] == "cancelled"
    assert says in run["reason"]
    assert inspected(flow)["active"] is False
    finish = next(event for event in flow.events("--run", "1") if event["action"] == "flows:run:finish")
    assert (finish["user"], finish["service_account"]) == (run["user"], run["service_account"])
    assert says in finish["detail"]["reason"]


def test_the_answer_tells_what_died_and_what_cannot_be_undone(flow):
    with flow.starting() as process:
        step_of(flow)
        words = ("kill", "--user", "alice", "--reason", "laptop stolen")
        killed = flow.cli(*words, json=True).data
        process.wait(BOUND)
    assert killed.pop("at").endswith("Z")
    assert killed.pop("accepted_offline_until").endswith("Z")
    assert killed == {
        "kind": "user",
        "target": "user:1",
        "reason": "laptop stolen",
        "access_tokens": 1,
        "id_tokens": 1,
        "runs": [1],
        "personal_access_tokens": [],
        "audiences": sorted([f"{flow.installation.issuer}/api/v1", VERIFIER]),
    }
    again = flow.cli(*words).stdout
    assert "0 access tokens" in again
    assert VERIFIER in again


@pytest.mark.parametrize(
    "words",
    [
        ("--reason", "x"),
        ("--user", "alice"),
        ("--user", "alice", "--run", "1", "--reason", "x"),
    ],
)
def test_a_kill_names_one_target_and_a_reason(flow, words):
    assert flow.cli("kill", *words, exit_code=2).stdout == ""


@pytest.mark.parametrize(("kind", "name"), [("user", "nobody"), ("run", "99"), ("token", "none")])
def test_a_kill_of_nothing_is_refused(flow, kind, name):
    refused = flow.cli("kill", f"--{kind}", name, "--reason", "x", exit_code=1, json=True)
    assert refused.stdout == ""
    assert refused.stderr


def test_a_runs_token_dies_with_a_run_that_succeeds(flow):
    flow.configure_flow(WAIT[0])
    run = flow.start().data
    assert run["state"] == "succeeded"
    found = inspected(flow)
    assert (found["active"], found["expired"], found["reason"]) == (False, False, "cut off")


def test_a_pending_run_that_is_killed_never_begins(flow):
    """As when it waits for a worker: nothing is minted for it."""
    run_id = pending(flow)
    flow.cli("kill", "--user", "alice", "--reason", "laptop stolen")
    run = flow.cli("run", "show", str(run_id), json=True).data
    assert (run["state"], run["reason"]) == ("cancelled", "killed before it began: laptop stolen")
    assert flow.count("issued_tokens") == 0


def pending(flow: SampleFlow) -> int:
    """A run that was saved, and that nobody executes."""
    components = Components(Settings.from_env(flow.installation.environment))
    request = StartRequest(
        project=PROJECT, flow=FLOW, user="alice", service_account="duo", inputs={}, source="test"
    )
    try:
        return start(components.database, components.clock, request, Actor(name="operator:tester"))
    finally:
        components.database.dispose()

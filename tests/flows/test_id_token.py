"""`countersign id-token` in the steps of a run, against the server; and what of it may be in the log."""

import json
import subprocess
import time

import pytest
import requests

from tests.support.components import parts
from tests.support.leaks import leaks
from tests.support.sample_flow import SampleFlow, make
from tests.support.server import command
from tests.support.traces import watched_arguments

pytestmark = pytest.mark.slow

VERIFIER = "https://vault.acme.example"
ID_TOKENS = {"VAULT_ID_TOKEN": {"aud": VERIFIER, "ttl": "1m"}}
ENCODINGS = (
    "cat",
    "base64 -w 0",
    "base64 -w 19",
    "fold -w 11",
    "od -An -tx1 -v | tr -d '\\n'",
    "sed 's/./&\\x1b[0m/20'",
)


@pytest.fixture(scope="module")
def flow(tmp_path_factory) -> SampleFlow:
    sample = make(tmp_path_factory.mktemp("sample"))
    with sample.installation.serve():
        yield sample


def until(condition, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def log_of(flow: SampleFlow, number: int) -> bytes:
    rows = flow.rows("SELECT content FROM run_log_chunks WHERE run_id = ? ORDER BY offset", number)
    return b"".join(content for (content,) in rows)


def test_a_step_mints_anew_with_nothing_but_its_environment(flow):
    flow.configure_flow(
        'countersign id-token VAULT_ID_TOKEN > "$OUT/first"',
        'countersign id-token VAULT_ID_TOKEN --json > "$OUT/second"',
        'printf "%s" "$VAULT_ID_TOKEN" > "$OUT/given"',
        id_tokens=ID_TOKENS,
    )
    with watched_arguments() as arguments:
        run = flow.start().data
    first = (flow.out / "first").read_text()
    second = json.loads((flow.out / "second").read_text())
    assert first.endswith("\n")
    assert second.keys() == {"name", "token", "expires_at"}
    tokens = [(flow.out / "given").read_text(), first.strip(), second["token"]]
    claims = [parts(token)[1] for token in tokens]
    assert len({each["jti"] for each in claims}) == 3
    assert {(each["sub"], each["aud"], each["run_id"]) for each in claims} == {
        ("project_path:acme/webapp:flow:deploy", VERIFIER, str(run["id"]))
    }
    assert not [each for each in arguments if b"csrun_" in each]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_token_that_was_minted_anew_is_masked_in_the_log(flow, encoding):
    flow.configure_flow(
        'countersign id-token VAULT_ID_TOKEN > "$OUT/fresh"',
        f'tr -d "\\n" < "$OUT/fresh" | {encoding}; echo; echo nothing else',
        id_tokens=ID_TOKENS,
    )
    run = flow.start().data
    log = log_of(flow, run["id"])
    assert b"[MASKED]" in log
    assert log.endswith(b"nothing else\n")
    token = (flow.out / "fresh").read_text().strip()
    assert leaks(token, log, public=(token.partition(".")[0],)) == set()
    assert flow.count("tokens_to_mask") == 0


KEEP_RUN_TOKEN = (
    'printf "%s" "$COUNTERSIGN_RUN_TOKEN" > "$OUT/run_token.new"; mv "$OUT/run_token.new" "$OUT/run_token"'
)


def outside(flow: SampleFlow, number: int) -> subprocess.CompletedProcess[str]:
    """The installed command, with what a run had and nothing else."""
    environment = {
        "COUNTERSIGN_ISSUER": flow.installation.issuer,
        "COUNTERSIGN_RUN_ID": str(number),
        "COUNTERSIGN_RUN_TOKEN": (flow.out / "run_token").read_text(),
    }
    words = [*command(), "id-token", "VAULT_ID_TOKEN", "--json"]
    return subprocess.run(words, env=environment, cwd="/", capture_output=True, text=True, check=False)


def test_a_long_run_mints_again_and_again_and_is_refused_one_second_after_its_cancellation(flow):
    """An hour, scaled: each turn of the loop stands for ten minutes."""
    (flow.out / "run_token").unlink(missing_ok=True)
    flow.configure_flow(
        KEEP_RUN_TOKEN,
        'for turn in 1 2 3 4 5 6; do countersign id-token VAULT_ID_TOKEN >> "$OUT/tokens"; sleep 0.1; done',
        "while :; do sleep 0.1; done",
        id_tokens=ID_TOKENS,
    )
    tokens = flow.out / "tokens"
    with flow.starting() as process:
        until(lambda: tokens.exists() and tokens.read_text().count("\n") >= 6)
        number = flow.cli("run", "list", json=True).data[0]["id"]
        assert parts(json.loads(outside(flow, number).stdout)["token"])[1]["run_id"] == str(number)
        flow.cli("run", "cancel", str(number))
        minted = flow.rows("SELECT count(*) FROM issued_tokens WHERE run_id = ?", number)
        time.sleep(1)
        refused = outside(flow, number)
        process.wait(120)
    assert len({parts(each)[1]["jti"] for each in tokens.read_text().split()}) >= 6
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("countersign: ")
    assert flow.rows("SELECT count(*) FROM issued_tokens WHERE run_id = ?", number) == minted
    assert flow.cli("run", "show", str(number), json=True).data["state"] == "cancelled"


def test_after_the_run_nobody_mints_with_what_it_had(flow):
    flow.configure_flow(KEEP_RUN_TOKEN, id_tokens=ID_TOKENS)
    done = outside(flow, flow.start().data["id"])
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "countersign: The credentials are not valid here.\n"


def test_in_a_run_there_is_no_other_command(flow):
    flow.configure_flow(
        'countersign user list 2> "$OUT/refused" || echo $? > "$OUT/code"',
        'countersign id-token OTHER_TOKEN 2>> "$OUT/refused" || echo $? >> "$OUT/code"',
        id_tokens=ID_TOKENS,
    )
    flow.start()
    assert (flow.out / "code").read_text().split() == ["2", "1"]
    assert (
        "OTHER_TOKEN is no ID token of the flow, which declares VAULT_ID_TOKEN"
        in (flow.out / "refused").read_text()
    )


def answered(method: str, url: str, headers: dict[str, str], body: dict[str, str]) -> requests.Response:
    """By whoever has the database: 503 says that it was busy for longer than a request waits."""
    answers: list[requests.Response] = []

    def is_answered() -> bool:
        answers.append(requests.request(method, url, headers=headers, json=body, timeout=60))
        return answers[-1].status_code != 503

    until(is_answered)
    return answers[-1]


def test_a_run_token_opens_nothing_else(flow):
    """Every other door, while the run lives; and its access token does not open this one."""
    flow.configure_flow(
        KEEP_RUN_TOKEN,
        "sleep 300",
        id_tokens=ID_TOKENS,
    )
    (flow.out / "run_token").unlink(missing_ok=True)
    issuer = flow.installation.issuer
    with flow.starting() as process:
        until((flow.out / "run_token").exists)
        bearer = {"Authorization": f"Bearer {(flow.out / 'run_token').read_text()}"}
        number = flow.cli("run", "list", json=True).data[0]["id"]
        for method, path in (
            ("GET", "/api/v1/me"),
            ("GET", f"/api/v1/runs/{number}"),
            ("GET", f"/api/v1/runs/{number}/log"),
            ("POST", f"/api/v1/runs/{number}/cancel"),
            ("POST", "/api/v1/projects/acme/webapp/flows/deploy/runs"),
            ("POST", "/api/v1/delegations"),
            ("POST", "/access/v1/evaluation"),
            ("POST", "/oauth/token"),
            ("POST", "/oauth/introspect"),
        ):
            answer = answered(method, issuer + path, bearer, {})
            assert answer.status_code in {400, 401}, (path, answer.text)
        own = f"{issuer}/api/v1/runs/{number}/id_tokens"
        done = answered("POST", own, bearer, {"name": "VAULT_ID_TOKEN"})
        assert done.status_code == 200
        flow.cli("run", "cancel", str(number))
        process.wait(120)

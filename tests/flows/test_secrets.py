"""Secrets out of the real OpenBao, opened by a run's ID tokens: every form of declaration, and no trace."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import Popen

import hvac
import pytest

from tests.support import sample_flow
from tests.support.openbao import OpenBao
from tests.support.sample_flow import FLOW, HAND_OUT, PROJECT, SampleFlow
from tests.support.traces import found_in, watched_arguments

pytestmark = pytest.mark.slow

AUTH, V2, V1 = "flow-secrets/jwt", "flow-secrets-kv", "flow-secrets-old"
AUDIENCE = "https://vault.acme.example"
VALUES = {
    "DATABASE_PASSWORD": 'corréct+horse/"battery" staple=&%',
    "API_KEY": "AKfycbx-of-the-canary-0123456789",
    "CERTIFICATE": "-----BEGIN CANARY-----\nZmlyc3QtbGluZQ-of\ndGhlLW90aGVyLWxpbmU\n-----END CANARY-----\n",
    "OLD_PASSWORD": "from-the-first-engine-0815",
}
SECRETS = {
    "DATABASE_PASSWORD": {"vault": f"ship/db/password@{V2}", "token": "$VAULT_ID_TOKEN", "file": False},
    "API_KEY": {"vault": f"ship/deep/er/key/value@{V2}", "token": "${VAULT_ID_TOKEN}"},
    "CERTIFICATE": {
        "vault": {"engine": {"name": "kv-v2", "path": V2}, "path": "ship/tls", "field": "chain"},
        "token": "$SECOND_ID_TOKEN",
        "file": True,
    },
    "OLD_PASSWORD": {
        "vault": {"engine": {"name": "kv-v1", "path": V1}, "path": "ship/db", "field": "password"},
        "token": "$SECOND_ID_TOKEN",
        "file": False,
    },
}
ID_TOKENS = {name: {"aud": AUDIENCE} for name in ("VAULT_ID_TOKEN", "SECOND_ID_TOKEN")}
POLICY = "\n".join(f'path "{mount}/*" {{ capabilities = ["read"] }}' for mount in (V2, V1))

VAULT_TOKEN = rb"\bs\.[A-Za-z0-9]{24}\b|\bhvs\.[\w-]{24}"
TELL_EVERYTHING = (
    "env",
    'cat "$API_KEY" "$CERTIFICATE"',
    'printf "%s\\n" "$DATABASE_PASSWORD" "$OLD_PASSWORD" "$VAULT_ID_TOKEN" "$COUNTERSIGN_RUN_TOKEN" >&2',
    'printf %s "$DATABASE_PASSWORD" | base64 -w0; echo',
    'printf "a:%s" "$OLD_PASSWORD" | base64 -w0; echo',
    'printf %s "$OLD_PASSWORD" | od -An -v -tx1 | tr -d " \\n"; echo',
    'printf %s "$SECOND_ID_TOKEN" | cut -d. -f2',
    'printf %s "$SECOND_ID_TOKEN" | cut -d. -f3',
    'for word in $CERTIFICATE $COUNTERSIGN_ACCESS_TOKEN; do printf "<%s>" "$word"; done',
    "echo the end",
)


@pytest.fixture(scope="module")
def bao(openbao: OpenBao) -> Iterator[hvac.Client]:
    root = hvac.Client(openbao.address, openbao.root_token)
    with ExitStack() as end:
        end.callback(root.adapter.close)
        for mount, version in ((V2, "2"), (V1, "1")):
            root.sys.enable_secrets_engine("kv", path=mount, options={"version": version})
            end.callback(root.sys.disable_secrets_engine, mount)
        root.sys.create_or_update_policy("flow-secrets", POLICY)
        root.sys.enable_auth_method("jwt", path=AUTH)
        end.callback(root.sys.disable_auth_method, AUTH)
        put(root, "ship/db", password="an older one")
        put(root, "ship/db", password=VALUES["DATABASE_PASSWORD"])
        put(root, "ship/deep/er/key", value=VALUES["API_KEY"])
        put(root, "ship/tls", chain=VALUES["CERTIFICATE"])
        put(root, "ship/tiny", pin="1234567")
        root.secrets.kv.v1.create_or_update_secret(
            "ship/db", {"password": VALUES["OLD_PASSWORD"]}, mount_point=V1
        )
        yield root


def put(root: hvac.Client, path: str, **fields: str) -> None:
    """A KV v2 mount that is new refuses for a moment, while it is upgraded."""
    deadline = time.monotonic() + 60
    while True:
        try:
            root.secrets.kv.v2.create_or_update_secret(path, fields, mount_point=V2)
        except hvac.exceptions.InvalidRequest:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


@pytest.fixture(scope="module")
def issuer(tmp_path_factory, bao) -> Iterator[SampleFlow]:
    """Trusted by OpenBao, whose address is a variable of the project."""
    sample = sample_flow.make(tmp_path_factory.mktemp("issuer"))
    url = sample.installation.issuer
    with sample.installation.serve():
        bao.auth.jwt.configure(oidc_discovery_url=url, bound_issuer=url, path=AUTH)
        bao.auth.jwt.create_role(
            "deploy",
            path=AUTH,
            role_type="jwt",
            user_claim="sub",
            allowed_redirect_uris=[],
            bound_audiences=[AUDIENCE],
            bound_subject=f"project_path:{PROJECT}:flow:{FLOW}",
            bound_claims={"/act/sub": "service_account:3", "user_id": "1"},
            token_policies=["flow-secrets"],
            token_ttl="5m",
        )
        where = (f"VAULT_SERVER_URL={bao.url}", f"VAULT_AUTH_PATH={AUTH}", "VAULT_AUTH_ROLE=deploy")
        sample.cli("project", "variable", "set", PROJECT, *where)
        yield sample


@pytest.fixture
def accessors_left(bao):
    """The Vault tokens there are now and were not before."""
    before = accessors(bao)
    return lambda: accessors(bao) - before


def accessors(bao: hvac.Client) -> set[str]:
    return set(bao.auth.token.list_accessors()["data"]["keys"])


def configure(issuer: SampleFlow, *script: str, **own: object) -> None:
    issuer.configure_flow(*script, **{"id_tokens": ID_TOKENS, "secrets": SECRETS, **own})


def test_both_forms_and_both_engines_are_opened_and_placed(issuer, accessors_left):
    configure(issuer, HAND_OUT, 'cp "$API_KEY" "$CERTIFICATE" "$OUT"; stat -c %a "$API_KEY"')
    finished = issuer.start()
    given = issuer.given()
    assert given["DATABASE_PASSWORD"] == VALUES["DATABASE_PASSWORD"]
    assert given["OLD_PASSWORD"] == VALUES["OLD_PASSWORD"]
    for name in ("API_KEY", "CERTIFICATE"):
        assert Path(given[name]).name == name
        assert (issuer.out / name).read_text() == VALUES[name]
        assert not Path(given[name]).exists()
    assert finished.stderr.splitlines()[0] == "400"
    assert finished.data["secrets"] == sorted(SECRETS)
    assert not accessors_left()


def test_the_ledger_has_name_path_and_version_of_each_read(issuer):
    configure(issuer, "true")
    run = issuer.start().data["id"]
    reads = [event for event in issuer.events("--run", str(run)) if event["action"] == "flows:secret:read"]
    assert {read["outcome"] for read in reads} == {"success"}
    assert {read["detail"]["name"]: read["detail"] for read in reads} == {
        "DATABASE_PASSWORD": detail("DATABASE_PASSWORD", "kv-v2", V2, "ship/db", 2),
        "API_KEY": detail("API_KEY", "kv-v2", V2, "ship/deep/er/key", 1),
        "CERTIFICATE": detail("CERTIFICATE", "kv-v2", V2, "ship/tls", 1),
        "OLD_PASSWORD": detail("OLD_PASSWORD", "kv-v1", V1, "ship/db", None),
    }
    assert all((read["user"], read["service_account"]) == ("user:1", "service_account:3") for read in reads)


def detail(name: str, engine: str, mount: str, path: str, version: int | None) -> dict[str, object]:
    return {"name": name, "engine": engine, "mount": mount, "path": path, "version": version}


def test_no_form_of_any_secret_or_token_is_left_anywhere(issuer, accessors_left):
    """The canary: a flow that tells all it has, in all the ways that a shell knows."""
    configure(issuer, HAND_OUT, *TELL_EVERYTHING)
    start = ("flow", "start", FLOW, "--project", PROJECT, "--user", "alice", "--service-account", "duo")
    with watched_arguments() as arguments:
        finished = issuer.installation.run(*start)
    assert finished.stdout.endswith("the end\n")
    assert finished.stdout.count("[MASKED]") > len(TELL_EVERYTHING)
    given = issuer.given()
    tokens = [given[name] for name in (*ID_TOKENS, "COUNTERSIGN_ACCESS_TOKEN")]
    parts = [part for token in tokens for part in token.split(".")[1:]]
    hidden = [*VALUES.values(), *tokens, *parts, given["COUNTERSIGN_RUN_TOKEN"]]

    assert any(b"flow\0start" in line for line in arguments)
    assert found_in((issuer.out / "environment").read_bytes(), hidden)
    for place, content in surfaces(issuer, finished.stdout + finished.stderr, arguments):
        assert not found_in(content, hidden), place
        assert not re.search(VAULT_TOKEN, content), f"{place}: a Vault token"
    assert not accessors_left()


def surfaces(issuer: SampleFlow, said: str, arguments: set[bytes]) -> Iterator[tuple[str, bytes]]:
    yield "what flow start said", said.encode()
    yield "process list", b"\n".join(arguments)
    run = str(issuer.cli("run", "list", json=True).data[0]["id"])
    commands = (
        *(["run", "list"], ["run", "show", run], ["run", "log", run], ["run", "log", run, "--json"]),
        *(["audit", "list"], ["audit", "list", "--json"]),
        *(["audit", "export"], ["audit", "export", "--format", "csv"]),
    )
    for command in commands:
        finished = issuer.cli(*command)
        yield " ".join(command), (finished.stdout + finished.stderr).encode()
    files = [path for path in issuer.installation.folder.rglob("*") if path.is_file()]
    kept = [path for path in files if not path.is_relative_to(issuer.out)]
    assert {"countersign.sqlite3", "countersign.sqlite3-wal", "serve.log"} <= {path.name for path in kept}
    yield from ((path.name, path.read_bytes()) for path in kept)


@pytest.mark.parametrize("script", ["exit 3", "kill -9 $$", "sleep 60"])
def test_the_vault_tokens_die_however_the_run_ends(issuer, accessors_left, script):
    configure(issuer, script, timeout="1s")
    issuer.start(exit_code=1)
    assert not accessors_left()


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@contextmanager
def lingering(
    issuer: SampleFlow, accessors_left: Callable[[], set[str]]
) -> Iterator[tuple[int, Popen[bytes]]]:
    """A run that has its secrets and waits: its number, and the process that executes it."""
    (issuer.out / "running").unlink(missing_ok=True)
    configure(issuer, 'touch "$OUT/running"', "sleep 600")
    with issuer.starting() as process:
        until((issuer.out / "running").exists)
        assert len(accessors_left()) == len(ID_TOKENS)
        yield issuer.cli("run", "list", json=True).data[0]["id"], process


@pytest.mark.parametrize(
    "end",
    [
        lambda issuer, run: issuer.cli("run", "cancel", str(run)),
        lambda issuer, run: issuer.cli("kill", "--run", str(run), "--reason", "an incident"),
    ],
)
def test_the_vault_tokens_die_with_a_run_that_others_end(issuer, accessors_left, end):
    with lingering(issuer, accessors_left) as (run, process):
        end(issuer, run)
        process.wait(120)
        assert not accessors_left()
    assert issuer.count("vault_logins") == 0


def test_the_vault_tokens_of_a_killed_process_die_by_the_next_housekeeping(issuer, bao, accessors_left):
    with lingering(issuer, accessors_left) as (run, process):
        alive = accessors_left()
        sealed = [content for (content,) in issuer.rows("SELECT sealed FROM vault_logins")]
        assert len(sealed) == len(alive) == len(ID_TOKENS)
        assert not [content for content in sealed if re.search(VAULT_TOKEN, content)]
        process.kill()
        process.wait()
    until(lambda: not accessors_left())
    until(lambda: not issuer.count("vault_logins"))
    told = [
        event for event in issuer.events("--run", str(run)) if event["action"] == "flows:vault_token:revoke"
    ]
    assert [(event["actor"], event["outcome"]) for event in told] == [("worker", "success")] * len(alive)
    assert all((event["user"], event["service_account"]) == ("user:1", "service_account:3") for event in told)


def test_what_the_role_refuses_opens_nothing_and_runs_nothing(issuer, accessors_left):
    configure(issuer, 'touch "$OUT/ran"')
    refused = issuer.start(user="bob", exit_code=1)
    assert refused.data["state"] == "failed"
    assert refused.data["secrets"] == []
    assert "secrets.DATABASE_PASSWORD: cannot log in to Vault" in refused.data["reason"]
    assert '"user_id" does not match' in refused.data["reason"]
    assert not (issuer.out / "ran").exists()
    assert not accessors_left()


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (f"ship/nowhere/password@{V2}", "there is no such secret"),
        (f"ship/db/nothing@{V2}", "the secret has no such field"),
        (f"ship/tiny/pin@{V2}", "at least 8 characters"),
        ("ship/db/password@nowhere", "permission denied"),
    ],
)
def test_a_secret_that_cannot_be_had_or_masked_ends_the_run_before_its_first_step(
    issuer, accessors_left, place, words
):
    secrets = {"WANTED": {"vault": place, "token": "$VAULT_ID_TOKEN", "file": False}}
    configure(issuer, 'touch "$OUT/ran"', secrets=secrets)
    refused = issuer.start(exit_code=1)
    assert "WANTED" in refused.data["reason"]
    assert words in refused.data["reason"]
    assert "1234567" not in refused.stderr + refused.stdout
    assert not (issuer.out / "ran").exists()
    assert not accessors_left()

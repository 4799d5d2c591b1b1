"""What flows promise, all of it at once: a server's own worker, real steps, the real OpenBao, a Git host.

Runs that `flow start` executes itself, and each part for itself, are in `tests/flows`.
"""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import hvac
import pytest

from tests.docs.pages import rows
from tests.support import forgery, sample_flow
from tests.support.git_server import Repository
from tests.support.openbao import OpenBao
from tests.support.sample_flow import FLOW, HAND_OUT, PROJECT, SampleFlow
from tests.support.server import command
from tests.support.tools import ROOT

pytestmark = pytest.mark.slow

AUTH, KV = "for-real/jwt", "for-real-kv"
AUDIENCE, PASSWORD = "https://vault.acme.example", "correct-horse-battery-staple"
ID_TOKENS = {"VAULT_ID_TOKEN": {"aud": AUDIENCE}}
SECRETS = {
    "PASSWORD": {"vault": {"engine": {"name": "kv-v1", "path": KV}, "path": "db", "field": "password"}}
}
OF_THE_SERVER = {
    "BAO_TOKEN": "s.of-the-server",
    "AWS_SECRET_ACCESS_KEY": "of-the-server",
    "PYTHONSTARTUP": "/nowhere",
}
KEEP = 'printf %s "$COUNTERSIGN_RUN_TOKEN" > "$OUT/new"; mv "$OUT/new" "$OUT/run_token"'
"""Where what a run can do is tried from outside of it."""


def until(holds: Callable[[], object], *, patience: float = 90) -> None:
    deadline = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(scope="module")
def root(openbao: OpenBao) -> Iterator[hvac.Client]:
    """OpenBao's operator, with one secret; whom it trusts, a test says by `role`."""
    client = hvac.Client(openbao.address, openbao.root_token)
    with ExitStack() as end:
        end.callback(client.adapter.close)
        client.sys.enable_secrets_engine("kv", path=KV, options={"version": "1"})
        end.callback(client.sys.disable_secrets_engine, KV)
        client.secrets.kv.v1.create_or_update_secret("db", {"password": PASSWORD}, mount_point=KV)
        client.sys.create_or_update_policy("for-real", f'path "{KV}/*" {{ capabilities = ["read"] }}')
        client.sys.enable_auth_method("jwt", path=AUTH)
        end.callback(client.sys.disable_auth_method, AUTH)
        yield client


def role(root: hvac.Client, **bound: str) -> None:
    """Of alice, duo and the flow, bound to these claims as well; without leeway for what has expired."""
    root.auth.jwt.create_role(
        "deploy",
        path=AUTH,
        role_type="jwt",
        user_claim="sub",
        allowed_redirect_uris=[],
        bound_audiences=[AUDIENCE],
        bound_subject=f"project_path:{PROJECT}:flow:{FLOW}",
        bound_claims={"/act/sub": "service_account:3", "user_id": "1", **bound},
        token_policies=["for-real"],
        token_ttl="10m",
        expiration_leeway=-1,
        not_before_leeway=-1,
        clock_skew_leeway=-1,
    )


@pytest.fixture(scope="module")
def flow(tmp_path_factory) -> SampleFlow:
    sample = sample_flow.make(tmp_path_factory.mktemp("sample"))
    sample.installation.environment.update(OF_THE_SERVER)
    return sample


@pytest.fixture
def trusted(flow, root) -> SampleFlow:
    """OpenBao knows the issuer, and the project where OpenBao is."""
    url = flow.installation.issuer
    with flow.installation.serve():
        root.auth.jwt.configure(oidc_discovery_url=url, bound_issuer=url, path=AUTH)
    role(root)
    where = (f"VAULT_SERVER_URL={root.url}", f"VAULT_AUTH_PATH={AUTH}", "VAULT_AUTH_ROLE=deploy")
    flow.cli("project", "variable", "set", PROJECT, *where)
    return flow


@pytest.fixture
def accessors_left(root) -> Callable[[], set[str]]:
    """The Vault tokens there are now and were not before."""

    def accessors() -> set[str]:
        return set(root.auth.token.list_accessors()["data"]["keys"])

    before = accessors()
    return lambda: accessors() - before


def started(flow: SampleFlow) -> int:
    """A run that the server's worker executes."""
    words = ("flow", "start", FLOW, "--project", PROJECT, "--user", "alice", "--service-account", "duo")
    number: int = flow.cli(*words, "--detach", json=True).data["id"]
    return number


def shown(flow: SampleFlow, number: int) -> dict[str, object]:
    run: dict[str, object] = flow.cli("run", "show", str(number), json=True).data
    return run


def ended(flow: SampleFlow, number: int) -> dict[str, object]:
    over = "SELECT 1 FROM runs WHERE id = ? AND state NOT IN ('pending', 'running')"
    until(lambda: flow.rows(over, number))
    return shown(flow, number)


def minted(flow: SampleFlow, number: int) -> int:
    [(count,)] = flow.rows("SELECT count(*) FROM issued_tokens WHERE run_id = ?", number)
    return int(count)


def id_token(flow: SampleFlow, number: int) -> subprocess.CompletedProcess[str]:
    """`countersign id-token`, outside, with what the run kept."""
    environment = {
        "COUNTERSIGN_ISSUER": flow.installation.issuer,
        "COUNTERSIGN_RUN_ID": str(number),
        "COUNTERSIGN_RUN_TOKEN": (flow.out / "run_token").read_text(),
    }
    words = [*command(), "id-token", "VAULT_ID_TOKEN"]
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=False)


def refusal(root: hvac.Client, token: str) -> str | None:
    """OpenBao's, or none: then it was a login, which is ended."""
    stranger = hvac.Client(root.url)
    try:
        auth = stranger.auth.jwt.jwt_login("deploy", token, use_token=False, path=AUTH)["auth"]
    except hvac.exceptions.InvalidRequest as refused:
        return str(refused)
    finally:
        stranger.adapter.close()
    root.auth.token.revoke_accessor(auth["accessor"])
    return None


def test_an_hour_scaled_mints_past_every_expiry_and_is_refused_one_second_after_cancellation(
    trusted, root, accessors_left
):
    """Four seconds of a token stand for ten minutes."""
    flow, tokens = trusted, trusted.out / "tokens"
    flow.configure_flow(
        KEEP,
        'printf "%s\\n" "$VAULT_ID_TOKEN" > "$OUT/tokens"',
        'while :; do countersign id-token VAULT_ID_TOKEN >> "$OUT/tokens"; sleep 3; done',
        id_tokens={"VAULT_ID_TOKEN": {"aud": AUDIENCE, "ttl": "4s"}},
        secrets=SECRETS,
    )

    def all_tokens() -> list[str]:
        return tokens.read_text().splitlines() if tokens.exists() else []

    def claims() -> list[dict[str, object]]:
        return [forgery.read(each)[1] for each in all_tokens() if each.count(".") == 2]

    with flow.installation.serve():
        number = started(flow)
        until(lambda: len(claims()) > 2 and claims()[-1]["iat"] > claims()[0]["exp"] + 2)
        until(lambda: refusal(root, all_tokens()[-1]) is None)
        assert "token is expired" in (refusal(root, all_tokens()[0]) or "")
        same = {(each["sub"], each["aud"], each["run_id"]) for each in claims()}
        assert same == {(f"project_path:{PROJECT}:flow:{FLOW}", AUDIENCE, str(number))}
        assert {each["exp"] - each["iat"] for each in claims()} == {4}
        assert id_token(flow, number).returncode == 0

        flow.cli("run", "cancel", str(number))
        before = minted(flow, number)
        time.sleep(1)
        refused = id_token(flow, number)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert ended(flow, number)["state"] == "cancelled"
        assert minted(flow, number) == before
        until(lambda: not accessors_left())
    assert len({each["jti"] for each in claims()}) == len(claims())


def test_a_flow_that_declares_nothing_gets_the_documented_environment_of_the_worker_and_no_more(flow):
    documented = {name.strip("`") for name, _ in rows(ROOT / "docs/reference/run-environment.md")}
    flow.configure_flow(HAND_OUT)
    with flow.installation.serve():
        run = ended(flow, started(flow))
    assert (run["state"], run["id_tokens"], run["secrets"]) == ("succeeded", [], [])
    assert set(flow.given()) == documented | {"OUT"}
    assert not set(flow.given().values()) & set(OF_THE_SERVER.values())


@contextmanager
def lingering(flow: SampleFlow, accessors_left: Callable[[], set[str]], *script: str) -> Iterator[int]:
    """A run that holds a Vault token, as the operator of OpenBao sees it."""
    (flow.out / "go").unlink(missing_ok=True)
    (flow.out / "run_token").unlink(missing_ok=True)
    flow.configure_flow(
        KEEP,
        'until [ -e "$OUT/go" ]; do sleep 0.1; done',
        *script,
        id_tokens=ID_TOKENS,
        secrets=SECRETS,
    )
    number = started(flow)
    until((flow.out / "run_token").exists)
    assert len(accessors_left()) == 1
    yield number


@pytest.mark.parametrize(
    ("script", "end", "state"),
    [
        ("true", ["run", "list"], "succeeded"),
        ("exit 3", ["run", "list"], "failed"),
        ("kill -9 $$", ["run", "list"], "failed"),
        ("sleep 600", ["run", "cancel"], "cancelled"),
        ("sleep 600", ["service-account", "disable", "duo"], "cancelled"),
    ],
    ids=["success", "failure", "its shell is killed", "cancelled", "its account is disabled"],
)
def test_no_vault_token_lives_on_however_a_run_of_the_worker_ends(
    trusted, accessors_left, script, end, state
):
    flow = trusted
    with flow.installation.serve(), lingering(flow, accessors_left, script) as number:
        flow.cli(*end, *([str(number)] if end == ["run", "cancel"] else []))
        (flow.out / "go").touch()
        try:
            assert ended(flow, number)["state"] == state
            until(lambda: not accessors_left())
        finally:
            flow.cli("service-account", "enable", "duo")
    assert flow.count("vault_logins") == 0


def test_after_kill_9_of_the_server_the_next_one_ends_the_run_and_its_vault_token(trusted, accessors_left):
    flow = trusted
    with flow.installation.serve() as server, lingering(flow, accessors_left, "sleep 600") as number:
        server.kill()
        assert len(accessors_left()) == 1
    with flow.installation.serve():
        run = ended(flow, number)
        assert (run["state"], run["reason"]) == ("failed", "the process that executed it is gone")
        refused = id_token(flow, number)
        assert (refused.returncode, refused.stdout) == (1, "")
        until(lambda: not accessors_left())
        until(lambda: flow.count("vault_logins") == 0)


@pytest.fixture
def repository(git_host, trusted) -> Repository:
    """The project's `agent-config.yml` is on its branch main."""
    made = git_host.repository()
    made.commit(configuration(trusted, "first"))
    source(trusted, made)
    return made


def configuration(flow: SampleFlow, word: str) -> str:
    steps = [f"echo {word}", f"touch {flow.out}/ran"]
    return json.dumps({"id_tokens": ID_TOKENS, "secrets": SECRETS, "flows": {FLOW: {"script": steps}}})


def source(flow: SampleFlow, repository: Repository, *options: str) -> None:
    flow.cli("project", "source", "set", PROJECT, "--git", repository.url, *options)


def refused_claim(flow: SampleFlow) -> str:
    """Which claim OpenBao minds; no step has run."""
    (flow.out / "ran").unlink(missing_ok=True)
    run = flow.start(exit_code=1).data
    assert run["state"] == "failed"
    assert not (flow.out / "ran").exists()
    _, found, rest = str(run["reason"]).partition('claim "')
    assert found, run["reason"]
    return rest


def test_a_role_is_bound_to_the_branch_and_the_commit_that_the_issuer_has_read(trusted, root, repository):
    flow, first = trusted, repository.tip()
    reviewed = {"ref": "main", "ref_path": "refs/heads/main", "ref_protected": "true"}
    role(root, **reviewed, sha=first)
    with flow.installation.serve():
        assert "first" in flow.start().stderr
        assert (flow.out / "ran").exists()

        moved = repository.commit(configuration(flow, "second"))
        assert refused_claim(flow).startswith('sha" does not match')
        role(root, **reviewed, sha=moved)
        assert "second" in flow.start().stderr

        repository.git("reset", "--quiet", "--hard", first)
        assert refused_claim(flow).startswith('sha" does not match')

        role(root, **reviewed)
        assert "first" in flow.start().stderr
        source(flow, repository, "--unprotected")
        assert refused_claim(flow).startswith('ref_protected" does not match')

        repository.git("branch", "topic")
        source(flow, repository, "--branch", "topic", "--protected", "main", "--protected", "topic")
        assert refused_claim(flow).partition('"')[0] in {"ref", "ref_path"}

        flow.cli("project", "source", "remove", PROJECT)
        flow.configure(configuration(flow, "stored by hand"))
        assert refused_claim(flow).partition('"')[0] in set(reviewed)

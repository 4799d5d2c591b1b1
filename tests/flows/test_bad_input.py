"""Bad input, and what it gets: line, key and remedy; exit 1; a ledger row; nothing minted, nothing run."""

import json
from dataclasses import dataclass
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from textwrap import dedent

import pytest

from app.clock import system_clock
from app.flows import runs
from app.flows.outbound import Outbound
from app.flows.start import StartRequest, start
from app.flows.transport import Limits
from app.ledger.record import Actor
from app.settings import Settings
from app.wiring import Components
from tests.support import odd_server
from tests.support.odd_server import OddServer, serving
from tests.support.process import free_port
from tests.support.sample_flow import FLOW, PROJECT

CANARY = "canary-value-3141592653"
"""Stands wherever a user may have typed a secret; no message may repeat it."""


@dataclass(frozen=True)
class Bad:
    """`says` stands in the message; `line` is where."""

    text: str
    line: int
    says: str


RUNS = "flows: {deploy: {script: [touch ran]}}\n"
BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)
)
CONFIGURATIONS = {
    "unknown key": Bad(f"{RUNS}stages: {CANARY}\n", 2, "stages: unknown key: known here are"),
    "key misspelt": Bad(
        f"{RUNS}variabels: {{A: {CANARY}}}\n", 2, "variabels: unknown key: did you mean `variables`?"
    ),
    "duplicate key": Bad(
        f"{RUNS}variables:\n  STAGE: a\n  STAGE: {CANARY}\n",
        4,
        "variables.STAGE: stands here twice, first in line 3: keep one",
    ),
    "mistyped value": Bad(
        f"flows:\n  deploy:\n    script: {{a: {CANARY}}}\n",
        3,
        "flows.deploy.script: must be a list, one `- …` per line",
    ),
    "mistyped flag": Bad(
        f"{RUNS}id_tokens: {{T: {{aud: a}}}}\nsecrets:\n  S:\n    vault: a/b@c\n    file: {CANARY}\n",
        6,
        "secrets.S.file: must be `true` or `false`",
    ),
    "bomb": Bad(BOMB, 1, "aliases expand to more than the file may hold: write fewer"),
    "tag": Bad(
        f"{RUNS}variables:\n  A: !!python/object/apply:os.system [{CANARY}]\n",
        3,
        "variables.A: YAML tags are not taken: remove the `!…`",
    ),
    "10 MB": Bad(RUNS + "#" * 10_000_000, 1, "the file is larger than 256 KiB: make it smaller"),
    "two ID tokens, a secret without token": Bad(
        f"{RUNS}id_tokens:\n  ONE: {{aud: a}}\n  TWO: {{aud: b}}\nsecrets:\n  S: {{vault: {CANARY}/b@c}}\n",
        6,
        "secrets.S.token: is required, more than one ID token is declared: write `$ONE` or `$TWO`",
    ),
    "secret without field": Bad(
        f"{RUNS}id_tokens: {{T: {{aud: a}}}}\nsecrets:\n  S:\n    vault: {CANARY}@ops\n",
        5,
        "secrets.S.vault: a path without a field: write `path/field` or `path/field@mount`",
    ),
    **{
        f"name {name}": Bad(
            f"{RUNS}variables:\n  {name}: {CANARY}\n", 3, f"variables.{name}: this name is refused because"
        )
        for name in (
            *(
                "PATH",
                "LD_PRELOAD",
                "BASH_ENV",
                "PYTHONSTARTUP",
                "GIT_SSH_COMMAND",
                "https_proxy",
                "ENV",
                "IFS",
            ),
            *("NODE_OPTIONS", "COUNTERSIGN_ISSUER", "PERL5OPT", "SSL_CERT_FILE"),
        )
    },
    "name used twice": Bad(
        f"{RUNS}id_tokens:\n  SAME: {{aud: a}}\nvariables: {{SAME: {CANARY}}}\n",
        3,
        "id_tokens.SAME: the same name is also that of a variable: rename one of them",
    ),
    "name used twice, in a flow": Bad(
        f"variables: {{SAME: {CANARY}}}\nflows:\n  deploy:\n    script: [r]\n    inputs:\n      SAME: {{}}\n",
        6,
        "flows.deploy.inputs.SAME: the same name is also that of a variable: rename one of them",
    ),
    "audience from an input": Bad(
        "flows:\n  deploy:\n    script: [ran]\n    inputs: {WHO: {}}\n    id_tokens:\n      T: {aud: $WHO}\n",
        6,
        "flows.deploy.id_tokens.T.aud: asks for `$WHO`, an input",
    ),
    "empty audience": Bad(
        f"{RUNS}id_tokens:\n  T: {{aud: ''}}\n", 3, "id_tokens.T.aud: the audience is empty: write"
    ),
}


@pytest.mark.parametrize("bad", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_a_bad_configuration_is_not_stored(shared_flow, bad):
    versions = shared_flow.count("configuration_versions")
    refused = shared_flow.configure(bad.text, exit_code=1)
    assert f"agent-config.yml:{bad.line}:" in refused.stderr
    assert bad.says in refused.stderr
    assert refused.stdout == ""
    assert CANARY not in refused.stderr
    assert shared_flow.count("configuration_versions") == versions
    [newest, *_] = shared_flow.events("--limit", "1")
    assert (newest["action"], newest["outcome"]) == ("flows:configuration:set", "denied")
    assert newest["project"] == PROJECT
    assert CANARY not in json.dumps(newest)


@pytest.mark.parametrize("bad", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_lint_says_the_same_of_it(shared_flow, tmp_path, bad):
    file = tmp_path / "agent-config.yml"
    file.write_text(bad.text)
    refused = shared_flow.cli("flow", "lint", str(file), exit_code=1, json=True)
    assert f"agent-config.yml:{bad.line}:" in refused.stderr
    assert bad.says in refused.stderr
    assert bad.line in [fault["line"] for fault in json.loads(refused.stdout)["faults"]]


STARTS = {
    "undeclared input": (
        ["SIDE=" + CANARY],
        "inputs.SIDE: is not declared by flow deploy, which declares: COLOUR, OUT",
    ),
    "option that is none": (["COLOUR=" + CANARY], "inputs.COLOUR: choose one of red, blue"),
    "input too long": (["OUT=" + CANARY + "x" * 8192], "inputs.OUT: at most 8192 characters"),
    "input with NUL": (["OUT=" + CANARY + "\0"], "inputs.OUT: at most 8192 characters, without NUL"),
    "input left out": ([], "inputs.COLOUR: is required by flow deploy: give it a value"),
}


@pytest.mark.parametrize(("inputs", "says"), STARTS.values(), ids=STARTS)
def test_a_bad_input_makes_no_run(sample_flow, inputs, says):
    sample_flow.configure_flow('touch "$OUT/ran"', inputs={"COLOUR": {"options": ["red", "blue"]}})
    refused = sample_flow.start(*inputs, exit_code=1)
    assert says in refused.stderr
    assert refused.stdout == ""
    assert CANARY not in refused.stderr
    assert sample_flow.count("runs") == sample_flow.count("issued_tokens") == 0
    [newest] = sample_flow.events("--limit", "1")
    assert (newest["action"], newest["outcome"]) == ("flows:run:create", "denied")
    assert newest["detail"]["cause"] in refused.stderr
    assert (newest["user"], newest["service_account"]) == ("user:1", "service_account:3")
    assert CANARY not in json.dumps(newest)


def test_a_flow_that_is_not_there_is_named_with_those_that_are(sample_flow):
    sample_flow.configure_flow()
    refused = sample_flow.start(flow="nowhere", exit_code=1)
    assert "no flow of that name: it has deploy" in refused.stderr
    assert sample_flow.events("--limit", "1")[0]["outcome"] == "denied"


@pytest.mark.parametrize("party", [{"user": "nobody"}, {"account": "nobody"}, {"project": "acme/nowhere"}])
def test_a_party_that_is_not_there_is_refused_and_in_the_ledger(sample_flow, party):
    sample_flow.configure_flow()
    refused = sample_flow.start(exit_code=1, **party)
    assert next(iter(party.values())) in refused.stderr
    [newest] = sample_flow.events("--limit", "1")
    assert (newest["action"], newest["outcome"]) == ("flows:run:create", "denied")


AUDIENCES = {
    "expands to nothing": ("$EMPTY", "the audience is empty: write the one that the verifier expects"),
    "no such variable": ("$MISSING", "there is no variable MISSING: declare it under `variables`"),
    "the issuer": ("ISSUER", "is reserved: it is this issuer"),
    "the issuer, disguised": ("ISSUER_SHOUTED/", "is reserved: it is this issuer"),
    "our API": ("ISSUER/api/v1", "is reserved: it is this issuer"),
    "a client id": ("sa_3", "is reserved: it is a client id"),
    "a registered API": ("https://api.acme.example/", "is reserved: it is an API that takes access tokens"),
    "another project's": ("https://theirs.example", "belongs to other projects"),
}


@pytest.mark.parametrize(("audience", "says"), AUDIENCES.values(), ids=AUDIENCES)
def test_an_audience_that_cannot_be_used_ends_the_run_before_anything_is_minted(sample_flow, audience, says):
    issuer = sample_flow.installation.issuer
    audience = audience.replace("ISSUER_SHOUTED", issuer.replace("localhost", "LOCALHOST"))
    audience = audience.replace("ISSUER", issuer)
    sample_flow.cli("audience", "add", "https://api.acme.example", "--kind", "api")
    sample_flow.add_project("acme/theirs")
    bound = ("--kind", "verifier", "--project", "acme/theirs")
    sample_flow.cli("audience", "add", "https://theirs.example", *bound)
    sample_flow.configure(
        dedent(f"""\
        variables: {{EMPTY: ""}}
        id_tokens:
          FINE: {{aud: https://fine.example}}
          WRONG: {{aud: "{audience}"}}
        flows:
          deploy:
            script: ["touch {sample_flow.out}/ran"]
        """)
    )
    failed = sample_flow.start(exit_code=1)
    assert_failed_before_its_first_step(sample_flow, failed, says, key="id_tokens.WRONG.aud", line=4)
    assert sample_flow.count("issued_tokens") == 0


def assert_failed_before_its_first_step(sample_flow, failed, says, *, key, line):
    run = failed.data
    assert (run["state"], run["exit_code"]) == ("failed", None)
    assert says in run["reason"]
    assert f"agent-config.yml:{line}" in run["reason"]
    assert f"{key}: " in run["reason"]
    assert run["reason"] in failed.stderr
    assert not (sample_flow.out / "ran").exists()
    [finish] = [e for e in sample_flow.events("--run", str(run["id"])) if e["action"] == "flows:run:finish"]
    assert (finish["outcome"], finish["detail"]["reason"]) == ("failed", run["reason"])


LOGIN, READ = "/v1/auth/jwt/login", "/v1/kv-v2/data/ship/db"
REVOKE = "/v1/auth/token/revoke-self"


def said(status: int, body: object) -> odd_server.Behaviour:
    return odd_server.answer(status, json.dumps(body).encode())


RIGHT = {
    LOGIN: said(200, {"auth": {"client_token": "hvs.the-token-of-this-session"}}),
    READ: said(200, {"data": {"data": {"password": CANARY}, "metadata": {"version": 3}}}),
    REVOKE: odd_server.answer(204, b""),
}
STEPS = {"login": LOGIN, "read": READ}


def behaving(**steps):
    """Vault as it should be, but for the behaviours given by step."""
    table = {**RIGHT, **{STEPS[step]: behave for step, behave in steps.items()}}

    def behave(handler: BaseHTTPRequestHandler, server: OddServer) -> None:
        table.get(handler.path, said(404, {"errors": []}))(handler, server)

    return serving(behave)


HTML = odd_server.answer(200, f"<html>{CANARY}</html>".encode(), kind="text/html")
REDIRECT = odd_server.answer(307, b"", {"Location": "https://evil.example/"})
DENIED = said(403, {"errors": ["permission denied"]})
EMPTY = said(200, {"data": {"data": {"other": CANARY}, "metadata": {"version": 3}}})
VAULTS = {
    "answers 403 at the door": ({"login": DENIED}, "it answers 403: permission denied"),
    "answers HTML": ({"login": HTML}, "is not a JSON object: is that Vault's own address?"),
    "redirects": (
        {"login": REDIRECT},
        "it redirects (307), which is not followed: name the host that answers itself",
    ),
    "answers 403": ({"read": DENIED}, "it answers 403: permission denied"),
    "answers HTML later": ({"read": HTML}, "is not a JSON object: is that Vault's own address?"),
    "has no such field": ({"read": EMPTY}, "the secret has no such field"),
}


@pytest.fixture
def asking_flow(sample_flow):
    """Its one secret stands in line 5."""

    def configure(address: str):
        sample_flow.configure(
            dedent(f"""\
            variables: {{VAULT_SERVER_URL: "{address}"}}
            id_tokens:
              VAULT_ID_TOKEN: {{aud: https://vault.acme.example}}
            secrets:
              PASSWORD: {{vault: ship/db/password, file: false}}
            flows:
              deploy:
                script: ["touch {sample_flow.out}/ran"]
            """)
        )
        return sample_flow

    return configure


@pytest.mark.parametrize(("behaviour", "says"), VAULTS.values(), ids=VAULTS)
def test_a_vault_that_gives_no_secret_ends_the_run_before_its_first_step(asking_flow, behaviour, says):
    with behaving(**behaviour) as vault:
        flow = asking_flow(vault.address)
        failed = flow.start(exit_code=1)
    assert_no_secret(flow, failed, says)
    assert vault.asked[-1].path == (REVOKE if "read" in behaviour else LOGIN)


def test_a_vault_that_is_down(asking_flow):
    flow = asking_flow(f"http://127.0.0.1:{free_port()}")
    assert_no_secret(flow, flow.start(exit_code=1), "cannot connect: the connection was refused")


def assert_no_secret(flow, failed, says):
    assert_failed_before_its_first_step(flow, failed, says, key="secrets.PASSWORD", line=5)
    assert CANARY not in failed.stdout + failed.stderr
    events = flow.events("--run", str(failed.data["id"]))
    [read] = [event for event in events if event["action"] == "flows:secret:read"]
    assert (read["outcome"], read["detail"]["name"]) == ("failed", "PASSWORD")
    assert says in read["detail"]["reason"]
    assert flow.rows("SELECT kind FROM issued_tokens ORDER BY kind") == [("access",), ("id",)]
    assert CANARY not in json.dumps(events)


def run_within(flow, limits, clock=system_clock):
    """Starts it in this process, where a Vault may be given other limits than the product's 5 and 10 s."""
    components = Components(Settings.from_env(flow.installation.environment), clock)
    components.outbound = Outbound([], allow_loopback=True, limits=limits)
    operator = Actor(name="operator:test")
    request = StartRequest(
        project=PROJECT, flow=FLOW, user="alice", service_account="duo", inputs={}, source="cli"
    )
    run = start(components.database, clock, request, operator)
    components.executions.execute(run, lambda _: None, operator)
    components.database.dispose()
    return run


def test_a_vault_that_is_slow_is_not_waited_for(asking_flow):
    with behaving(login=odd_server.silence) as vault:
        flow = asking_flow(vault.address)
        run = run_within(flow, Limits(total=2))
    shown = flow.cli("run", "show", str(run), json=True).data
    assert shown["state"] == "failed"
    assert "agent-config.yml:5" in shown["reason"]
    assert "secrets.PASSWORD: cannot log in" in shown["reason"]
    assert "no whole answer within 2 s" in shown["reason"]
    assert not (flow.out / "ran").exists()


def test_a_run_that_waits_long_for_its_secrets_is_not_taken_for_dead(sample_flow):
    """Each answer takes a third of the time after which housekeeping gives a run up, and there are six."""
    late = timedelta()
    house = Components(Settings.from_env(sample_flow.installation.environment), lambda: system_clock() + late)

    def behave(handler: BaseHTTPRequestHandler, server: OddServer) -> None:
        nonlocal late
        late += runs.ABANDONED_AFTER / 3
        runs.fail_abandoned(house.database, house.clock())
        answers.get(handler.path, said(404, {"errors": []}))(handler, server)

    answers = {**RIGHT, READ: said(200, {"data": {"data": {"password": CANARY}, "metadata": {}}})}
    secrets = {f"SECRET_{number}": {"vault": "ship/db/password"} for number in range(6)}
    with serving(behave) as vault:
        sample_flow.configure_flow(
            'touch "$OUT/ran"',
            top={"variables": {"VAULT_SERVER_URL": vault.address}},
            id_tokens={"VAULT_ID_TOKEN": {"aud": "https://vault.acme.example"}},
            secrets=secrets,
        )
        run = run_within(sample_flow, Limits(), house.clock)
    house.database.dispose()
    assert sample_flow.cli("run", "show", str(run), json=True).data["state"] == "succeeded"
    assert (sample_flow.out / "ran").exists()


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("", "VAULT_SERVER_URL is not set: add it"),
        ("ftp://vault.example", "VAULT_SERVER_URL"),
        (f"https://user:{CANARY}@vault.example", "VAULT_SERVER_URL"),
    ],
)
def test_without_vaults_address_nothing_is_minted(asking_flow, address, says):
    flow = asking_flow(address)
    failed = flow.start(exit_code=1)
    assert failed.data["state"] == "failed"
    assert failed.data["reason"].startswith("agent-config.yml:")
    assert f": secrets.PASSWORD: {says}" in failed.data["reason"]
    assert CANARY not in failed.stdout + failed.stderr
    assert flow.count("issued_tokens") == 0
    assert not (flow.out / "ran").exists()


def test_a_resource_that_is_not_registered_is_told_with_its_place(sample_flow):
    sample_flow.configure_flow("true", access_token={"resource": "https://other.example"})
    failed = sample_flow.start(exit_code=1)
    place, _, reason = failed.data["reason"].partition(": flows.deploy.access_token: ")
    assert place.startswith("agent-config.yml:")
    assert reason.startswith("resource: not a registered api audience")


def test_a_secret_too_short_to_be_masked_is_refused_with_the_reason(asking_flow):
    short = said(200, {"data": {"data": {"password": "1234567"}, "metadata": {"version": 3}}})
    with behaving(read=short) as vault:
        flow = asking_flow(vault.address)
        failed = flow.start(exit_code=1)
    assert "PASSWORD: a secret needs at least 8 characters to be masked" in failed.data["reason"]
    assert "1234567" not in failed.stdout + failed.stderr
    assert not (flow.out / "ran").exists()

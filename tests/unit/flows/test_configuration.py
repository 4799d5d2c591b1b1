import re
from datetime import timedelta
from textwrap import dedent

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from app.errors import InvalidInput
from app.flows.aws_reference import AwsSecretReference
from app.flows.configuration import Configuration, ConfigurationError, FlowSecret, parse
from app.flows.vault_reference import VaultReference

EXAMPLE = """\
image: node:22
variables: {NODE_ENV: test, PORT: 8080, NOTHING: ""}
id_tokens:
  VAULT_ID_TOKEN: {aud: https://vault.example.com}
  AWS_ID_TOKEN: {aud: "$AWS_AUDIENCE", ttl: 15m}
secrets:
  DATABASE_PASSWORD:
    vault: production/db/password@ops
    token: $VAULT_ID_TOKEN
    file: false
flows:
  fix-ci:
    inputs: {issue: {type: string}, depth: {default: "1", options: ["1", "2"], description: how deep}}
    access_token: {scopes: [code.read], resource: https://api.acme.example}
    script: ["make test"]
    timeout: 90s
    variables: {NODE_ENV: ci}
    id_tokens:
      AWS_ID_TOKEN: {aud: [sts.amazonaws.com, other]}
      GCP_ID_TOKEN: {aud: //iam.googleapis.com/x}
    secrets:
      API_KEY:
        vault: {engine: {name: kv-v1, path: team/kv}, path: api, field: key}
        token: ${AWS_ID_TOKEN}
  plain:
    script: [echo hello, "true"]
"""


ROLE = "arn:aws:iam::123456789012:role/deploy"
ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:app/db-AbCdEf"
VERSION = "01234567-89ab-cdef-0123-456789abcdef"


def flow_with(*lines):
    return "\n".join(["flows:", "  f:", "    script: [make]", *(f"    {line}" for line in lines)])


def refusal(text):
    with pytest.raises(ConfigurationError) as refused:
        parse(text.encode() if isinstance(text, str) else text)
    return refused.value


def fault(text):
    (only,) = refusal(text).faults
    return only


# What is accepted


def test_a_flow_takes_effect_with_its_own_tables_over_those_at_the_top():
    flow = parse(EXAMPLE.encode()).flow("fix-ci")

    assert (flow.name, flow.image, flow.script) == ("fix-ci", "node:22", ("make test",))
    assert flow.timeout == timedelta(seconds=90)
    assert flow.variables == {"NODE_ENV": "ci", "PORT": "8080", "NOTHING": ""}
    assert {name: token.audiences for name, token in flow.id_tokens.items()} == {
        "VAULT_ID_TOKEN": ("https://vault.example.com",),
        "AWS_ID_TOKEN": ("sts.amazonaws.com", "other"),
        "GCP_ID_TOKEN": ("//iam.googleapis.com/x",),
    }
    assert flow.secrets == {
        "DATABASE_PASSWORD": FlowSecret(
            VaultReference("kv-v2", "ops", "production/db", "password"), "VAULT_ID_TOKEN", file=False
        ),
        "API_KEY": FlowSecret(VaultReference("kv-v1", "team/kv", "api", "key"), "AWS_ID_TOKEN", file=True),
    }
    assert (flow.access_token.scopes, flow.access_token.resource) == (
        ("code.read",),
        "https://api.acme.example",
    )
    assert (flow.inputs["issue"].default, flow.inputs["depth"].options) == (None, ("1", "2"))


def test_a_flow_without_tables_has_those_at_the_top():
    flow = parse(EXAMPLE.encode()).flow("plain")

    assert flow.variables["NODE_ENV"] == "test"
    assert flow.id_tokens["AWS_ID_TOKEN"].ttl == timedelta(minutes=15)
    assert flow.id_tokens["AWS_ID_TOKEN"].audiences == ("$AWS_AUDIENCE",)
    assert (list(flow.secrets), flow.inputs, flow.timeout) == (
        ["DATABASE_PASSWORD"],
        {},
        timedelta(hours=1),
    )


def test_a_flow_that_declares_nothing_has_nothing():
    flow = parse(b"flows: {f: {script: [make]}}").flow("f")

    assert (flow.variables, flow.inputs, flow.id_tokens, flow.secrets, flow.image) == ({}, {}, {}, {}, None)
    assert (flow.access_token.scopes, flow.access_token.resource) == ((), None)


def test_the_only_id_token_reads_every_secret():
    text = "id_tokens: {T: {aud: v}}\nsecrets: {S: {vault: a/b}}\n" + flow_with()
    assert parse(text.encode()).flow("f").secrets["S"] == FlowSecret(
        VaultReference("kv-v2", "kv-v2", "a", "b"), "T", file=True
    )


def test_a_flow_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(InvalidInput, match=r"it has fix-ci, plain$") as refused:
        parse(EXAMPLE.encode()).flow("deploy")
    assert "deploy" not in str(refused.value)
    with pytest.raises(InvalidInput, match="declare it under `flows:`"):
        parse(b"image: a").flow("deploy")


def test_anchors_and_aliases_are_welcome_while_they_stay_small():
    text = "flows:\n  a: {script: &test [make test]}\n  b: {script: *test}"
    assert parse(text.encode()).flow("b").script == ("make test",)


def test_a_byte_order_mark_and_foreign_line_ends_are_read():
    assert parse(b"\xef\xbb\xbfflows:\r\n  f:\r\n    script:\r\n      - make\r\n").flow("f").script == (
        "make",
    )


def test_an_image_and_a_setup_script_are_those_of_the_flow_or_else_of_the_top():
    text = """\
        image: node:22
        setup_script: npm ci
        flows:
          as-above: {script: [make]}
          own: {script: [make], image: python:3, setup_script: [pip install ., make deps]}
          none: {script: [make], setup_script: []}
        """
    found = parse(dedent(text).encode())
    assert [(found.flow(name).image, found.flow(name).setup_script) for name in found.flows] == [
        ("node:22", ("npm ci",)),
        ("python:3", ("pip install .", "make deps")),
        ("node:22", ()),
    ]


def test_a_script_may_be_one_text():
    assert parse(b"flows:\n  f:\n    script: |\n      a\n      b\n").flow("f").script == ("a\nb\n",)


@pytest.mark.parametrize(
    ("declared", "reference"),
    [
        ("app/db#password", AwsSecretReference("app/db", "password")),
        ("app/db", AwsSecretReference("app/db")),
        (f"{ARN}#a#b", AwsSecretReference(ARN, "a#b")),
        ({"secret_id": ARN, "field": "a b"}, AwsSecretReference(ARN, "a b")),
        ({"secret_id": "a", "version_stage": "OLD"}, AwsSecretReference("a", version_stage="OLD")),
        ({"secret_id": "a", "version_id": VERSION}, AwsSecretReference("a", version_id=VERSION)),
        (
            {"secret_id": "a", "region": "eu-west-1", "role_arn": ROLE, "role_session_name": "run"},
            AwsSecretReference("a", region="eu-west-1", role_arn=ROLE, role_session_name="run"),
        ),
    ],
)
def test_a_secret_may_lie_in_aws(declared, reference):
    data = {
        "id_tokens": {"AWS_ID_TOKEN": {"aud": "sts.amazonaws.com", "aws_tags": True}},
        "secrets": {"S": {"aws_secrets_manager": declared, "file": False}},
        "flows": {"f": {"script": ["make"]}},
    }
    flow = parse(yaml.safe_dump(data).encode()).flow("f")
    assert flow.secrets == {"S": FlowSecret(reference, "AWS_ID_TOKEN", file=False)}
    assert flow.id_tokens["AWS_ID_TOKEN"].aws_tags


def test_a_cache_is_taken_with_a_warning_that_it_does_nothing():
    found = parse(f"cache: {{paths: [venv]}}\n{flow_with('cache: {key: x}')}".encode())
    assert [str(warning) for warning in found.warnings] == [
        "agent-config.yml:1:1: cache: has no effect: nothing is kept between runs",
        "agent-config.yml:5:5: flows.f.cache: has no effect: nothing is kept between runs",
    ]
    assert parse(EXAMPLE.encode()).warnings == ()


def test_a_configuration_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        parse(EXAMPLE.encode()).image = "other"


# What is refused, one fault at a time: text, line and column, key, what the message says

FAULTS = [
    # keys
    ("imag: x", "1:1", "imag", "did you mean `image`?"),
    (
        "stages: []",
        "1:1",
        "stages",
        "known here are `flows`, `id_tokens`, `image`, `secrets`, `setup_script`, `variables`",
    ),
    ("cache: true", "1:1", "cache", "must be a table"),
    ("image:", "1:1", "image", "is empty: fill it in or remove it"),
    ("network_policy: {}", "1:1", "network_policy", "remove it"),
    (flow_with("before_script: [a]"), "4:5", "flows.f.before_script", "in `setup_script`"),
    (flow_with("network_policy: x"), "4:5", "flows.f.network_policy", "remove it"),
    (flow_with("setup_script: {a: b}"), "4:5", "flows.f.setup_script", "must be a list"),
    (flow_with("setup_script: ['']"), "4:20", "flows.f.setup_script[0]", "is empty"),
    (flow_with("scrpt: [a]"), "4:5", "flows.f.scrpt", "did you mean `script`?"),
    ("id_tokens:\n  T: {aud: a, tll: 5m}", "2:15", "id_tokens.T.tll", "did you mean `ttl`?"),
    ("image: a\nimage: b", "2:1", "image", "twice, first in line 1: keep one"),
    ("variables:\n  A: x\n  A: x", "3:3", "variables.A", "twice, first in line 2: keep one"),
    (flow_with('"script": [b]'), "4:5", "flows.f.script", "twice, first in line 3"),
    ("on: x", "1:1", "on", "put it in quotes"),
    ("variables:\n  NO: x", "2:3", "variables.NO", "put it in quotes"),
    ("variables: {1: x}", "1:13", "variables.1", "put it in quotes"),
    ("variables: {[a]: x}", "1:13", "variables.?", "a key must be text"),
    ("variables: {<<: {A: x}}", "1:13", "variables.<<", "write the keys out"),
    ('variables: {"A\\0": x}', "1:13", "variables.A\\x00", "remove its escape"),
    ('variables: {"\\ud800": x}', "1:13", "variables.\\ud800", "remove its escape"),
    ('"\\e[31mred": x', "1:1", "\\x1b[31mred", "unknown key"),
    (f"{'k' * 300}: x", "1:1", "k" * 64 + "…", "unknown key"),
    # variables
    ("variables:\n  A: yes", "2:3", "variables.A", "put it in quotes"),
    ("variables:\n  A: true", "2:3", "variables.A", "put it in quotes"),
    ("variables:\n  A: 1.10", "2:3", "variables.A", "put it in quotes"),
    ("variables:\n  A: 0755", "2:3", "variables.A", "put it in quotes"),
    ("variables:\n  A: 1_000", "2:3", "variables.A", "put it in quotes"),
    ("variables:\n  A: 12:30", "2:3", "variables.A", "put it in quotes"),
    ("variables:\n  A: 2026-11-22", "2:3", "variables.A", "put it in quotes"),
    ("variables:\n  A: =", "2:3", "variables.A", "put it in quotes"),
    (f"variables:\n  A: {'9' * 5000}", "2:3", "variables.A", "put it in quotes"),
    ("variables:\n  A:", "2:3", "variables.A", "is empty: it must be text"),
    ("variables:\n  A: [x]", "2:3", "variables.A", "must be text, not a list: write one value"),
    ('variables:\n  A: "a\\0b"', "2:3", "variables.A", "remove its escape"),
    ('variables:\n  A: "\\udfff"', "2:3", "variables.A", "remove its escape"),
    (f"variables:\n  A: {'x' * 40_000}", "2:3", "variables.A", "longer than 32768"),
    ("variables:\n  PATH: x", "2:3", "variables.PATH", "the run sets it itself: choose another"),
    ("variables:\n  LD_PRELOAD: x", "2:3", "variables.LD_PRELOAD", "how programs are loaded"),
    ("variables:\n  a-b: x", "2:3", "variables.a-b", "rename it"),
    ("variables:", "1:1", "variables", "is empty: it must be a table"),
    ("variables: []", "1:1", "variables", "must be a table"),
    ("image: {name: node:22}", "1:1", "image", "write the `name` alone"),
    ("image: {entrypoint: ['']}", "1:1", "image", "makes a table: put all of it in quotes"),
    ("image: -v", "1:1", "image", "such as `node:22`"),
    # ID tokens
    ("id_tokens:\n  T: {}", "2:3", "id_tokens.T.aud", "is required"),
    ("id_tokens:\n  T: x", "2:3", "id_tokens.T", "must be a table"),
    ("id_tokens:\n  T: {aud: 5}", "2:7", "id_tokens.T.aud", "put it in quotes"),
    ("id_tokens:\n  T: {aud: {a: b}}", "2:7", "id_tokens.T.aud", "must be text"),
    ("id_tokens:\n  T: {aud: ''}", "2:7", "id_tokens.T.aud", "audience is empty"),
    ("id_tokens:\n  T: {aud: a b}", "2:7", "id_tokens.T.aud", "without spaces"),
    ("id_tokens:\n  T: {aud: []}", "2:7", "id_tokens.T.aud", "add an entry"),
    ("id_tokens:\n  T: {aud: [a, 5]}", "2:16", "id_tokens.T.aud[1]", "put it in quotes"),
    ("id_tokens:\n  T: {aud: [a, 5$]}", "2:16", "id_tokens.T.aud[1]", "lone `$`"),
    ("id_tokens:\n  T: {aud: a, ttl: 0s}", "2:15", "id_tokens.T.ttl", "such as `90s`"),
    ("id_tokens:\n  T: {aud: a, ttl: 61m}", "2:15", "id_tokens.T.ttl", "1h at most"),
    ("id_tokens:\n  T: {aud: a, ttl: 900}", "2:15", "id_tokens.T.ttl", "such as `90s`"),
    ("id_tokens:\n  T: {aud: a, ttl: 1:30}", "2:15", "id_tokens.T.ttl", "put it in quotes"),
    ("id_tokens:\n  VAULT_SERVER_URL: {aud: a}", "2:3", "id_tokens.VAULT_SERVER_URL", "where Vault is"),
    # secrets
    ("secrets:\n  S: {}", "2:3", "secrets.S", "either `vault` or `aws_secrets_manager`"),
    ("secrets:\n  S: {vault: db}", "2:7", "secrets.S.vault", "write `path/field`"),
    ("secrets:\n  S: {vault: db@ops}", "2:7", "secrets.S.vault", "write `path/field`"),
    ("secrets:\n  S: {vault: a/b@}", "2:7", "secrets.S.vault", "no mount"),
    ("secrets:\n  S: {vault: a/b@c@d}", "2:7", "secrets.S.vault", "long form"),
    ("secrets:\n  S: {vault: a/../b}", "2:7", "secrets.S.vault", "`..` part"),
    ("secrets:\n  S: {vault: /a/b}", "2:7", "secrets.S.vault", "has an empty"),
    ("secrets:\n  S: {vault: a/b/}", "2:7", "secrets.S.vault", "has an empty"),
    ("secrets:\n  S: {vault: a/b@../sys}", "2:7", "secrets.S.vault", "`..` part"),
    ('secrets:\n  S: {vault: "a/b\\n"}', "2:7", "secrets.S.vault", "control character"),
    ('secrets:\n  S: {vault: "a/b?version=1"}', "2:7", "secrets.S.vault", "nothing is expanded"),
    ("secrets:\n  S: {vault: $TEAM/b}", "2:7", "secrets.S.vault", "nothing is expanded"),
    ("secrets:\n  S: {vault: a/b, token: T}", "2:19", "secrets.S.token", "such as `$VAULT_ID_TOKEN`"),
    ("secrets:\n  S: {vault: a/b, file: 'no'}", "2:19", "secrets.S.file", "without quotes"),
    ("secrets:\n  S: {aws_secrets_manager: x, vault: a/b}", "2:3", "secrets.S", "lies in one place"),
    ("secrets:\n  S: {gcp_secret_manager: x}", "2:7", "secrets.S.gcp_secret_manager", "use `vault` or"),
    ("secrets:\n  S: {aws_secrets_manager: a#}", "2:7", "secrets.S.aws_secrets_manager", "after the `#`"),
    ("secrets:\n  S: {aws_secrets_manager: $A}", "2:7", "secrets.S.aws_secrets_manager", "or the ARN"),
    *(
        (
            f"secrets:\n  S: {{aws_secrets_manager: {{{inside}}}}}",
            place,
            f"secrets.S.aws_secrets_manager{key}",
            says,
        )
        for inside, place, key, says in [
            ("field: f", "2:7", ".secret_id", "is required"),
            ("secret_id: a b", "2:29", ".secret_id", "the name or the ARN"),
            ("secret_id: a, regoin: x", "2:43", ".regoin", "did you mean `region`?"),
            ("secret_id: a, region: evil.example/", "2:43", ".region", "such as `eu-west-1`"),
            ("secret_id: a, role_arn: admin", "2:43", ".role_arn", "arn:aws:iam::"),
            ("secret_id: a, role_session_name: a b", "2:43", ".role_session_name", "2 to 64"),
            ("secret_id: a, version_id: '1'", "2:43", ".version_id", "32 to 64"),
            ("secret_id: a, field: ' '", "2:43", ".field", "and outer spaces"),
            (f"secret_id: a, version_id: {'1a' * 16}, version_stage: X", "2:7", "", "keep one"),
        ]
    ),
    ("secrets:\n  S: {vault: {path: a, field: b}}", "2:7", "secrets.S.vault.engine", "is required"),
    (
        "secrets:\n  S: {vault: {engine: {name: kv, path: m}, path: a, field: b}}",
        "2:24",
        "secrets.S.vault.engine.name",
        "must be 'kv-v1', 'kv-v2' or 'generic'",
    ),
    (
        "secrets:\n  S: {vault: {engine: {name: kv-v1, path: m}, path: a, field: b/c}}",
        "2:56",
        "secrets.S.vault.field",
        "without a slash",
    ),
    # flows
    ("flows:\n  Fix: {script: [a]}", "2:3", "flows.Fix", "rename it"),
    (f"flows:\n  {'f' * 64}: {{script: [a]}}", "2:3", f"flows.{'f' * 64}", "rename it"),
    ("flows:\n  f: {}", "2:3", "flows.f.script", "is required"),
    ("flows:\n  f:", "2:3", "flows.f", "is empty: it must be a table"),
    ("flows:\n  f: {script: 7}", "2:7", "flows.f.script", "must be a list"),
    ("flows:\n  f: {script: ''}", "2:7", "flows.f.script", "is empty"),
    ("flows:\n  f: {script: []}", "2:7", "flows.f.script", "add an entry"),
    ("flows:\n  f:\n    script:\n    - make\n    - true", "5:7", "flows.f.script[1]", "put it in quotes"),
    (
        "flows:\n  f:\n    script:\n    - echo x: y",
        "4:7",
        "flows.f.script[0]",
        "makes a table: put all of it in quotes",
    ),
    ("flows:\n  f:\n    script:\n    -", "4:6", "flows.f.script[0]", "is empty"),
    (flow_with("timeout: 25h"), "4:5", "flows.f.timeout", "24h at most"),
    (flow_with("inputs: {i: {type: array}}"), "4:18", "flows.f.inputs.i.type", "`number` or `boolean`"),
    *(
        (flow_with(f"inputs: {{i: {{type: {rest}}}}}"), place, f"flows.f.inputs.i.{key}", says)
        for rest, place, key, says in [
            ("number, default: x", "4:32", "default", "in digits"),
            ("number, default: true", "4:32", "default", "in digits"),
            ("number, default: 1.10", "4:32", "default", "in quotes"),
            ("number, options: [1, 1e3]", "4:45", "options[1]", "in digits"),
            ("number, regex: a", "4:32", "regex", "of this type"),
            ("boolean, default: 1", "4:33", "default", "`true` or `false`"),
            ("boolean, options: [a]", "4:33", "options", "of this type"),
            ("string, regex: '(?=a)'", "4:32", "regex", "of RE2"),
            ("string, regex: '(a{999}){999}'", "4:32", "regex", "too large"),
        ]
    ),
    (flow_with("inputs: {i: {regex: ^v, default: x}}"), "4:14", "flows.f.inputs.i", "does not match"),
    (flow_with("inputs: {i: {regex: ^v, options: [v, x]}}"), "4:14", "flows.f.inputs.i", "does not match"),
    (flow_with("inputs: {AWS_REGION: {}}"), "4:14", "flows.f.inputs.AWS_REGION", "which only `variables`"),
    (
        flow_with("inputs:", *(f"  i{n}: {{regex: a{n}}}" for n in range(20))),
        "21:13",
        "flows.f.inputs.i16.regex",
        "more than 16",
    ),
    (flow_with("inputs: {i: {default: 3}}"), "4:18", "flows.f.inputs.i.default", "put it in quotes"),
    (
        flow_with("inputs: {i: {default: [a]}}"),
        "4:18",
        "flows.f.inputs.i.default",
        "must be text, not a list",
    ),
    (flow_with("inputs: {i: {default: a, options: [b]}}"), "4:14", "flows.f.inputs.i", "add it there"),
    (flow_with("inputs: {VAULT_ADDR: {}}"), "4:14", "flows.f.inputs.VAULT_ADDR", "where Vault is"),
    (
        flow_with("access_token: {scopes: ['user:7']}"),
        "4:29",
        "flows.f.access_token.scopes[0]",
        "leave `user:`",
    ),
    (flow_with("access_token: {scopes: [a b]}"), "4:29", "flows.f.access_token.scopes[0]", "one per entry"),
    (flow_with("access_token: {resource: /v1}"), "4:20", "flows.f.access_token.resource", "absolute URI"),
    (flow_with("access_token: {resource: 'a:b#c'}"), "4:20", "flows.f.access_token.resource", "absolute URI"),
    # YAML
    ("", "1:1", "", "the file is empty"),
    ("# nothing\n", "1:1", "", "the file is empty"),
    ("- a", "1:1", "", "must be a table"),
    ("image: a: b", "1:9", "", "put the text in quotes"),
    ("image:\n\tb", "2:1", "", "use spaces"),
    ("image: 'a", "1:10", "", "close it"),
    ("image: *a", "1:8", "", "define it first"),
    ("image: a\n--- \nimage: b", "2:1", "", "remove the `---`"),
    ("image: !!python/name:os.system x", "1:1", "image", "remove the `!"),
    ("image: !!str x", "1:1", "image", "remove the `!"),
    ("image: ! x", "1:1", "image", "remove the `!"),
    ("variables: !x {A: b}", "1:1", "variables", "remove the `!"),
    ("!x image: b", "1:1", "image", "remove the `!"),
    (b"image: \xff", "1:8", "", "not UTF-8"),
    (b"image: b\nvariables: \0", "2:12", "", "control character"),
    ("image: b".encode("utf-16"), "1:1", "", "not UTF-8"),
    ('image: "\\UFFFFFFFF"', "1:11", "", "stands for nothing"),
    ("a: &a [*a]", "1:4", "a" + "[0]" * 19, "alias inside its own anchor"),
    ("a: " + "[" * 5000, "1:23", "", "nested deeper than 20"),
    (" " * 300_000, "1:1", "", "larger than 256 KiB"),
    # what fits alone, and not together
    ("variables: {A: x}\nid_tokens: {A: {aud: v}}", "2:13", "id_tokens.A", "also that of a variable"),
    (
        "variables: {A: x}\n" + flow_with("inputs: {A: {}}"),
        "5:14",
        "flows.f.inputs.A",
        "also that of a variable",
    ),
    (
        "id_tokens: {A: {aud: v}}\n" + flow_with("variables: {A: x}"),
        "5:17",
        "flows.f.variables.A",
        "also that of an ID token",
    ),
    ("secrets: {S: {vault: a/b}}", "1:11", "secrets.S", "add one under `id_tokens`"),
    (
        "id_tokens: {A: {aud: v}, B: {aud: w}}\nsecrets: {S: {vault: a/b}}",
        "2:11",
        "secrets.S.token",
        "write `$A` or `$B`",
    ),
    (
        "id_tokens: {A: {aud: v}}\nsecrets: {S: {vault: a/b}}\n" + flow_with("id_tokens: {B: {aud: w}}"),
        "2:11",
        "secrets.S.token",
        "declared in flow f: write `$A` or `$B`",
    ),
    (
        "id_tokens: {A: {aud: v}}\nsecrets: {S: {vault: a/b, token: $B}}",
        "2:27",
        "secrets.S.token",
        "write `$A`",
    ),
    (
        "id_tokens: {A: {aud: $where}}\n" + flow_with("inputs: {where: {}}"),
        "1:17",
        "id_tokens.A.aud",
        "never sets an audience",
    ),
]


@pytest.mark.parametrize(("text", "place", "key", "says"), FAULTS, ids=lambda value: str(value)[:60])
def test_a_fault_has_its_place_its_key_and_a_remedy(text, place, key, says):
    found = fault(text)
    assert (f"{found.line}:{found.column}", found.key) == (place, key)
    assert says in found.message
    assert str(found).startswith(f"agent-config.yml:{place}: ")


def test_all_faults_are_reported_at_once_in_the_order_of_the_file():
    text = dedent("""\
        flows:
          f: {script: []}
        variables:
          PATH: x
          A: 1.5
          A: x
        id_tokens:
          T: {aud: [], ttl: never}
        """)
    assert [found.key for found in refusal(text).faults] == [
        "flows.f.script",
        "variables.PATH",
        "variables.A",
        "variables.A",
        "id_tokens.T.aud",
        "id_tokens.T.ttl",
    ]
    assert str(refusal(text)).count("\n") == 5


def test_a_fault_at_the_top_is_reported_once_however_many_flows_inherit_it():
    flows = "flows:\n" + "".join(f"  f{n}: {{script: [make]}}\n" for n in range(200))
    text = (
        "secrets: {S: {vault: a/b}}\n"
        + flows
        + "  last: {script: [make], inputs: {A: {}}, variables: {A: x}}"
    )
    assert [found.key for found in refusal(text).faults] == ["secrets.S", "flows.last.inputs.A"]


def test_a_refusal_stays_readable_however_much_is_wrong():
    refused = refusal("variables:\n" + "".join(f"  a-{n}: x\n" for n in range(1000)))
    assert len(refused.faults) == 100
    rest = "agent-config.yml: and at least 75 more; `countersign flow lint` shows all"
    assert str(refused).splitlines()[25:] == [rest]


def leaves(data, path=()):
    if isinstance(data, dict | list):
        for key, inner in data.items() if isinstance(data, dict) else enumerate(data):
            yield from leaves(inner, (*path, key))
    else:
        yield path


@pytest.mark.parametrize(
    "secret", ["hunter2", "$hunter2", "hunter2 $", "hunter2/", "-hunter2\t", ["hunter2"]]
)
@pytest.mark.parametrize("path", list(leaves(yaml.safe_load(EXAMPLE))), ids=str)
def test_a_value_is_never_repeated(path, secret):
    data = yaml.safe_load(EXAMPLE)
    *outer, last = path
    place = data
    for key in outer:
        place = place[key]
    place[last] = secret
    answer = outcome(yaml.safe_dump(data).encode())
    assert isinstance(answer, Configuration) or "hunter2" not in " ".join(map(str, answer))


@pytest.mark.parametrize(
    "text",
    [
        "image: *hunter2",
        "image: &hunter2 'x",
        "image: !hunter2 x",
        "image: hunter2: x",
        "%hunter2",
        "@hunter2",
    ],
)
def test_a_syntax_error_repeats_nothing(text):
    assert "hunter2" not in str(refusal(text))


# Whatever comes in


def bomb(width, depth):
    first = "a0: &a0 [" + ", ".join(["x"] * width) + "]\n"
    return first + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]\n" for n in range(1, depth))


HOSTILE = {
    "billion laughs": bomb(9, 12),
    "wide bomb": bomb(90, 4),
    "text bomb": "variables:\n  A: &a " + "x" * 30_000 + "\n" + "".join(f"  B{n}: *a\n" for n in range(99)),
    "brackets": "[" * 262_000,
    "braces": "{" * 262_000,
    "dashes": "- " * 131_000,
    "questions": "? " * 131_000,
    "short items": "- a\n" * 65_000,
    "short keys": "".join(f"k{n}: v\n" for n in range(24_000)),
    "directives": "%a\n" * 87_000,
    "comments": "#\n" * 131_000,
    "blank": " " * 262_000,
    "one long text": "image: " + "a " * 131_000,
    "unknown keys": "".join(f"scripts{n}: 1\n" for n in range(4_900)),
    "costly expressions": "flows: {f: {script: [a], inputs: {"
    + ", ".join(rf"i{n}: {{regex: '\w{{{n + 700}}}'}}" for n in range(64))
    + "}}}",
    "many flows and audiences": "id_tokens:\n"
    + "".join(f"  T{n}: {{aud: [{', '.join(['$A' * 400] * 4)}]}}\n" for n in range(64))
    + "flows:\n"
    + "".join(f"  f{n}: {{script: [a], inputs: {{I: {{}}}}}}\n" for n in range(256)),
}


@pytest.mark.timeout(60)  # each takes a second at most; a bomb that goes off takes hours
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_dealt_with_quickly(name):
    outcome(HOSTILE[name].encode())


def outcome(body):
    """Either answer is right; anything else escapes and fails the test."""
    try:
        return parse(body)
    except ConfigurationError as refused:
        faults = refused.faults
    assert faults
    assert all(found.line >= 1 and found.column >= 1 and str(found).encode() for found in faults)
    return faults


@given(st.binary(max_size=300))
@example(b"%YAML 1." + b"9" * 5000 + b"\n---\na: b")
@example(b'"\\U00110000": x')
@example(b"\xef\xbb\xbf")
def test_any_bytes_are_a_configuration_or_a_refusal(body):
    outcome(body)


@given(
    st.lists(
        st.sampled_from(
            [
                *"{}[],:?-&*!|>'\"%@`#~=<.\n\t $\\",
                "a",
                " ",
                "\n  ",
                ": ",
                "- ",
                "<<",
                "&a ",
                "*a",
                "!!",
                "---\n",
                "flows",
                "yes",
                "0x1",
                "1.5",
                "\\0",
                "\\ud800",
                "\u2028",
            ]
        ),
        max_size=60,
    )
)
def test_any_play_of_yaml_signs_is_a_configuration_or_a_refusal(signs):
    outcome("".join(signs).encode())


def spliced(draw):
    start, end = sorted((draw(st.integers(0, len(EXAMPLE))), draw(st.integers(0, len(EXAMPLE)))))
    piece = draw(st.one_of(st.text(max_size=9), st.sampled_from(EXAMPLE.split())))
    return EXAMPLE[:start] + piece + EXAMPLE[min(end, start + 12) :]


@given(st.composite(spliced)())
def test_any_damage_to_a_right_file_gives_a_configuration_or_a_refusal(text):
    outcome(text.encode("utf-8", "surrogatepass"))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)
KEYS = (
    "aud ttl vault token file engine name path field type default options description scopes resource"
    " script setup_script inputs access_token timeout variables id_tokens secrets flows image cache f T S"
    " aws_tags aws_secrets_manager secret_id version_id version_stage region role_arn regex number boolean"
)
TABLES = st.recursive(
    VALUES,
    lambda inner: (
        st.dictionaries(st.sampled_from(KEYS.split()), inner, max_size=4) | st.lists(inner, max_size=2)
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(["variables", "id_tokens", "secrets", "flows", "image"]), TABLES))
def test_any_data_under_the_right_keys_is_a_configuration_or_a_refusal(data):
    outcome(yaml.safe_dump(data, allow_unicode=True).encode())


NAMES = st.sampled_from(["A", "B", "C"])
SHARED = {
    "variables": st.dictionaries(NAMES, st.just("x"), max_size=2),
    "id_tokens": st.dictionaries(NAMES, st.just({"aud": "v"}), max_size=2),
    "secrets": st.dictionaries(
        NAMES,
        st.builds(
            lambda token: {"vault": "p/f"} | ({"token": f"${token}"} if token else {}), st.none() | NAMES
        ),
        max_size=2,
    ),
}


@given(
    st.fixed_dictionaries({}, optional=SHARED),
    st.fixed_dictionaries(
        {"script": st.just(["make"])},
        optional=SHARED | {"inputs": st.dictionaries(NAMES, st.just({}), max_size=2)},
    ),
)
def test_in_every_accepted_flow_names_are_unique_and_secrets_have_a_declared_token(top, own):
    answer = outcome(yaml.safe_dump(top | {"flows": {"f": own}}).encode())
    if isinstance(answer, Configuration):
        flow = answer.flow("f")
        names = [*flow.variables, *flow.inputs, *flow.id_tokens, *flow.secrets]
        assert len(names) == len(set(names))
        assert all(secret.token in flow.id_tokens for secret in flow.secrets.values())
        assert set(names) == set().union(
            *(table for table in [*top.values(), *own.values()] if isinstance(table, dict))
        )


@pytest.mark.parametrize(
    ("scopes", "says"),
    [
        ('["*"]', "scopes[0]: there is no such scope: use api, audit.read, code.read"),
        ("[code.reed]", "scopes[0]: there is no such scope"),
        ("[admin]", "scopes[0]: there is no such scope"),
        ('["user:1"]', "leave `user:` scopes out"),
        ("[code.read, code.read]", "a scope stands in `scopes` twice"),
    ],
)
def test_an_access_token_asks_for_scopes_that_exist_each_once(scopes, says):
    body = f"flows:\n  a:\n    script: [echo]\n    access_token: {{scopes: {scopes}}}\n".encode()
    with pytest.raises(ConfigurationError, match=re.escape(says)):
        parse(body)

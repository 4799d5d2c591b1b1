"""The published JSON Schema and the model are of one mind, as far as JSON Schema can have one."""

import copy
import json
import re

import jsonschema_rs
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.flows import schema
from app.flows.configuration import Configuration, ConfigurationError, parse
from app.flows.names import BY_TABLE, check_name
from tests.support.effort import count
from tests.unit.flows.test_configuration import ARN, EXAMPLE, FAULTS, ROLE, VERSION
from tests.unit.flows.test_names import ALLOWED, STEERING

PUBLISHED = json.loads(json.dumps(schema.of(Configuration)))
VALIDATOR = jsonschema_rs.Draft202012Validator(PUBLISHED)
TABLES = [PUBLISHED, *(each for each in PUBLISHED["$defs"].values() if "properties" in each)]

BEYOND = (  # what no JSON Schema says: how YAML was written, how long a time is, and what fits together
    "put it in quotes",
    "remove its escape",
    "a control character",
    "is also that of",
    "under `id_tokens`",
    "names no ID token",
    "more than one ID token",
    "an input: whoever starts",
    "a scope stands",
    "is not one of its `options`",
    "does not match its `regex`",
    "of RE2",
    "different ones in the file",
    "must be a duration",
    "a lone `$`",
    "longer than 255",
)

FULL = yaml.safe_load(EXAMPLE)
FULL |= {"setup_script": "npm ci", "cache": {"paths": ["venv"]}}
FULL["id_tokens"]["AWS_ID_TOKEN"]["aws_tags"] = True
FULL["secrets"] |= {
    "SHORT": {"aws_secrets_manager": "app/db#password", "token": "$AWS_ID_TOKEN"},
    "LONG": {
        "aws_secrets_manager": {
            "secret_id": ARN,
            "field": "password",
            "version_id": VERSION,
            "region": "eu-west-1",
            "role_arn": ROLE,
            "role_session_name": "run",
        },
        "token": "$AWS_ID_TOKEN",
    },
}
FULL["flows"]["fix-ci"]["inputs"] |= {
    "version": {"regex": "^v", "default": "v1"},
    "count": {"type": "number", "default": 1.5, "options": [1, "1.50"]},
    "dry": {"type": "boolean", "default": True},
}


def refusals(data):
    try:
        parse(yaml.safe_dump(data, allow_unicode=True).encode())
    except ConfigurationError as refused:
        return [fault.message for fault in refused.faults]
    return []


def agree(data):
    """Accepted is valid, and refused is invalid unless for nothing but reasons beyond a schema."""
    reasons = refusals(data)
    if not reasons:
        assert VALIDATOR.is_valid(data), [str(error) for error in VALIDATOR.iter_errors(data)]
    elif within := [each for each in reasons if not any(beyond in each for beyond in BEYOND)]:
        assert not VALIDATOR.is_valid(data), within
    return not reasons


def test_it_is_a_schema_of_its_draft_and_knows_no_other_keys():
    assert PUBLISHED["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema_rs.meta.validate(PUBLISHED)
    assert all(table["additionalProperties"] is False for table in TABLES)
    assert PUBLISHED["$defs"]["FlowDeclaration"]["required"] == ["script"]
    assert PUBLISHED["$defs"]["FlowDeclaration"]["properties"]["timeout"]["default"] == "1h"


def patterns(node):
    if isinstance(node, dict | list):
        for key, inner in node.items() if isinstance(node, dict) else enumerate(node):
            yield from [inner] if key == "pattern" and isinstance(inner, str) else patterns(inner)


def test_its_patterns_are_regular_expressions_of_ecma_262_in_unicode_mode():
    """There, no character is escaped that need not be (§22.2.1, IdentityEscape)."""
    found = [*patterns(PUBLISHED)]
    legal = r"[\\^$.*+?()\[\]{}|/dDwWsSbBtnvfr]|x[0-9a-f]{2}|u[0-9a-f]{4}"
    assert len(found) > 10
    for pattern in found:
        assert all(re.fullmatch(legal, each) for each in re.findall(r"\\(x..|u....|.)", pattern)), pattern


def test_it_explains_every_key_to_whoever_points_at_it():
    for table in TABLES:
        for key, described in table["properties"].items():
            assert "description" in described or "$ref" in described or "const" in described, key


def test_it_knows_every_key_that_the_model_knows():
    assert agree(FULL)


def test_it_refuses_the_names_that_are_refused():
    for table in BY_TABLE:
        names = jsonschema_rs.Draft202012Validator(
            {"$ref": f"#/$defs/name_in_{table}", "$defs": PUBLISHED["$defs"]}
        )
        for name in [*ALLOWED, *STEERING, "1A", "A-B", "A\n", "VAULT_ADDR", "VAULT_SERVER_URL", "AWS_REGION"]:
            assert names.is_valid(name) == (check_name(name, table) is None), (name, table)


@given(st.sampled_from([*BY_TABLE]), st.data())
def test_it_and_the_model_agree_on_names(table, data):
    word = st.sampled_from(" ".join([*STEERING, *ALLOWED]).replace("_", " ").split())
    name = data.draw(st.one_of(st.lists(word, min_size=1, max_size=3).map("_".join), st.text(max_size=9)))
    names = jsonschema_rs.Draft202012Validator(
        {"$ref": f"#/$defs/name_in_{table}", "$defs": PUBLISHED["$defs"]}
    )
    assert names.is_valid(name) == (check_name(name, table) is None)


DOCUMENTS = [row[0] for row in FAULTS if isinstance(row[0], str) and len(row[0]) < 1000]


@pytest.mark.parametrize("text", DOCUMENTS, ids=lambda text: text[:60])
def test_it_refuses_what_the_model_refuses(text):
    try:
        data = yaml.safe_load(text)
        json.dumps(data)
    except (yaml.YAMLError, ValueError, TypeError, OverflowError):
        return  # no document, so nothing for a schema
    if isinstance(data, dict) and all(isinstance(key, str) for key in data):
        agree(data)


def paths(data, path=()):
    yield path
    if isinstance(data, dict | list):
        for key, inner in data.items() if isinstance(data, dict) else enumerate(data):
            yield from paths(inner, (*path, key))


def keys(node):
    if isinstance(node, dict):
        yield from node.get("properties", {})
        for inner in node.values():
            yield from keys(inner)


KEYS = st.sampled_from([*dict.fromkeys(keys(PUBLISHED)), "PATH", "A", "a-b", "x"])
SCALARS = st.one_of(
    st.sampled_from(
        [None, True, False, 0, -3, 1.5, "", " ", ".", "a", "A", "a/b", "a/b@c", "a/../b", "a//b", "a#b", "$A"]
    ),
    st.sampled_from(
        ["${A_B}", "$", "1h", "25h", "5", "1.50", "true", "code.read", "user:1", "kv-v2", "number"]
    ),
    st.sampled_from(["https://a.example", "a b", "ü", "a\n", ARN, ROLE, VERSION, "eu-west-1", "x" * 600]),
    st.text(max_size=5),
    st.integers(-9, 9),
)
VALUES = st.one_of(
    SCALARS,
    st.lists(SCALARS, max_size=2),
    st.dictionaries(KEYS, st.one_of(SCALARS, st.dictionaries(KEYS, SCALARS, max_size=2)), max_size=2),
)


@st.composite
def changed(draw):
    """The full example after one to three changes: a value replaced, a key added or one taken away."""
    data = copy.deepcopy(FULL)
    for _ in range(draw(st.integers(1, 3))):
        *outer, last = draw(st.sampled_from([path for path in paths(data) if path]))
        place = data
        for key in outer:
            place = place[key]
        change = draw(st.sampled_from(["replace", "add", "remove"]))
        if change == "remove":
            del place[last]
        elif change == "add" and isinstance(place[last], dict):
            place[last][draw(KEYS)] = draw(VALUES)
        else:
            place[last] = draw(VALUES)
    return data


@settings(max_examples=count(ci=150, proof=5_000))
@given(changed())
@example({"secrets": {"S": {"vault": None, "aws_secrets_manager": "a"}}})
@example({"flows": {"f": {"script": "make\n", "inputs": {"i": {"type": "number", "default": "1\n"}}}}})
def test_it_and_the_model_agree_on_a_configuration_however_it_is_changed(data):
    agree(data)

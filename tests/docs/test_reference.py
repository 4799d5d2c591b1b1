"""The reference pages are complete: each table holds what the code holds, no more and no less."""

import json
import re

import pytest
from joserfc import jws

from app.flows import wording
from app.flows.configuration import Configuration
from app.flows.declarations import AccessTokenDeclaration, FlowDeclaration, IdTokenDeclaration
from app.flows.declared_inputs import StringInput
from app.flows.declared_secrets import AwsSecret, SecretDeclaration, VaultSecret
from app.flows.names import EVERYWHERE, check_name
from app.identity.permissions import PERMISSIONS, Role
from app.ledger.actions import AuditAction
from app.ledger.models import AuditRow
from app.protocol.claims import ACCESS_TOKEN_TYPE, FLOW_ID_TOKEN, ID_TOKEN_TYPE, REGISTERED
from app.protocol.oauth_errors import OAuthError
from tests.docs.pages import rows
from tests.support.tools import ROOT

REFERENCE = ROOT / "docs/reference"


def names(page, number=0):
    return [row[0].strip("`") for row in rows(REFERENCE / page, number)]


def test_every_audit_action_and_column_is_explained():
    assert names("audit.md", 0) == [column.name for column in AuditRow.__table__.columns]
    assert names("audit.md", 1) == [action.value for action in AuditAction]


def test_every_error_of_the_token_endpoint_is_there_in_its_words():
    told = {row[0].strip("`"): (int(row[1]), row[2]) for row in rows(REFERENCE / "errors.md")}
    assert told == {error.code: (error.status, error.description) for error in OAuthError}


def test_roles_and_permissions_are_the_table_of_the_code():
    assert names("permissions.md", 0) == [role.label for role in Role]
    told = {row[0].strip("`"): row[1].strip("`") for row in rows(REFERENCE / "permissions.md", 1)}
    assert told == {permission: role.label for permission, role in PERMISSIONS.items()}


@pytest.mark.parametrize(
    ("number", "table"),
    list(
        enumerate(
            [
                Configuration,
                IdTokenDeclaration,
                SecretDeclaration,
                VaultSecret,
                AwsSecret,
                FlowDeclaration,
                StringInput,
                AccessTokenDeclaration,
            ]
        )
    ),
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_every_key_of_agent_config_is_there(number, table):
    assert set(names("agent-config.md", number)) == set(table.model_fields)
    required = {
        row[0].strip("`") for row in rows(REFERENCE / "agent-config.md", number) if "required." in row[1]
    }
    assert required == {name for name, field in table.model_fields.items() if field.is_required()}


def test_every_reason_to_refuse_a_name_is_there_with_names_it_refuses():
    told = rows(REFERENCE / "agent-config.md", 8)
    assert [row[1] for row in told[:-2]] == [reserved.why for reserved in EVERYWHERE]
    for shown, why in told[:-2]:
        for name in re.findall(r"`([A-Z0-9_]+)`", shown.partition(", but for")[0]):
            assert why in (check_name(name) or ""), name


def test_keys_of_other_configurations_that_are_named_are_refused_with_a_remedy():
    page = (ROOT / "docs/guides/flows.md").read_text()
    named = re.search(r"The keys (.*) of other configurations", page)[1]
    assert set(re.findall(r"`(\w+)`", named)) <= wording._ELSEWHERE.keys()


@pytest.fixture(scope="module")
def run(shared_installation):
    """A run that wrote its environment to a file, as the names and values that its steps had."""
    here, folder = shared_installation, shared_installation.folder
    (folder / "agent-config.yml").write_text(
        "variables: {COLOUR: blue}\n"
        "id_tokens: {DEPLOY_ID_TOKEN: {aud: https://deploy.acme.example, aws_tags: true}}\n"
        "flows:\n"
        "  show: {inputs: {OUT: {type: string}}, script: ['env -0 > \"$OUT\"']}\n"
    )
    for words in (
        "user create alice --email alice@acme.example",
        "service-account create duo",
        "delegation grant --user alice --service-account duo",
        "project create acme/webapp",
        "project variable set acme/webapp SHAPE=round",
        "member add acme/webapp user:alice --role developer",
        "member add acme/webapp service_account:duo --role developer",
        f"project config set acme/webapp --file {folder}/agent-config.yml",
    ):
        here.invoke(*words.split())
    parties = ("--project", "acme/webapp", "--user", "alice", "--service-account", "duo")
    here.invoke("flow", "start", "show", *parties, "--input", f"OUT={folder}/environment")
    entries = (folder / "environment").read_text().split("\0")[:-1]
    return dict(entry.split("=", 1) for entry in entries)


def test_the_environment_of_a_run_is_the_documented_one(run):
    of_the_shell = {"PWD", "OLDPWD", "SHLVL", "_"}
    declared = {"COLOUR", "OUT", "DEPLOY_ID_TOKEN"}
    assert run.keys() - of_the_shell == {*names("run-environment.md"), *declared}


def claims_of(token):
    parsed = jws.extract_compact(token.encode())
    return parsed.headers()["typ"], json.loads(parsed.payload)


def test_the_claims_of_an_id_token_are_the_documented_ones(run):
    typ, claims = claims_of(run["DEPLOY_ID_TOKEN"])
    assert typ == ID_TOKEN_TYPE
    of_git = {"ref", "ref_type", "ref_path", "ref_protected", "sha"}
    assert set(names("claims.md", 1)) == set(claims) | of_git == {*REGISTERED, *FLOW_ID_TOKEN}
    kinds = {"integer": int, "object": dict}
    for name, meaning in rows(REFERENCE / "claims.md", 1):
        if name.strip("`") in of_git:
            continue
        kind = kinds.get(meaning.partition(":")[0], str)
        assert type(claims[name.strip("`")]) is kind, name


def test_the_claims_of_an_access_token_are_the_documented_ones(run):
    typ, claims = claims_of(run["COUNTERSIGN_ACCESS_TOKEN"])
    assert typ == ACCESS_TOKEN_TYPE
    assert set(names("claims.md", 0)) == set(claims)
    for name, meaning in rows(REFERENCE / "claims.md", 0):
        assert isinstance(claims[name.strip("`")], int if meaning.startswith("integer") else str), name

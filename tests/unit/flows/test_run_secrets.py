"""A run's secrets: who logs in, how often, and that no login outlives the run."""

import json
from collections import Counter
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler

import pytest

from app.errors import InvalidInput
from app.flows.aws_secrets_manager import AwsSecretsManager
from app.flows.configuration import parse
from app.flows.outbound import Outbound
from app.flows.secret_values import SecretUnavailable
from app.flows.secrets import RunSecrets, SecretSources
from app.flows.vault_logins import VaultLogins
from app.secret import Secret
from tests.support import odd_server
from tests.support.odd_server import Behaviour, OddServer, serving
from tests.unit.flows.test_vault_logins import kept, logins, run

__all__ = ["run"]  # a fixture

CONFIGURATION = b"""
id_tokens:
  ONE: {aud: https://vault.example}
  OTHER: {aud: https://vault.example}
secrets:
  NAME: {vault: {engine: {name: generic, path: db}, path: creds/ship, field: username}, token: $ONE}
  WORD: {vault: {engine: {name: generic, path: db}, path: creds/ship, field: password}, token: $ONE}
  KEY: {vault: ship/key/value@kv, token: $OTHER}
flows: {fix-ci: {script: ["true"]}}
"""
LOGIN, REVOKE = "/v1/auth/jwt/login", "/v1/auth/token/revoke-self"
ID_TOKENS = {name: Secret(f"eyJhbGciOiJSUzI1NiJ9.{name.lower()}.c2lnbmF0dXJl") for name in ("ONE", "OTHER")}


def vault(revoke: Behaviour):
    """Each login is given a token of its own, and each read of credentials other ones."""
    count = Counter[str]()

    def behave(handler: BaseHTTPRequestHandler, server: OddServer) -> None:
        count[handler.path] += 1
        number = count[handler.path]
        bodies = {
            LOGIN: {"auth": {"client_token": f"hvs.number-{number}", "lease_duration": 300}},
            "/v1/db/creds/ship": {"data": {"username": f"user-{number}", "password": f"word-{number}"}},
            "/v1/kv/data/ship/key": {"data": {"data": {"value": "the-value"}, "metadata": {"version": 1}}},
        }
        if handler.path == REVOKE:
            revoke(handler, server)
        else:
            odd_server.answer(200, json.dumps(bodies[handler.path]).encode())(handler, server)

    return serving(behave)


def secrets_of(source: VaultLogins, number: int, told: list[str], **variables: str) -> RunSecrets:
    sources = SecretSources(source, AwsSecretsManager(Outbound([], allow_loopback=True)))
    return RunSecrets(
        sources, number, parse(CONFIGURATION).flow("fix-ci"), variables, lambda why: told.append(str(why))
    )


def resolved(secrets: RunSecrets) -> dict[str, str]:
    values = secrets.resolve(ID_TOKENS, lambda: None, lambda *_: None)
    return {name: value.reveal() for name, value in values.items()}


def test_each_token_logs_in_once_and_a_path_is_read_once(world, run):
    told: list[str] = []
    with vault(odd_server.answer(204, b"")) as server:
        with secrets_of(logins(world), run, told, VAULT_SERVER_URL=server.address) as secrets:
            assert resolved(secrets) == {"NAME": "user-1", "WORD": "word-1", "KEY": "the-value"}
            assert len(kept(world)) == 2
        asked = Counter(each.path for each in server.asked)
    assert (asked[LOGIN], asked["/v1/db/creds/ship"], asked[REVOKE]) == (2, 1, 2)
    assert told == []
    assert kept(world) == []


@pytest.mark.parametrize("fails", [False, True])
def test_a_vault_that_is_away_at_the_end_is_told_of_once_and_its_tokens_stay_kept(world, run, fails):
    told: list[str] = []
    ends = pytest.raises(KeyError, match="ours") if fails else nullcontext()
    with (
        vault(odd_server.hang_up) as server,
        ends,
        secrets_of(logins(world), run, told, VAULT_SERVER_URL=server.address) as secrets,
    ):
        resolved(secrets)
        if fails:
            raise KeyError("ours")
    assert [each.path for each in server.asked].count(REVOKE) == 1
    assert len(told) == 1
    assert len(kept(world)) == 2


def test_the_end_of_one_login_does_not_hang_on_that_of_another(world, run):
    told: list[str] = []
    refused = odd_server.answer(403, b'{"errors": ["permission denied"]}')
    with vault(refused) as server:
        with secrets_of(logins(world), run, told, VAULT_SERVER_URL=server.address) as secrets:
            resolved(secrets)
        assert [each.path for each in server.asked].count(REVOKE) == 2
    assert len(told) == 2


def test_all_revocations_have_one_time_and_what_is_left_then_is_left_to_housekeeping(world, run, monkeypatch):
    told: list[str] = []
    with vault(odd_server.answer(204, b"")) as server:
        with secrets_of(logins(world), run, told, VAULT_SERVER_URL=server.address) as secrets:
            resolved(secrets)
            monkeypatch.setattr("app.flows.secrets._REVOKING_SECONDS", -1)
        assert [each.path for each in server.asked].count(REVOKE) == 0
    assert told == []
    assert len(kept(world)) == 2


def test_a_run_that_must_end_reads_no_further(world, run):
    class StoppedError(Exception): ...

    def stop() -> None:
        raise StoppedError

    with vault(odd_server.answer(204, b"")) as server:
        with (
            secrets_of(logins(world), run, [], VAULT_SERVER_URL=server.address) as secrets,
            pytest.raises(StoppedError),
        ):
            secrets.resolve(ID_TOKENS, stop, lambda *_: None)
        assert server.asked == []


def test_what_failed_is_named_with_its_place(world, run):
    found: list[object] = []
    with (
        pytest.raises(
            SecretUnavailable, match=r"^agent-config.yml:6:3: secrets.NAME: cannot log in to Vault"
        ),
        secrets_of(logins(world), run, [], VAULT_SERVER_URL="http://127.0.0.1:1") as secrets,
    ):
        secrets.resolve(ID_TOKENS, lambda: None, lambda *told: found.append(told[:2]))
    assert found == [("NAME", {"engine": "generic", "mount": "db", "path": "creds/ship"})]


def test_without_an_address_there_is_no_run(world, run):
    with pytest.raises(
        InvalidInput, match=r"^agent-config.yml:6:3: secrets.NAME: VAULT_SERVER_URL is not set"
    ):
        secrets_of(logins(world), run, [])

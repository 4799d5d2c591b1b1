"""What the runbook for a leaked key says of those who keep keys for ever, OpenBao and Go programs: they
believe a revoked one until configured anew, or until they meet a key that they do not know.
"""

import json
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path

import hvac
import pytest
import requests

from tests.support import caching
from tests.support.components import parts
from tests.support.server import Installation

PEOPLE = (
    "user create alice --email alice@example.com",
    "service-account create duo",
    "delegation grant --user alice --service-account duo",
)
ISSUE = ("token", "issue", "--service-account", "duo", "--user", "alice")


class Trust:
    """An OpenBao that trusts an issuer."""

    def __init__(self, root: hvac.Client, issuer: str) -> None:
        self.root, self.issuer, self.mount = root, issuer, f"jwt-{secrets.token_hex(4)}"
        root.sys.enable_auth_method("jwt", path=self.mount)
        self.configure()
        root.auth.jwt.create_role(
            "api",
            path=self.mount,
            role_type="jwt",
            user_claim="sub",
            allowed_redirect_uris=[],
            bound_audiences=[f"{issuer}/api/v1"],
            token_policies=["default"],
        )

    def configure(self) -> None:
        """The command of the runbook."""
        self.root.auth.jwt.configure(
            oidc_discovery_url=self.issuer, bound_issuer=self.issuer, path=self.mount
        )

    def accepts(self, token: str) -> bool:
        try:
            self.root.auth.jwt.jwt_login("api", token, use_token=False, path=self.mount)
        except (hvac.exceptions.InvalidRequest, hvac.exceptions.Forbidden):
            return False
        return True


class Verifiers:
    """OpenBao and a Go program with go-oidc, each with the JWKS of an issuer in memory once it was asked."""

    def __init__(self, bao: Trust, go_oidc: caching.Verifiers) -> None:
        self._bao, self._go_oidc = bao, go_oidc

    def accept(self, token: str) -> set[bool]:
        [refusal] = self._go_oidc.verdicts(token, f"{self._bao.issuer}/api/v1")
        return {self._bao.accepts(token), refusal is None}


class Issuer:
    def __init__(self, folder: Path) -> None:
        self.made = Installation(folder)
        self.made.invoke("init")
        for line in PEOPLE:
            self.made.invoke(*line.split())

    def token(self) -> str:
        return self.made.invoke(*ISSUE, json=True).data["access_token"]

    def revoke(self, token: str) -> None:
        """Its key; returns when the JWKS is without it."""
        kid = parts(token)[0]["kid"]
        self.made.invoke("keys", "revoke", kid, "--reason", "in a public repository", "--yes")
        until(lambda: kid not in self._jwks())

    def rotate(self) -> None:
        """Returns when the JWKS has what signs now, and what will."""
        self.made.invoke("keys", "rotate", "--now", "--reason", "verifiers are to fetch the JWKS")
        rows = self.made.invoke("keys", "list", json=True).data
        kids = [row["kid"] for row in rows if row["state"] in {"active", "next"}]
        until(lambda: all(kid in self._jwks() for kid in kids))

    def _jwks(self) -> str:
        return requests.get(f"{self.made.issuer}/.well-known/jwks.json", timeout=60).text


@pytest.fixture
def issuer(tmp_path):
    return Issuer(tmp_path)


@pytest.fixture
def bao(openbao, issuer):
    root = hvac.Client(openbao.address, openbao.root_token)
    with issuer.made.serve():
        yield Trust(root, issuer.made.issuer)
    root.adapter.close()


@pytest.fixture
def verifiers(bao):
    cache = caching.Cache(f"{bao.issuer}/.well-known/jwks.json", caching.FOR_EVER)
    with caching.verifiers(bao.issuer, [cache]) as languages:
        yield Verifiers(bao, languages["go-oidc"])


@pytest.mark.slow
def test_openbao_forgets_a_revoked_key_once_its_configuration_is_written_again(issuer, bao):
    token = issuer.token()
    assert bao.accepts(token)
    issuer.revoke(token)
    assert bao.accepts(token), "it has the key in memory, and asks nobody"
    fresh = issuer.token()
    assert bao.accepts(fresh), "this key as well: it was published beside the other"
    assert bao.accepts(token)
    bao.configure()
    assert not bao.accepts(token)
    assert bao.accepts(fresh)


@pytest.mark.slow
def test_who_keeps_keys_for_ever_forgets_a_revoked_one_when_shown_a_token_of_one_more_rotation(
    issuer, verifiers
):
    leaked = issuer.token()
    assert verifiers.accept(leaked) == {True}
    issuer.revoke(leaked)
    assert verifiers.accept(issuer.token()) == verifiers.accept(leaked) == {True}
    issuer.rotate()
    assert verifiers.accept(leaked) == {True}, "they ask for the JWKS when they need it, and not before"
    assert verifiers.accept(issuer.token()) == {True}
    assert verifiers.accept(leaked) == {False}


@pytest.mark.slow
def test_after_the_revocation_of_a_retired_key_that_takes_two_rotations(issuer, verifiers):
    leaked = issuer.token()
    issuer.rotate()
    assert verifiers.accept(leaked) == {True}
    issuer.revoke(leaked)
    issuer.rotate()
    assert verifiers.accept(issuer.token()) == verifiers.accept(leaked) == {True}
    issuer.rotate()
    assert verifiers.accept(issuer.token()) == {True}
    assert verifiers.accept(leaked) == {False}


@pytest.mark.slow
def test_a_token_of_an_unknown_kid_does_it_too_although_it_is_refused(issuer, verifiers):
    leaked = issuer.token()
    assert verifiers.accept(leaked) == {True}
    issuer.revoke(leaked)
    assert verifiers.accept(with_kid(issuer.token(), "nobody")) == {False}
    assert verifiers.accept(leaked) == {False}
    assert verifiers.accept(issuer.token()) == {True}


def with_kid(token: str, kid: str) -> str:
    """What the runbook does."""
    header = json.dumps({"alg": "RS256", "typ": "JWT", "kid": kid}).encode()
    return b".".join([urlsafe_b64encode(header).rstrip(b"="), *token.encode().split(b".")[1:]]).decode()


def until(holds: Callable[[], bool]) -> None:
    """Nodes follow within five seconds."""
    deadline = time.monotonic() + 90
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.2)

"""What the runbook for a leaked key says of OpenBao: it believes a revoked key until configured anew."""

import secrets
import time

import hvac
import pytest
import requests

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


@pytest.mark.slow
def test_openbao_forgets_a_revoked_key_once_its_configuration_is_written_again(openbao, tmp_path):
    made = Installation(tmp_path)
    made.invoke("init")
    for line in PEOPLE:
        made.invoke(*line.split())
    token = made.invoke(*ISSUE, json=True).data["access_token"]
    kid = made.invoke("keys", "list", json=True).data
    [kid] = [key["kid"] for key in kid if key["state"] == "active"]
    root = hvac.Client(openbao.address, openbao.root_token)
    with made.serve():
        bao = Trust(root, made.issuer)
        assert bao.accepts(token)
        made.invoke("keys", "revoke", kid, "--reason", "in a public repository", "--yes")
        await_gone(made.issuer, kid)
        assert bao.accepts(token), "it has the key in memory, and asks nobody"
        fresh = made.invoke(*ISSUE, json=True).data["access_token"]
        assert bao.accepts(fresh), "a key that it does not know it fetches"
        bao.configure()
        assert not bao.accepts(token)
        assert bao.accepts(fresh)
    root.adapter.close()


def await_gone(issuer: str, kid: str) -> None:
    """Nodes follow within five seconds."""
    deadline = time.monotonic() + 30
    while kid in requests.get(f"{issuer}/.well-known/jwks.json", timeout=5).text:
        assert time.monotonic() < deadline
        time.sleep(0.2)

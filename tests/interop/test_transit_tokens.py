"""The product with its keys in the real OpenBao: it accepts the tokens, the ledger tells of requests."""

import json
import secrets
from collections.abc import Iterator

import hvac
import pytest

from tests.support.keystores import Tenancy, tenancy
from tests.support.openbao import OpenBao, openbao_server
from tests.support.server import Installation

PEOPLE = (
    "user create alice --email alice@example.com",
    "service-account create duo",
    "delegation grant --user alice --service-account duo",
)
ISSUE = ("token", "issue", "--service-account", "duo", "--user", "alice")


def installation(folder, tenant: Tenancy) -> Installation:
    """Its token stands in a file, which Vault Agent might replace."""
    (folder / "token").write_text(tenant.token.reveal() + "\n")
    made = Installation(
        folder,
        KEYSTORE="transit",
        TRANSIT_URL=tenant.server.address,
        TRANSIT_MOUNT=tenant.mount,
        TRANSIT_TOKEN_FILE=str(folder / "token"),
    )
    made.invoke("init")
    for line in PEOPLE:
        made.invoke(*line.split())
    return made


def issued(made: Installation) -> str:
    token: str = made.invoke(*ISSUE, json=True).data["access_token"]
    return token


def ledger(made: Installation, action: str) -> list[dict]:
    rows = made.invoke("audit", "list", json=True).data
    return [row for row in rows if row["action"] == action]


@pytest.fixture
def judged_by(openbao: OpenBao) -> Iterator[hvac.Client]:
    with_root = hvac.Client(openbao.address, openbao.root_token)
    yield with_root
    with_root.adapter.close()


def accepts(bao: hvac.Client, issuer: str, token: str, alg: str) -> bool:
    mount = f"jwt-{secrets.token_hex(4)}"
    bao.sys.enable_auth_method("jwt", path=mount)
    bao.auth.jwt.configure(
        oidc_discovery_url=issuer, bound_issuer=issuer, jwt_supported_algs=[alg], path=mount
    )
    bao.auth.jwt.create_role(
        "api",
        path=mount,
        role_type="jwt",
        user_claim="sub",
        allowed_redirect_uris=[],
        bound_audiences=[f"{issuer}/api/v1"],
        token_policies=["default"],
    )
    answer = bao.auth.jwt.jwt_login("api", token, use_token=False, path=mount)
    bao.sys.disable_auth_method(mount)
    return bool(answer["auth"]["client_token"])


@pytest.mark.slow
def test_openbao_accepts_what_openbao_has_signed_for_us(transit_tenancy, judged_by, tmp_path):
    made = installation(tmp_path, transit_tenancy)
    token = issued(made)
    with made.serve():
        assert accepts(judged_by, made.issuer, token, "RS256")
    assert [path.name for path in (tmp_path / "keys").glob("*.pem")] == ["ledger.pem"]


def test_every_signature_is_told_of_before_it_is_asked_for(transit_tenancy, tmp_path):
    made = installation(tmp_path, transit_tenancy)
    issued(made)
    [request], [issue] = ledger(made, "keys:signature:request"), ledger(made, "tokens:access_token:issue")
    assert (request["jti"], request["kid"]) == (issue["jti"], issue["kid"])
    assert request["seq"] < issue["seq"]


@pytest.mark.slow
def test_rotated_it_signs_with_the_next_key_and_the_old_one_is_verified_still(
    transit_tenancy, judged_by, tmp_path
):
    made = installation(tmp_path, transit_tenancy)
    before = issued(made)
    made.invoke("keys", "rotate")
    after = issued(made)
    with made.serve():
        assert accepts(judged_by, made.issuer, before, "RS256")
        assert accepts(judged_by, made.issuer, after, "RS256")


@pytest.mark.slow
def test_without_it_no_token_is_issued_and_the_ledger_says_why(tmp_path_factory, tmp_path):
    with openbao_server(tmp_path_factory.mktemp("own")) as server:
        tenant = tenancy(server)
        made = installation(tmp_path, tenant)
        issued(made)
        server.process.kill()
        server.process.wait()
        refused = made.invoke(*ISSUE, exit_code=1)
        assert "the connection was refused" in refused.stderr
        issues = {row["outcome"]: row for row in ledger(made, "tokens:access_token:issue")}
        assert issues.keys() == {"success", "failed"}
        assert "the connection was refused" in issues["failed"]["detail"]["error"]
        doctor = made.invoke("doctor", exit_code=1, json=True)
        told = {row["check"]: row["fault"] for row in doctor.data}
        assert "the connection was refused" in told["keystores"]
        assert tenant.token.reveal() not in json.dumps(doctor.data) + refused.stderr
        with made.serve() as up:
            assert up.issuer, "discovery and the JWKS are served all the same"

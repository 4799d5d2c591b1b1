"""A throw-away OpenBao (or Vault) in dev mode that trusts our issuer and holds one secret."""

import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import hvac
import requests

from app.cli.console import Refused

_READY_SECONDS = 30.0
_BUILT = Path(".tools/bin/bao")
_POLICY = 'path "secret/data/production/*" { capabilities = ["read"] }'


def program() -> str | None:
    """What `make openbao` built, or what is on the PATH."""
    return str(_BUILT.absolute()) if _BUILT.exists() else shutil.which("bao") or shutil.which("vault")


@contextmanager
def server(command: str, issuer: str, subject: str) -> Iterator[str]:
    """Its address, once it trusts the issuer for this subject and its secret is in place."""
    root_token = secrets.token_urlsafe(16)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{free.getsockname()[1]}"
    arguments = ["server", "-dev", f"-dev-listen-address={listen}", "-dev-no-store-token"]
    process = subprocess.Popen(
        [command, *arguments],
        env={
            "BAO_DEV_ROOT_TOKEN_ID": root_token,
            "VAULT_DEV_ROOT_TOKEN_ID": root_token,
            "HOME": "/nonexistent",
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        address = f"http://{listen}"
        _await(address, process)
        _configure(hvac.Client(address, token=root_token), issuer, subject)
        yield address
    finally:
        process.terminate()
        process.wait()


def _await(address: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if requests.get(f"{address}/v1/sys/health", timeout=1).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.1)
    raise Refused("the vault program did not start")


def _configure(client: hvac.Client, issuer: str, subject: str) -> None:
    """What `docs/guides/vault.md` tells an operator to do, through the API."""
    client.sys.enable_auth_method("jwt")
    client.auth.jwt.configure(oidc_discovery_url=issuer, bound_issuer=issuer)
    client.sys.create_or_update_policy("sample", _POLICY)
    client.auth.jwt.create_role(
        "sample",
        role_type="jwt",
        user_claim="sub",
        bound_audiences=["https://vault.acme.example"],
        bound_subject=subject,
        bound_claims={"user_login": "alice", "service_account": "duo"},
        token_policies=["sample"],
        token_ttl="5m",  # noqa: S106 - a duration
        allowed_redirect_uris=[],
    )
    password = {"password": secrets.token_urlsafe(18)}
    client.secrets.kv.v2.create_or_update_secret("production/db", password, mount_point="secret")

"""Resolving a run's secrets: each with the ID token it names, one login per token."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack

from app.flows.configuration import Flow, FlowSecret
from app.flows.vault import SecretRead, SecretUnavailable, Vault, VaultServer, VaultSession
from app.secret import Secret

Told = Callable[[str, FlowSecret, "SecretRead | SecretUnavailable"], None]
"""Called for every secret with what became of it, before its value goes anywhere."""


def resolve(
    flow: Flow,
    id_tokens: Mapping[str, Secret],
    variables: Mapping[str, str],
    vault: Vault,
    sessions: ExitStack,
    go_on: Callable[[], None],
    told: Told,
) -> dict[str, Secret]:
    """Every value, or ``SecretUnavailable`` naming the first secret that cannot be had.

    Vault tokens live as long as ``sessions``, and are revoked when it closes. ``go_on`` is asked before each
    secret, and raises if the run must end.
    """
    if not flow.secrets:
        return {}
    server = VaultServer.from_variables(variables)
    logins: dict[str, VaultSession] = {}
    values: dict[str, Secret] = {}
    for name, secret in flow.secrets.items():
        go_on()
        try:
            if secret.token not in logins:
                logins[secret.token] = sessions.enter_context(vault.login(server, id_tokens[secret.token]))
            found = logins[secret.token].read(secret.reference)
        except SecretUnavailable as unavailable:
            told(name, secret, unavailable)
            raise SecretUnavailable(f"{flow.places[name]}: {unavailable}") from None
        told(name, secret, found)
        values[name] = found.value
    return values

"""Resolving a run's secrets: each with the ID token it names, one login per place and token."""

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from app.errors import InvalidInput
from app.flows.aws_reference import AwsSecretReference
from app.flows.aws_secrets_manager import AwsRole, AwsSecretsManager, AwsSession
from app.flows.configuration import Flow
from app.flows.declared_secrets import SecretReference
from app.flows.outage import NO_ANSWER
from app.flows.secret_values import SecretRead, SecretUnavailable
from app.flows.vault import VaultAway, VaultServer
from app.flows.vault_logins import KeptLogin, VaultLogins
from app.flows.vault_reference import VaultReference
from app.secret import Secret

Place = Mapping[str, Any]
"""Where a secret lies, for the ledger."""
Told = Callable[[str, Place, "SecretRead | SecretUnavailable"], None]
"""Called for every secret with what became of it, before its value goes anywhere."""
_REVOKING_SECONDS = 30.0
"""Of all a run's logins, for it is not heard of meanwhile; what is left then is left to housekeeping."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SecretSources:
    """The ways to wherever secrets lie."""

    vault: VaultLogins
    aws: AwsSecretsManager


class RunSecrets:
    """What one run may read. At the end of its ``with`` every Vault token is revoked, whatever happened.

    ``unrevoked`` is told of one that could not be; it is left to housekeeping, and changes nothing else.
    """

    def __init__(
        self,
        sources: SecretSources,
        run_id: int,
        flow: Flow,
        variables: Mapping[str, str],
        unrevoked: Callable[[SecretUnavailable], None],
    ) -> None:
        """``InvalidInput``, with the place of the secret, if the variables do not say where one is."""
        self._sources, self._run_id, self._flow, self._unrevoked = sources, run_id, flow, unrevoked
        self._places = {
            name: _placed(flow.places[name], secret.reference, variables, run_id)
            for name, secret in flow.secrets.items()
        }
        self._vault: dict[tuple[VaultServer, str], KeptLogin] = {}
        self._aws: dict[tuple[AwsRole, str], AwsSession] = {}
        self._away: set[VaultServer] = set()
        self._until = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._until = time.monotonic() + _REVOKING_SECONDS
        with ExitStack() as each:  # all of them, whatever becomes of one
            for (server, _), login in self._vault.items():
                each.callback(self._close, server, login)

    def resolve(
        self, id_tokens: Mapping[str, Secret], go_on: Callable[[], None], told: Told
    ) -> dict[str, Secret]:
        """Every value, or ``SecretUnavailable`` naming the first secret that cannot be had.

        ``go_on`` is asked before each secret, and raises if the run must end.
        """
        values: dict[str, Secret] = {}
        for name, secret in self._flow.secrets.items():
            go_on()
            place = self._places[name]
            try:
                found = self._read(place, secret.token, id_tokens[secret.token])
            except SecretUnavailable as unavailable:
                told(name, place.for_ledger(), unavailable)
                raise SecretUnavailable(f"{self._flow.places[name]}: {unavailable}") from None
            told(name, place.for_ledger(), found)
            values[name] = found.value
        return values

    def _read(self, place: "_InVault | _InAws", token: str, id_token: Secret) -> SecretRead:
        match place:
            case _InVault(server, reference):
                if (server, token) not in self._vault:
                    self._vault[server, token] = self._sources.vault.login(self._run_id, server, id_token)
                return self._vault[server, token].session.read(reference)
            case _InAws(role, reference):
                if (role, token) not in self._aws:
                    self._aws[role, token] = self._sources.aws.assume(role, id_token)
                return self._aws[role, token].read(reference)

    def _close(self, server: VaultServer, login: KeptLogin) -> None:
        if server in self._away or time.monotonic() > self._until:
            return  # told of once; each would cost the run's end as many seconds
        try:
            self._sources.vault.close(login)
        except SecretUnavailable as failure:
            self._away |= {server} if isinstance(failure, VaultAway) else set()
            self._unrevoked(failure)
        except NO_ANSWER as error:  # revoked or not, its row is there, and housekeeping finds it
            _log.warning("the database does not answer: %s", type(error).__name__)


@dataclass(frozen=True)
class _InVault:
    server: VaultServer
    reference: VaultReference

    def for_ledger(self) -> Place:
        where = self.reference
        return {"engine": where.engine, "mount": where.mount, "path": where.path}


@dataclass(frozen=True)
class _InAws:
    role: AwsRole
    reference: AwsSecretReference

    def for_ledger(self) -> Place:
        role, path = self.role, self.reference.secret_id
        return {"engine": "aws_secrets_manager", "region": role.region, "role": role.arn, "path": path}


def _placed(
    declared: str, reference: SecretReference, variables: Mapping[str, str], run_id: int
) -> _InVault | _InAws:
    try:
        if isinstance(reference, AwsSecretReference):
            return _InAws(AwsRole.of(reference, variables, run_id), reference)
        return _InVault(VaultServer.from_variables(variables), reference)
    except InvalidInput as refusal:
        raise InvalidInput(f"{declared}: {refusal}") from None

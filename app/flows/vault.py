"""Secrets from HashiCorp Vault or OpenBao: log in with an ID token, read, revoke."""

import re
from dataclasses import dataclass, replace
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

import hvac
from hvac.adapters import RawAdapter

from app.flows.outbound import Outbound
from app.flows.secret_values import SecretRead, SecretUnavailable, field_text
from app.flows.transport import OutboundRefusal
from app.flows.vault_answers import Answer, VaultAway, ask
from app.flows.vault_reference import VaultReference
from app.flows.vault_server import VaultServer
from app.secret import Secret

__all__ = [
    "SecretRead",
    "SecretUnavailable",
    "Vault",
    "VaultAway",
    "VaultServer",
    "VaultSession",
    "VaultToken",
]

_NOT_FOUND = 404
_LIVES_ON = (
    "it lives until its token_ttl is over; give the role service tokens, without token_num_uses, "
    "that may revoke themselves"
)
_TOKEN = re.compile(r"[!-~]{1,8192}")
_SECONDS = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True)
class VaultToken:
    """`life`: counted from the login, as nobody renews it; None for one without an end."""

    secret: Secret
    life: timedelta | None


class Vault:
    """The way to every Vault that flows name, through `outbound` and nothing else."""

    def __init__(self, outbound: Outbound) -> None:
        self._outbound = outbound

    def login(self, server: VaultServer, id_token: Secret) -> "VaultSession":
        """Presents `id_token` to the jwt method of `server`. Raises SecretUnavailable."""
        step = f"cannot log in to Vault at {server.url}"
        client = self._client(step, server)

        def question() -> Any:
            return client.auth.jwt.jwt_login(
                server.role, id_token.reveal(), use_token=False, path=server.auth_path
            )

        answer = ask(step, question, [id_token])
        if not answer.done:
            raise answer.refusal()
        token = answer.member("auth", "client_token")
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise answer.unfit("its answer has no token that could be used")
        return VaultSession(client, server, VaultToken(Secret(token), _life(answer)), hidden=(id_token,))

    def resume(self, server: VaultServer, token: VaultToken) -> "VaultSession":
        """The session of an earlier login, to be ended. Raises SecretUnavailable."""
        step = f"cannot revoke the token of Vault at {server.url}"
        return VaultSession(self._client(step, server), server, token)

    def _client(self, step: str, server: VaultServer) -> hvac.Client:
        """For paths and headers; the answers are judged by us, since hvac's exceptions carry whole bodies.

        Whatever hvac would take from the environment or from ~/.vault-token is given here instead.
        """
        try:
            session = self._outbound.session(server.url)
        except OutboundRefusal as refusal:
            raise VaultAway(f"{step}: {refusal}") from None
        return hvac.Client(
            url=server.url,
            token="",
            verify=True,
            timeout=None,
            allow_redirects=False,
            session=session,
            adapter=RawAdapter,
            namespace=server.namespace,
            ignore_exceptions=True,
        )


class VaultSession:
    """One login. At the end of its `with` the token is revoked, whatever happened.

    A revocation that fails is raised, unless something else is being raised already: that keeps the word, and
    `revoked` stays False.
    """

    def __init__(
        self, client: hvac.Client, server: VaultServer, token: VaultToken, hidden: tuple[Secret, ...] = ()
    ) -> None:
        client.token = token.secret.reveal()
        self.server, self.token, self.revoked = server, token, False
        self._client, self._hidden = client, (*hidden, token.secret)
        self._answers: dict[tuple[str, str, str], Answer] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.revoke()
        except SecretUnavailable as failure:
            if error is None:
                raise
            error.add_note(str(failure))

    def read(self, reference: VaultReference) -> SecretRead:
        """The value as text: numbers and booleans as JSON writes them. Raises SecretUnavailable.

        A path is asked for once: where each answer is another, as of a database's credentials, a name and a
        password that are read here belong together.
        """
        place = f"{reference.field!r} of {reference.path!r} in {reference.mount!r}"
        step = f"cannot read {place} from Vault at {self.server.url}"
        path = reference.engine, reference.mount, reference.path
        if path not in self._answers:
            self._answers[path] = ask(step, lambda: self._asked(reference), self._hidden)
        answer = replace(self._answers[path], step=step)
        if reference.engine == "kv-v2":
            _refuse_deleted(answer)
        if not answer.done:
            absent = f"there is no such secret, or its engine is not {reference.engine}"
            raise answer.refusal(absent if answer.status == _NOT_FOUND else "")
        fields = answer.member("data", "data") if reference.engine == "kv-v2" else answer.member("data")
        if not isinstance(fields, dict):
            raise answer.unfit(
                f"its answer is not that of {reference.engine}: is that the engine of the mount?"
            )
        if reference.field not in fields:
            raise answer.unfit("the secret has no such field")
        version = _version(answer) if reference.engine == "kv-v2" else None
        try:
            return SecretRead(Secret(field_text(fields[reference.field])), version)
        except ValueError as fault:
            raise answer.unfit(str(fault)) from None

    def revoke(self) -> None:
        """Ends the token; does nothing when that is done. Raises SecretUnavailable."""
        if self.revoked:
            return
        step = f"cannot revoke the token of Vault at {self.server.url}"
        answer = ask(step, self._client.auth.token.revoke_self, self._hidden)
        if not answer.done:
            raise answer.refusal(_LIVES_ON)
        self.revoked = True

    def _asked(self, reference: VaultReference) -> Any:
        kv = self._client.secrets.kv
        if reference.engine == "kv-v2":
            return kv.v2.read_secret_version(
                reference.path, mount_point=reference.mount, raise_on_deleted_version=False
            )
        return kv.v1.read_secret(reference.path, mount_point=reference.mount)


def _refuse_deleted(answer: Answer) -> None:
    """A deleted version is a 404 with metadata, its `data` null (KV v2 API, "Read secret version")."""
    if answer.member("data", "data") is not None:
        return
    if answer.member("data", "metadata", "destroyed") is True:
        raise answer.unfit("the latest version of the secret was destroyed")
    if answer.member("data", "metadata", "deletion_time"):
        raise answer.unfit("the latest version of the secret was deleted")


def _version(answer: Answer) -> int | None:
    version = answer.member("data", "metadata", "version")
    return int(version) if isinstance(version, str) and re.fullmatch(r"[0-9]{1,18}", version) else None


def _life(answer: Answer) -> timedelta | None:
    seconds = answer.member("auth", "lease_duration")
    told = isinstance(seconds, str) and _SECONDS.fullmatch(seconds)
    return timedelta(seconds=int(seconds)) or None if told else None

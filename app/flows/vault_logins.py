"""The Vault tokens of runs, each kept sealed from before its first use until nothing is left of it."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from cryptography.exceptions import InvalidTag
from sqlalchemy import delete, insert

from app.clock import Clock
from app.db import Database
from app.flows.models import VaultLogin
from app.flows.vault import SecretUnavailable, Vault, VaultServer, VaultSession, VaultToken
from app.sealing import Sealer
from app.secret import Secret


@dataclass(frozen=True)
class KeptLogin:
    """``dies_at``: when Vault has ended the token by itself; ``None`` for a token without an end."""

    id: int
    session: VaultSession
    dies_at: datetime | None


@dataclass(frozen=True)
class VaultLogins:
    """Logs in for runs. What a run leaves behind, because its process died, ``leftovers`` ends."""

    database: Database
    clock: Clock
    vault: Vault
    sealer: Sealer

    def login(self, run_id: int, server: VaultServer, id_token: Secret) -> KeptLogin:
        """Raises SecretUnavailable. A token that cannot be kept is revoked and never used."""
        session = self.vault.login(server, id_token)
        dies_at = _end_of(session.token, self.clock())
        try:
            return KeptLogin(self._keep(run_id, session, dies_at), session, dies_at)
        except BaseException:
            with suppress(SecretUnavailable):
                session.revoke()
            raise

    def close(self, login: KeptLogin) -> None:
        """Revokes its token. Raises SecretUnavailable, and the login stays kept, while the token lives on."""
        try:
            login.session.revoke()
        except SecretUnavailable:
            if login.dies_at is None or self.clock() < login.dies_at:
                raise
        with self.database.writing_connection() as connection:
            connection.execute(delete(VaultLogin).where(VaultLogin.id == login.id))

    def reopen(self, kept: VaultLogin) -> VaultSession:
        """The session of a kept login, to be ended. Raises SecretUnavailable."""
        server = VaultServer(kept.server["url"], namespace=kept.server["namespace"])
        try:
            token = self.sealer.open(kept.sealed, _context(kept.run_id)).decode()
        except InvalidTag:
            raise SecretUnavailable(
                f"cannot revoke a token of Vault at {server.url}: "
                "COUNTERSIGN_SECRET_KEY is not the one that it was kept under"
            ) from None
        return self.vault.resume(server, VaultToken(Secret(token), life=None))

    def _keep(self, run_id: int, session: VaultSession, dies_at: datetime | None) -> int:
        server = {
            "url": session.server.url,
            "namespace": session.server.namespace,
            "dies_at": dies_at and dies_at.isoformat(),
        }
        sealed = self.sealer.seal(session.token.secret.reveal().encode(), _context(run_id))
        row = {"run_id": run_id, "server": server, "sealed": sealed, "created_at": self.clock()}
        with self.database.writing_connection() as connection:
            return connection.execute(insert(VaultLogin).values(row).returning(VaultLogin.id)).scalar_one()


def dies_at(kept: VaultLogin) -> datetime | None:
    """When Vault has ended its token by itself, whoever could not be reached."""
    told: str | None = kept.server["dies_at"]
    return datetime.fromisoformat(told) if told else None


def _end_of(token: VaultToken, logged_in_at: datetime) -> datetime | None:
    return None if token.life is None else logged_in_at + token.life


def _context(run_id: int) -> bytes:
    return f"run {run_id}".encode()

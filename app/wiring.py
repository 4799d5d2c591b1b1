"""Components: every long-lived object of a process, built once from Settings."""

import logging
import os
import secrets
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from app.clock import Clock, system_clock
from app.db import AT_LEISURE, Database, Patience, sqlite_url
from app.durable import write_once
from app.identity.facts_cache import FactsCache
from app.ledger.record import Actor
from app.secret import Secret
from app.settings import Settings
from app.signing.keyring import Keyring
from app.signing.keystore import FileKeystore
from app.signing.reader import Reader
from app.tokens import presented
from app.tokens.mint import Mint
from app.tokens.presented import PresentedToken
from app.tokens.strangers import Strangers

if TYPE_CHECKING:
    from app.flows.execution import Executions
    from app.flows.executors.local import LocalExecutor
    from app.ledger.checkpoints import Checkpoints
    from app.ledger.key import LedgerKey

_log = logging.getLogger(__name__)


def make_home(settings: Settings) -> None:
    """Ours alone; the account that steps run as may pass through it to its runs, and list nothing."""
    settings.home_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    if settings.local_executor_user is not None:
        settings.home_dir.chmod(0o711)


class Components:
    """Built on first use: each process pays for what it needs, and no web worker loads what runs flows."""

    def __init__(
        self, settings: Settings, clock: Clock = system_clock, patience: Patience = AT_LEISURE
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.patience = patience

    def prepare(self, by: Actor) -> None:
        """What a first start needs and any later one leaves alone: the schema, and signing keys."""
        make_home(self.settings)
        self.database.upgrade()
        self.keyring.ensure_keys(by)
        self.checkpoints.ensure_key()

    @cached_property
    def database(self) -> Database:
        url = self.settings.database_url
        return Database(url.reveal() if url else sqlite_url(self.settings.home_dir), self.patience)

    @cached_property
    def keyring(self) -> Keyring:
        keystore = FileKeystore(self.settings.keys_dir, self.keys_passphrase)
        return Keyring(self.database, keystore, self.clock)

    @cached_property
    def ledger_key(self) -> "LedgerKey":
        from app.ledger.key import LedgerKey

        return LedgerKey(self.settings.keys_dir, self.keys_passphrase)

    @cached_property
    def checkpoints(self) -> "Checkpoints":
        from app.ledger.checkpoints import Checkpoints

        return Checkpoints(self.database, self.ledger_key, self.clock)

    @cached_property
    def keys_passphrase(self) -> Secret:
        return self.settings.keys_passphrase or self._generated("keys-passphrase")

    @cached_property
    def secret_key(self) -> Secret:
        return self.settings.secret_key or self._generated("secret-key")

    @cached_property
    def strangers(self) -> Strangers:
        return Strangers()

    @cached_property
    def mint(self) -> Mint:
        return Mint(
            self.database, self.keyring, self.clock, self.settings.issuer, self.settings.access_token_ttl
        )

    @cached_property
    def reader(self) -> Reader:
        return Reader(self.keyring)

    @cached_property
    def facts_cache(self) -> FactsCache:
        return FactsCache(self.clock)

    def read_access_token(
        self, connection: Connection, token: str, caller: int | None = None
    ) -> PresentedToken:
        issuer, now = self.settings.issuer, self.clock()
        return presented.read(connection, self.reader, issuer, token, now, caller)

    @cached_property
    def executor(self) -> "LocalExecutor":
        from app.flows.executors.local import LocalExecutor

        return LocalExecutor(runs_dir=self.settings.home_dir / "runs", user=self.settings.local_executor_user)

    @cached_property
    def executions(self) -> "Executions":
        from app.flows.execution import Executions
        from app.flows.outbound import Outbound
        from app.flows.vault import Vault

        settings = self.settings
        return Executions(
            database=self.database,
            clock=self.clock,
            mint=self.mint,
            vault=Vault(Outbound(settings.outbound_allow, allow_loopback=settings.on_loopback)),
            executor=self.executor,
            openness=settings.audiences,
            id_token_life=settings.id_token_ttl,
            local_runs_refused=self.why_no_local_runs(),
        )

    def why_no_local_runs(self) -> str | None:
        user = self.settings.local_executor_user
        if user is None:
            needed = "steps need an account of their own behind https: set COUNTERSIGN_LOCAL_EXECUTOR_USER"
            return needed if self.settings.production else None
        from app.flows.executors.account import check_boundary

        private = dict.fromkeys(path.absolute() for path in self._private_paths() if path.exists())
        readable = check_boundary(user, [*private])
        return f"the account {user} can read {', '.join(readable)}: take that away" if readable else None

    def _private_paths(self) -> Iterator[Path]:
        """What steps must not reach: keys, secrets in files, the database, our environment."""
        yield self.settings.keys_dir
        yield from self.settings.secret_files
        yield from (path for path in self.settings.home_dir.glob("*") if path.is_file())
        if self.database.is_sqlite:
            yield from (Path(f"{self.database.url.database}{end}") for end in ("", "-wal", "-shm"))
        yield Path(f"/proc/{os.getpid()}/environ")

    def _generated(self, name: str) -> Secret:
        """A development secret, made once and kept; processes that start together end with the same one."""
        if self.settings.production:
            raise AssertionError(f"{name} must come from the settings behind an https issuer")
        path = self.settings.home_dir / name
        if not path.exists():
            make_home(self.settings)
            if write_once(path, secrets.token_urlsafe(32).encode()):
                _log.warning("made %s for development; an https issuer refuses it", path)
        return Secret(path.read_text())

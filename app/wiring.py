"""Components: every long-lived object of a process, built once from Settings."""

import logging
import os
import secrets
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from app.clock import Clock, system_clock
from app.db import AT_LEISURE, IN_A_REQUEST, Database, Patience, sqlite_url
from app.durable import write_once
from app.identity.facts_cache import FactsCache
from app.identity.sessions import Limits as SessionLimits
from app.ledger.record import Actor
from app.secret import Secret
from app.settings import Settings
from app.signing.fetches import FetchLog
from app.signing.keyring import Keyring
from app.signing.keystores import Keystore, KeystoreError, KeystoreName, Keystores
from app.signing.keystores.files import FileKeystore
from app.signing.reader import Reader
from app.tokens import presented
from app.tokens.aftermath import last_expiry
from app.tokens.mint import Mint
from app.tokens.presented import PresentedToken
from app.tokens.strangers import Strangers

if TYPE_CHECKING:
    from app.flows.execution import Executions
    from app.flows.executors.local import LocalExecutor
    from app.flows.git import Git
    from app.flows.outbound import Outbound
    from app.flows.queue import Limits
    from app.flows.reminting import Reminting
    from app.flows.source_reader import SourceReader
    from app.flows.start import Starting
    from app.flows.vault_logins import VaultLogins
    from app.identity.password_sign_in import PasswordSignIn
    from app.ledger.activity import Activity
    from app.ledger.checkpoints import Checkpoints
    from app.ledger.key import LedgerKey
    from app.signing.keystores.moving import Mover
    from app.signing.keystores.transit_login import Login
    from app.signing.lifecycle import Lifecycle
    from app.signing.making import Maker
    from app.signing.trials import Trials
    from app.signing.upkeep import Upkeep

_log = logging.getLogger(__name__)
_ANYWHERE = ("0.0.0.0/0", "::/0")
"""The operator names the address of the transit keystore, not somebody's flow."""
_TRANSIT_SECONDS = 5.0
"""For one question to it: a web worker waits, and making an RSA key of 4096 bits takes a second or two."""

_GIT_SECONDS_IN_A_REQUEST = 3.0
_GIT_REST_IN_A_REQUEST = 9.0
"""To read a repository, and how many times as long none is read: a web worker that waits answers nobody, and
so it does for a tenth of its time at most.
"""


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
        _ = self.secret_key  # one that is made for development is told of here, not by the first run
        self.database.upgrade()
        self.lifecycle.ensure_keys(by)
        self.mover.finish()
        self.checkpoints.ensure_key()

    @cached_property
    def database(self) -> Database:
        url = self.settings.database_url
        return Database(url.reveal() if url else sqlite_url(self.settings.home_dir), self.patience)

    @cached_property
    def keyring(self) -> Keyring:
        return Keyring(self.database, self.keystores, self.clock)

    @cached_property
    def fetches(self) -> FetchLog:
        return FetchLog(self.database, self.clock)

    def follow_keys(self) -> None:
        """For a process that lasts: changes of keys come in, counted fetches go out, in the background."""
        self.keyring.follow(beside=self.fetches.flush)

    def overdue_before(self) -> datetime:
        """A key that has been active since before then should have been rotated."""
        return self.clock() - self.settings.key_rotation_period - self.settings.key_publish_lead

    @cached_property
    def lifecycle(self) -> "Lifecycle":
        from app.signing.lifecycle import Lifecycle, Rules

        settings = self.settings
        rules = Rules(publish_lead=settings.key_publish_lead, rotation_period=settings.key_rotation_period)
        return Lifecycle(self.database, self._key_maker, self.keyring, self.clock, rules)

    @cached_property
    def upkeep(self) -> "Upkeep":
        from app.signing.unanswered import Unanswered
        from app.signing.upkeep import Upkeep

        return Upkeep(
            self.database,
            self.keyring,
            self.lifecycle,
            self.clock,
            last_expiry,
            Unanswered(self.database, self.clock),
        )

    @cached_property
    def _key_maker(self) -> "Maker":
        from app.signing.making import Maker

        return Maker(self.database, self.keystores, self.clock, self.settings.rsa_key_size)

    @cached_property
    def keystores(self) -> Keystores:
        return Keystores(
            self.settings.keystore,
            {
                KeystoreName.FILES: self._file_keystore,
                KeystoreName.DATABASE: self._database_keystore,
                KeystoreName.TRANSIT: self._transit_keystore,
            },
        )

    @cached_property
    def key_trials(self) -> "Trials":
        from app.signing.trials import Trials

        return Trials(self.keystores, self.clock)

    @cached_property
    def mover(self) -> "Mover":
        from app.signing.keystores.moving import Mover

        return Mover(self.database, self.keystores, self.clock)

    def _file_keystore(self) -> Keystore:
        return FileKeystore(self.settings.keys_dir, self.keys_passphrase, self.database)

    def _database_keystore(self) -> Keystore:
        from app.signing.keystores.database import DatabaseKeystore
        from app.signing.keystores.sealing import KeyEncryptionKey

        key, old = self.settings.key_encryption_key, self.settings.key_encryption_key_old
        if key is None:
            raise KeystoreError(
                "the database keystore needs COUNTERSIGN_KEY_ENCRYPTION_KEY: set it, or …_FILE"
            )
        return DatabaseKeystore(
            self.database, KeyEncryptionKey(key), self.clock, old=KeyEncryptionKey(old) if old else None
        )

    def _transit_keystore(self) -> Keystore:
        from app.flows.outbound import Outbound
        from app.flows.transport import Limits
        from app.signing.keystores.transit import TransitKeystore
        from app.signing.keystores.transit_server import TransitServer

        settings = self.settings
        if settings.transit_url is None:
            raise KeystoreError(
                "the transit keystore needs COUNTERSIGN_TRANSIT_URL, and a way to log in there"
            )
        ca_file = str(settings.transit_ca_file) if settings.transit_ca_file else None
        outbound = Outbound(
            _ANYWHERE, allow_loopback=True, limits=Limits(connect=2, total=_TRANSIT_SECONDS), ca_file=ca_file
        )
        server = TransitServer(
            settings.transit_url,
            self._transit_login(),
            outbound.session,
            namespace=settings.transit_namespace,
        )
        return TransitKeystore(server, self.database, self.clock, mount=settings.transit_mount)

    def _transit_login(self) -> "Login":
        from app.signing.keystores.transit_login import AppRoleLogin, JwtLogin, TokenLogin

        settings = self.settings
        if settings.transit_role_id is not None:
            read = partial(settings.read_again, "transit_secret_id")
            return AppRoleLogin(settings.transit_role_id, read, settings.transit_auth_mount or "approle")
        if settings.transit_role is not None:
            read = partial(settings.read_again, "transit_jwt")
            return JwtLogin(settings.transit_role, read, settings.transit_auth_mount or "jwt")
        return TokenLogin(partial(settings.read_again, "transit_token"))

    @cached_property
    def ledger_key(self) -> "LedgerKey":
        from app.ledger.key import LedgerKey

        return LedgerKey(self.settings.keys_dir, self.keys_passphrase)

    @cached_property
    def checkpoints(self) -> "Checkpoints":
        from app.ledger.checkpoints import Checkpoints

        return Checkpoints(self.database, self.ledger_key, self.clock)

    @cached_property
    def activity(self) -> "Activity":
        from app.ledger.activity import Activity

        return Activity()

    @cached_property
    def keys_passphrase(self) -> Secret:
        return self.settings.keys_passphrase or self._generated("keys-passphrase")

    @cached_property
    def secret_key(self) -> Secret:
        return self.settings.secret_key or self._generated("secret-key")

    @cached_property
    def strangers(self) -> Strangers:
        return Strangers()

    @property
    def session_limits(self) -> SessionLimits:
        return SessionLimits(idle=self.settings.session_idle, life=self.settings.session_life)

    @cached_property
    def password_sign_in(self) -> "PasswordSignIn":
        from app.identity.password_sign_in import PasswordSignIn
        from app.sealing import derived_key

        key = derived_key(self.secret_key, "typed logins")
        return PasswordSignIn(self.database, self.clock, key, self.session_limits)

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
    def reminting(self) -> "Reminting":
        from app.flows.reminting import Reminting

        settings = self.settings
        return Reminting(self.database, self.clock, self.mint, settings.audiences, settings.id_token_ttl)

    @cached_property
    def outbound(self) -> "Outbound":
        """The door for all that a flow or a project may name the address of."""
        from app.flows.outbound import Outbound

        return Outbound(self.settings.outbound_allow, allow_loopback=self.settings.on_loopback)

    @cached_property
    def vault_logins(self) -> "VaultLogins":
        from app.flows.vault import Vault
        from app.flows.vault_logins import VaultLogins
        from app.sealing import Sealer, derived_key

        sealer = Sealer(derived_key(self.secret_key, "vault logins"))
        return VaultLogins(self.database, self.clock, Vault(self.outbound), sealer)

    @cached_property
    def executions(self) -> "Executions":
        from app.flows.aws_secrets_manager import AwsSecretsManager
        from app.flows.execution import Executions
        from app.flows.late_configuration import LateConfiguration
        from app.flows.queue import Queue
        from app.flows.secrets import SecretSources

        settings = self.settings
        return Executions(
            database=self.database,
            clock=self.clock,
            mint=self.mint,
            secrets=SecretSources(
                self.vault_logins, AwsSecretsManager(self.outbound, settings.aws_endpoint_url)
            ),
            executor=self.executor,
            queue=Queue(self.database, self.clock, self.run_limits, self.executor.workspace),
            late_configuration=LateConfiguration(self.database, self.clock, self.source_reader),
            openness=settings.audiences,
            id_token_life=settings.id_token_ttl,
            local_runs_refused=self.why_no_local_runs(),
        )

    @cached_property
    def source_reader(self) -> "SourceReader":
        from app.flows.source_reader import SourceReader

        return SourceReader(self.database, self.clock, self.git)

    @cached_property
    def git(self) -> "Git":
        from app.flows.git import Git, GitLimits
        from app.flows.outbound import Outbound
        from app.flows.transport import Limits
        from app.flows.yaml_values import MAX_BYTES

        settings, in_a_request = self.settings, self.patience is IN_A_REQUEST
        outbound = Outbound(
            settings.outbound_allow,
            allow_loopback=settings.on_loopback,
            limits=Limits(connect=1) if in_a_request else None,
        )
        limits = GitLimits(file=MAX_BYTES)
        if in_a_request:
            limits = replace(limits, seconds=_GIT_SECONDS_IN_A_REQUEST, rest=_GIT_REST_IN_A_REQUEST)
        return Git(outbound, limits)

    @cached_property
    def starting(self) -> "Starting":
        from app.flows.start import Starting

        return Starting(self.database, self.clock, self.run_limits, self.source_reader)

    @cached_property
    def run_limits(self) -> "Limits":
        from app.flows.queue import Limits

        return Limits(running=self.settings.runs_per_project, waiting=self.settings.queue_per_project)

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
        yield from self.settings.secret_files.values()
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

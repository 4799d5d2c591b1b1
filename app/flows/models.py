"""The tables of flows: configurations as they were stored, runs, and what runs said."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, select
from sqlalchemy.orm import Mapped, column_property, mapped_column, relationship

from app.db import Base
from app.identity.models import Project, ServiceAccount, User


class RunState(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class ConfigurationVersion(Base):
    """The bytes of an ``agent-config.yml``, as a project had them; the newest one counts.

    ``ref`` and what follows it are of a Git source that we read ourselves, else ``None``.
    """

    __tablename__ = "configuration_versions"
    __table_args__ = (Index(None, "project_id", "id"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey(Project.id))
    sha256: Mapped[str]
    body: Mapped[bytes]
    created_by: Mapped[str]
    created_at: Mapped[datetime]
    ref: Mapped[str | None]
    ref_type: Mapped[str | None]
    ref_path: Mapped[str | None]
    ref_protected: Mapped[bool | None]
    commit_sha: Mapped[str | None]


class ProjectSource(Base):
    """The Git repository that a project's configuration is read from, by the server itself."""

    __tablename__ = "project_sources"

    project_id: Mapped[int] = mapped_column(ForeignKey(Project.id), primary_key=True)
    url: Mapped[str]
    branch: Mapped[str]
    protected_refs: Mapped[list[str]]
    set_by: Mapped[str]
    set_at: Mapped[datetime]


class Run(Base):
    """``id_tokens`` and ``secrets`` are names; ``token_sha256`` is all that is kept of the run token."""

    __tablename__ = "runs"
    __table_args__ = (
        CheckConstraint("state IN ('pending', 'running', 'succeeded', 'failed', 'cancelled')", name="state"),
        Index(None, "state", "heartbeat_at"),
        Index(None, "project_id", "id"),
        Index(None, "state", "project_id", "id"),
        Index(None, "log_removed_at", "ended_at"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[str]
    reason: Mapped[str | None]
    project_id: Mapped[int] = mapped_column(ForeignKey(Project.id))
    configuration_id: Mapped[int | None] = mapped_column(ForeignKey(ConfigurationVersion.id))
    """``None`` until the worker that takes the run has read it from Git."""
    given_inputs: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """As the starter gave them, without defaults: what they have to be stands in the configuration."""
    flow: Mapped[str]
    source: Mapped[str]
    user_id: Mapped[int] = mapped_column(ForeignKey(User.id), index=True)
    service_account_id: Mapped[int | None] = mapped_column(ForeignKey(ServiceAccount.id), index=True)
    """``None``, as the delegation then, when the human runs it alone."""
    delegation_id: Mapped[int | None] = mapped_column(ForeignKey("delegations.id"), index=True)
    token_sha256: Mapped[str | None] = mapped_column(unique=True)
    id_tokens: Mapped[list[str]]
    secrets: Mapped[list[str]]
    exit_code: Mapped[int | None]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    heartbeat_at: Mapped[datetime]
    cancel_requested_at: Mapped[datetime | None]
    log_removed_at: Mapped[datetime | None]
    started_by: Mapped[str | None]
    retry_of: Mapped[int | None]
    is_queued: Mapped[bool] = mapped_column(default=False)
    """A worker process executes it, not whoever started it."""
    project: Mapped[Project] = relationship(lazy="joined", innerjoin=True)
    user: Mapped[User] = relationship(lazy="joined", innerjoin=True)
    service_account: Mapped[ServiceAccount | None] = relationship(lazy="joined")
    commit: Mapped[str | None] = column_property(
        select(ConfigurationVersion.commit_sha)
        .where(ConfigurationVersion.id == configuration_id)
        .correlate_except(ConfigurationVersion)
        .scalar_subquery()
    )
    config_sha: Mapped[str | None] = column_property(
        select(ConfigurationVersion.sha256)
        .where(ConfigurationVersion.id == configuration_id)
        .correlate_except(ConfigurationVersion)
        .scalar_subquery()
    )
    """With ``commit``, of its configuration, whose text a list of runs has no use for."""


class IdempotencyKey(Base):
    """A start that was asked for twice is one run: the same starter, key and request.

    ``starter``: the ledger's actor, and the human whom an account acts for.
    """

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index(None, "created_at"),)

    starter: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request_sha256: Mapped[str]
    run_id: Mapped[int] = mapped_column(ForeignKey(Run.id))
    created_at: Mapped[datetime]


class VaultLogin(Base):
    """A token of Vault that lives for a run, ``sealed``, so that a start after a crash can revoke it."""

    __tablename__ = "vault_logins"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey(Run.id), index=True)
    server: Mapped[dict[str, Any]]
    sealed: Mapped[bytes]
    created_at: Mapped[datetime]


class TokenToMask(Base):
    """An ID token that a run got over HTTP, for the process that masks its log, which may be on another node.

    ``sealed`` with the run's own token, of which the database has a hash alone; gone when the run ends.
    """

    __tablename__ = "tokens_to_mask"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey(Run.id), index=True)
    sealed: Mapped[bytes]


class RunInput(Base):
    __tablename__ = "run_inputs"

    run_id: Mapped[int] = mapped_column(ForeignKey(Run.id), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]


class LogChunk(Base):
    """Masked output from byte ``offset`` on; nothing else of a run's output is ever stored.

    Rows, not files: any node can read them, one transaction makes each whole, and a backup has them all.
    """

    __tablename__ = "run_log_chunks"

    run_id: Mapped[int] = mapped_column(ForeignKey(Run.id), primary_key=True)
    offset: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    content: Mapped[bytes]

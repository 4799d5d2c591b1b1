"""The tables of who. Numbers are never reused; users and service accounts share one sequence."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db import Base

_NEVER_REUSED = {"sqlite_autoincrement": True}


class Principal(Base):
    """The one sequence: a number is a human or a machine, for ever."""

    __tablename__ = "principals"
    __table_args__ = (CheckConstraint("kind IN ('user', 'service_account')", name="kind"), _NEVER_REUSED)

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    created_at: Mapped[datetime]
    disabled_at: Mapped[datetime | None]


class User(Base):
    __tablename__ = "users"

    id: Mapped[int] = mapped_column(ForeignKey(Principal.id), primary_key=True, autoincrement=False)
    login: Mapped[str] = mapped_column(unique=True)
    email: Mapped[str]
    is_admin: Mapped[bool]
    is_auditor: Mapped[bool] = mapped_column(default=False)
    principal: Mapped[Principal] = relationship(lazy="joined", innerjoin=True)


class ServiceAccount(Base):
    __tablename__ = "service_accounts"

    id: Mapped[int] = mapped_column(ForeignKey(Principal.id), primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(unique=True)
    is_composite: Mapped[bool]
    principal: Mapped[Principal] = relationship(lazy="joined", innerjoin=True)


class ClientSecret(Base):
    """A service account's credential; only its SHA-256 is kept."""

    __tablename__ = "client_secrets"
    __table_args__ = _NEVER_REUSED

    id: Mapped[int] = mapped_column(primary_key=True)
    service_account_id: Mapped[int] = mapped_column(ForeignKey(ServiceAccount.id), index=True)
    sha256: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]


class PersonalAccessToken(Base):
    """A user's credential for the API; only its SHA-256 is kept."""

    __tablename__ = "personal_access_tokens"
    __table_args__ = _NEVER_REUSED

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey(User.id), index=True)
    name: Mapped[str | None]
    sha256: Mapped[str] = mapped_column(unique=True)
    scopes: Mapped[list[str]]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]


class Group(Base):
    """``acme/tools`` lies in ``acme``: the path alone says what nests in what."""

    __tablename__ = "groups"
    __table_args__ = _NEVER_REUSED

    id: Mapped[int] = mapped_column(primary_key=True)
    path: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime]


class Project(Base):
    """``subject``: components of its runs' ``sub``, in order; ``workload``: whether humans may run alone."""

    __tablename__ = "projects"
    __table_args__ = _NEVER_REUSED

    id: Mapped[int] = mapped_column(primary_key=True)
    group_id: Mapped[int] = mapped_column(ForeignKey(Group.id), index=True)
    path: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]
    subject: Mapped[str] = mapped_column(default="project_path,flow")
    workload: Mapped[str] = mapped_column(default="service_account")
    concurrent_runs: Mapped[int | None]
    group: Mapped[Group] = relationship(lazy="joined", innerjoin=True)


class ProjectVariable(Base):
    """What an audience and Vault's address may be made of, beside the configuration itself."""

    __tablename__ = "project_variables"

    project_id: Mapped[int] = mapped_column(ForeignKey(Project.id), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]


class Member(Base):
    __tablename__ = "members"

    project_id: Mapped[int] = mapped_column(ForeignKey(Project.id), primary_key=True)
    principal_id: Mapped[int] = mapped_column(ForeignKey(Principal.id), primary_key=True, index=True)
    role: Mapped[str]


class GroupMember(Base):
    """A role in a group holds in every group and project below it."""

    __tablename__ = "group_members"

    group_id: Mapped[int] = mapped_column(ForeignKey(Group.id), primary_key=True)
    principal_id: Mapped[int] = mapped_column(ForeignKey(Principal.id), primary_key=True, index=True)
    role: Mapped[str]


class BurnedPath(Base):
    """A path that a project had, which trust policies may still name: ``paths`` says whose it can be."""

    __tablename__ = "burned_paths"

    path: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey(Project.id), primary_key=True, index=True)
    burned_at: Mapped[datetime]


class CutOff(Base):
    """The kill switch: everything of this target that was issued at ``at`` or before is dead."""

    __tablename__ = "cut_offs"
    __table_args__ = (
        CheckConstraint("kind IN ('user', 'service_account', 'delegation', 'run', 'token')", name="kind"),
        Index(None, "kind", "target", "at"),
        _NEVER_REUSED,
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    target: Mapped[str]
    at: Mapped[datetime]
    reason: Mapped[str]
    actor: Mapped[str]


class Delegation(Base):
    """What lets a service account act for a user. No scopes means all, no project means any."""

    __tablename__ = "delegations"
    __table_args__ = (Index(None, "service_account_id", "user_id"), _NEVER_REUSED)

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey(User.id), index=True)
    service_account_id: Mapped[int] = mapped_column(ForeignKey(ServiceAccount.id))
    scopes: Mapped[list[str] | None]
    project_id: Mapped[int | None] = mapped_column(ForeignKey(Project.id), index=True)
    granted_by: Mapped[str]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    user: Mapped[User] = relationship(lazy="joined", innerjoin=True)
    service_account: Mapped[ServiceAccount] = relationship(lazy="joined", innerjoin=True)
    project: Mapped[Project | None] = relationship(lazy="joined")

"""Git sources, subjects and workloads of projects; runs that wait for a worker, are retried, and lose logs"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from app.db import UtcTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_COMMIT: dict[str, sa.types.TypeEngine[Any]] = {
    "ref": sa.String(),
    "ref_type": sa.String(),
    "ref_path": sa.String(),
    "ref_protected": sa.Boolean(),
    "commit_sha": sa.String(),
}
_RUN: dict[str, sa.types.TypeEngine[Any]] = {
    "log_removed_at": UtcTime(),
    "started_by": sa.String(),
    "retry_of": NUMBER,
    "given_inputs": sa.JSON(),
}


def upgrade() -> None:
    op.add_column(
        "projects", sa.Column("subject", sa.String(), nullable=False, server_default="project_path,flow")
    )
    op.add_column(
        "projects", sa.Column("workload", sa.String(), nullable=False, server_default="service_account")
    )
    op.add_column("projects", sa.Column("concurrent_runs", NUMBER, nullable=True))
    _key_of_burned_paths("path", "project_id")
    op.create_table(
        "project_sources",
        sa.Column("project_id", NUMBER, nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("branch", sa.String(), nullable=False),
        sa.Column("protected_refs", sa.JSON(), nullable=False),
        sa.Column("set_by", sa.String(), nullable=False),
        sa.Column("set_at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_project_sources_project_id_projects")
        ),
        sa.PrimaryKeyConstraint("project_id", name=op.f("pk_project_sources")),
    )
    for name, kind in _COMMIT.items():
        op.add_column("configuration_versions", sa.Column(name, kind, nullable=True))
    with op.batch_alter_table("runs", table_kwargs={"sqlite_autoincrement": True}) as runs:
        for name, kind in _RUN.items():
            runs.add_column(sa.Column(name, kind, nullable=True))
        runs.add_column(sa.Column("is_queued", sa.Boolean(), nullable=False, server_default=sa.false()))
        runs.alter_column("service_account_id", existing_type=NUMBER, nullable=True)
        runs.alter_column("delegation_id", existing_type=NUMBER, nullable=True)
        runs.alter_column("configuration_id", existing_type=NUMBER, nullable=True)
    op.create_index(op.f("ix_runs_log_removed_at_ended_at"), "runs", ["log_removed_at", "ended_at"])
    op.create_index(op.f("ix_runs_state_project_id_id"), "runs", ["state", "project_id", "id"])
    op.create_table(
        "idempotency_keys",
        sa.Column("starter", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("request_sha256", sa.String(), nullable=False),
        sa.Column("run_id", NUMBER, nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_idempotency_keys_run_id_runs")),
        sa.PrimaryKeyConstraint("starter", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_index(op.f("ix_idempotency_keys_created_at"), "idempotency_keys", ["created_at"])
    op.create_table(
        "vault_logins",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("run_id", NUMBER, nullable=False),
        sa.Column("server", sa.JSON(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_vault_logins_run_id_runs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vault_logins")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_vault_logins_run_id"), "vault_logins", ["run_id"])
    op.create_table(
        "tokens_to_mask",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("run_id", NUMBER, nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_tokens_to_mask_run_id_runs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tokens_to_mask")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_tokens_to_mask_run_id"), "tokens_to_mask", ["run_id"])


def downgrade() -> None:
    op.drop_table("tokens_to_mask")
    op.drop_table("vault_logins")
    op.drop_table("idempotency_keys")
    op.drop_index(op.f("ix_runs_state_project_id_id"), "runs")
    op.drop_index(op.f("ix_runs_log_removed_at_ended_at"), "runs")
    with op.batch_alter_table("runs", table_kwargs={"sqlite_autoincrement": True}) as runs:
        runs.alter_column("configuration_id", existing_type=NUMBER, nullable=False)
        runs.alter_column("delegation_id", existing_type=NUMBER, nullable=False)
        runs.alter_column("service_account_id", existing_type=NUMBER, nullable=False)
        for name in ("is_queued", *reversed(_RUN)):
            runs.drop_column(name)
    for name in reversed(_COMMIT):
        op.drop_column("configuration_versions", name)
    op.drop_table("project_sources")
    op.execute(
        "DELETE FROM burned_paths WHERE EXISTS (SELECT 1 FROM burned_paths AS first"
        " WHERE first.path = burned_paths.path AND first.project_id < burned_paths.project_id)"
    )
    _key_of_burned_paths("path")
    for name in ("concurrent_runs", "workload", "subject"):
        op.drop_column("projects", name)


def _key_of_burned_paths(*columns: str) -> None:
    """A path that changed hands has had several projects."""
    with op.batch_alter_table("burned_paths") as paths:
        paths.drop_constraint(op.f("pk_burned_paths"), type_="primary")
        paths.create_primary_key(op.f("pk_burned_paths"), list(columns))

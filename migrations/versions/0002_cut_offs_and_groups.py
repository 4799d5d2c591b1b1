"""Nested groups, burned paths, cut-offs, renderings and introspectors"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "cut_offs",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('user', 'service_account', 'delegation', 'run', 'token')", name=op.f("ck_cut_offs_kind")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cut_offs")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_cut_offs_kind_target_at"), "cut_offs", ["kind", "target", "at"])

    op.create_table(
        "group_members",
        sa.Column("group_id", NUMBER, nullable=False),
        sa.Column("principal_id", NUMBER, nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["groups.id"], name=op.f("fk_group_members_group_id_groups")),
        sa.ForeignKeyConstraint(
            ["principal_id"], ["principals.id"], name=op.f("fk_group_members_principal_id_principals")
        ),
        sa.PrimaryKeyConstraint("group_id", "principal_id", name=op.f("pk_group_members")),
    )
    op.create_index(op.f("ix_group_members_principal_id"), "group_members", ["principal_id"])

    op.create_table(
        "audience_introspectors",
        sa.Column("audience_id", NUMBER, nullable=False),
        sa.Column("service_account_id", NUMBER, nullable=False),
        sa.ForeignKeyConstraint(
            ["audience_id"],
            ["audiences.id"],
            name=op.f("fk_audience_introspectors_audience_id_audiences"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["service_account_id"],
            ["service_accounts.id"],
            name=op.f("fk_audience_introspectors_service_account_id_service_accounts"),
        ),
        sa.PrimaryKeyConstraint("audience_id", "service_account_id", name=op.f("pk_audience_introspectors")),
    )
    op.create_index(
        op.f("ix_audience_introspectors_service_account_id"), "audience_introspectors", ["service_account_id"]
    )

    op.create_table(
        "burned_paths",
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("project_id", NUMBER, nullable=False),
        sa.Column("burned_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_burned_paths_project_id_projects")
        ),
        sa.PrimaryKeyConstraint("path", name=op.f("pk_burned_paths")),
    )
    op.create_index(op.f("ix_burned_paths_project_id"), "burned_paths", ["project_id"])

    op.add_column(
        "audiences", sa.Column("rendering", sa.String(), server_default="composite", nullable=False)
    )
    op.add_column("projects", sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("projects", "deleted_at")
    op.drop_column("audiences", "rendering")
    for table in ("burned_paths", "audience_introspectors", "group_members", "cut_offs"):
        op.drop_table(table)

"""Events are found by their request; personal access tokens have names"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    present = sa.text('"request_id" IS NOT NULL')
    op.create_index(
        "ix_audit_events_request_id",
        "audit_events",
        ["request_id", "at", "writer", "seq"],
        sqlite_where=present,
        postgresql_where=present,
    )
    op.add_column("personal_access_tokens", sa.Column("name", sa.String(), nullable=True))


def downgrade() -> None:
    op.drop_column("personal_access_tokens", "name")
    op.drop_index("ix_audit_events_request_id", "audit_events")

"""A run's log may be removed after a while; the run says when it was"""

import sqlalchemy as sa
from alembic import op

from app.db import UtcTime

revision = "0005"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("runs", sa.Column("log_removed_at", UtcTime(), nullable=True))
    op.create_index(op.f("ix_runs_log_removed_at_ended_at"), "runs", ["log_removed_at", "ended_at"])


def downgrade() -> None:
    op.drop_index(op.f("ix_runs_log_removed_at_ended_at"), "runs")
    op.drop_column("runs", "log_removed_at")

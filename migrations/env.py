"""Alembic's entry: runs in the transaction that ``Database.upgrade`` holds."""

from alembic import context

import app.tokens.models  # noqa: F401 - each fills Base.metadata
from app.db import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    transactional_ddl=True,
    compare_type=True,
)
context.run_migrations()

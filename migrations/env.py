"""Alembic's entry: runs in the transaction that ``Database.upgrade`` holds."""

from alembic import context

from app.db import Base
from app.flows import models as flows
from app.identity import models as identity
from app.identity import session_models as sessions
from app.ledger import models as ledger
from app.signing import models as signing
from app.tokens import models as tokens

ROOMS = (identity, sessions, signing, tokens, flows, ledger)  # importing them is what fills Base.metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    transactional_ddl=True,
    compare_type=True,
)
context.run_migrations()

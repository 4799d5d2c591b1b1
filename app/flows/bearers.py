"""Whoever has a run's own token: the run itself."""

from dataclasses import dataclass

from sqlalchemy import Connection, select

from app.flows.models import Run
from app.identity.credentials import stored_of
from app.secret import Secret


@dataclass(frozen=True)
class RunBearer:
    """The run whose token it is, and its parties."""

    run_id: int
    user_id: int
    service_account_id: int | None


def bearer_of(connection: Connection, run_token: Secret) -> RunBearer | None:
    """Found by the hash of 256 random bits, which is there until the run ends."""
    query = select(Run.id, Run.user_id, Run.service_account_id)
    row = connection.execute(query.where(Run.token_sha256 == stored_of(run_token))).one_or_none()
    return None if row is None else RunBearer(*row)

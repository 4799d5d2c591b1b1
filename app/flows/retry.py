"""The same once more: a new run of a flow with what an ended one was started with.

By the configuration as it is now: whoever retries does not choose an older one, which may have been replaced
for a reason.
"""

from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import Conflict
from app.flows.inputs import InputValue
from app.flows.models import Run, RunInput
from app.flows.runs import ENDED, find_run
from app.flows.start import StartRequest


def again(session: Session, run_id: int, *, source: str) -> StartRequest:
    """What to ask for; ``Conflict`` while the run has not ended."""
    run = find_run(session, run_id)
    if run.state not in ENDED:
        raise Conflict(f"run {run_id} has not ended: it is {run.state}; cancel it first")
    return StartRequest(
        project=run.project.path,
        flow=run.flow,
        user=run.user.login,
        service_account=run.service_account.name if run.service_account else None,
        inputs=_inputs(session, run),
        source=source,
        retry_of=run.id,
    )


def _inputs(session: Session, run: Run) -> Mapping[str, InputValue]:
    """As they were given, so that a default counts as it is now; not known of runs before that was kept."""
    if run.given_inputs is not None:
        return run.given_inputs
    query = select(RunInput.name, RunInput.value).where(RunInput.run_id == run.id)
    return {name: value for name, value in session.execute(query)}  # noqa: C416 - typed rows

"""The configuration of a run whose starter did not wait for Git: read by the worker that takes the run."""

from collections.abc import Mapping

from app.clock import Clock
from app.db import Database
from app.errors import Overtaken
from app.flows import runs
from app.flows.inputs import checked_inputs
from app.flows.models import ConfigurationVersion, Run, RunState
from app.flows.run_facts import flow_of
from app.flows.source_reader import SourceReader
from app.ledger.actions import AuditAction
from app.ledger.record import Actor, record
from app.protocol.principals import parties


class LateConfiguration:
    """Slow, as ``SourceReader`` is."""

    def __init__(self, database: Database, clock: Clock, sources: SourceReader) -> None:
        self._database = database
        self._clock = clock
        self._sources = sources

    def complete(self, run_id: int, by: Actor) -> None:
        """Gives a run under way its configuration and inputs, unless it has them.

        ``Refusal`` says why there are none: the source, the file, the flow or an input.
        """
        with self._database.reading() as session:
            run = runs.find_run(session, run_id)
        if run.configuration_id is not None:
            return
        concerned = parties(run.user_id, run.service_account_id)
        version = self._sources.refresh(run.project_id, by, **concerned, run=run.id)
        inputs = checked_inputs(flow_of(version, run.flow), run.given_inputs or {})
        self._save(run, version, inputs, by)

    def _save(self, run: Run, version: ConfigurationVersion, inputs: Mapping[str, str], by: Actor) -> None:
        with self._database.writing() as session:
            held = runs.held_run(session, run.id)
            if held.state != RunState.RUNNING:
                raise Overtaken(f"run {run.id} was ended elsewhere: it {held.state}")
            held.configuration_id = version.id
            runs.add_inputs(session, held, inputs)
            detail = {"version": version.id, "commit": version.commit_sha, "config_sha": version.sha256}
            event = runs.transition(held, AuditAction.RUN_CONFIGURE, by, self._clock(), detail=detail)
            record(session, event)

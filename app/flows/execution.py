"""Executing a run: tokens, masker, secrets, environment, steps, in this order; then its end, in words.

A failure anywhere before the first step means that no step runs and that the run says why.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.clock import Clock
from app.db import Database
from app.errors import Conflict, InvalidInput, Overtaken, Refusal
from app.flows import runs
from app.flows.configuration import ACCESS, Flow
from app.flows.environment import base_environment, merged
from app.flows.executors.local import LocalExecutor
from app.flows.executors.outcome import Outcome as StepsOutcome
from app.flows.executors.workspace import Workspace
from app.flows.id_tokens import RunFacts, plan
from app.flows.late_configuration import LateConfiguration
from app.flows.liveness import TimeIsOver, require_unchanged, time_left, why_end
from app.flows.log import LogWriter
from app.flows.models import Run, RunInput, RunState
from app.flows.outage import NO_ANSWER, DatabaseAway, Outage
from app.flows.queue import Begun, Queue
from app.flows.run_facts import facts_of, variables_for
from app.flows.secret_values import SecretRead, SecretUnavailable
from app.flows.secrets import Place, RunSecrets, SecretSources
from app.flows.unseen_tokens import UnseenTokens
from app.ledger.actions import AuditAction, Outcome
from app.ledger.record import Actor, record
from app.masking import Masker
from app.secret import Secret
from app.tokens.assembly import IdTokenGrant
from app.tokens.audiences import Openness
from app.tokens.grants import AccessGrant, GrantRefused
from app.tokens.grants import for_run as access_grant_for_run
from app.tokens.mint import Mint

Output = Callable[[bytes], None]
"""Takes the run's masked log as it comes."""
_TURN_SECONDS = 0.5


@dataclass(frozen=True)
class Executions:
    """What every execution on this node needs."""

    database: Database
    clock: Clock
    mint: Mint
    secrets: SecretSources
    executor: LocalExecutor
    queue: Queue
    late_configuration: LateConfiguration
    openness: Openness
    id_token_life: timedelta
    local_runs_refused: str | None
    """Why this installation runs nothing locally, or ``None``."""

    def execute(self, run_id: int, output: Output, by: Actor) -> None:
        """Waits for the turn of a pending run, and carries it out."""
        try:
            while (begun := self.queue.begin(run_id, by)) is None:
                self.end_orphans()
                time.sleep(_TURN_SECONDS)
        except KeyboardInterrupt:
            self._finish(run_id, _Ending(RunState.CANCELLED, "interrupted before it began"), by)
            raise
        self.carry_out(begun, output, by)

    def carry_out(
        self, begun: Begun, output: Output, by: Actor, stopped: Callable[[], str | None] = lambda: None
    ) -> RunState:
        """Runs it to its end, whatever that is; the outcome stands in the run and in the ledger.

        ``stopped`` is asked all along: why this process cannot go on with it, or ``None``.
        """
        run_id = begun.run_id
        execution = _Execution(self, begun, output, by, stopped)
        try:
            with begun.held:
                return self._finish(run_id, execution.ending(begun.workspace), by)
        except KeyboardInterrupt:
            self._finish(run_id, _Ending(RunState.CANCELLED, "interrupted where it was executed"), by)
            raise
        except DatabaseAway:  # who keeps house ends it
            raise
        except BaseException:
            self._finish(run_id, _Ending(RunState.FAILED, "an internal error; see the server's log"), by)
            raise

    def give_up(self, begun: Begun, by: Actor) -> None:
        """Ends a run that this process has taken and cannot carry out."""
        with begun.held:
            self._finish(begun.run_id, _Ending(RunState.FAILED, "this server could not carry it out"), by)

    def end_orphans(self) -> int:
        """Ends the runs whose process was killed on this node; says how many there were."""
        return end_orphans(self.database, self.executor, self.clock())

    def _finish(self, run_id: int, ending: "_Ending", by: Actor) -> RunState:
        def finish() -> RunState:
            with self.database.writing() as session:
                run = runs.held_run(session, run_id)
                state, reason, exit_code = ending
                runs.finish(session, run, state, reason, exit_code, by=by, now=self.clock())
                return RunState(run.state)

        return Outage().outlast(finish)


def end_orphans(database: Database, executor: LocalExecutor, now: datetime) -> int:
    """As above. First their secrets go, then they end; what they leave is forgotten when they have."""
    left = executor.empty_leftovers()
    ended = runs.fail_orphans(database, left, now)
    for leftover in left:
        executor.forget_leftover(leftover)
    return ended


class _Ending(NamedTuple):
    state: RunState
    reason: str | None = None
    exit_code: int | None = None


@dataclass(frozen=True)
class _Inputs:
    facts: RunFacts
    secrets: RunSecrets
    inputs: dict[str, str]
    access: AccessGrant
    id_tokens: list[IdTokenGrant]


class _Execution:
    """One run on its way from begun to ended."""

    def __init__(
        self,
        node: Executions,
        begun: Begun,
        output: Output,
        by: Actor,
        stopped: Callable[[], str | None],
    ) -> None:
        self._node = node
        self._run_id = begun.run_id
        self._masker = Masker()
        self._masker.add(begun.token, "COUNTERSIGN_RUN_TOKEN")
        self._run_token = begun.token
        self._output = output
        self._by = by
        self._stopped = stopped
        self._beaten_at = node.clock()
        self._why_end: str | None = None
        self._beating, self._asking, self._storing = Outage(), Outage(), Outage()

    def ending(self, workspace: Workspace) -> _Ending:
        """Runs the steps; how that ended, in words without a secret."""
        if self._node.local_runs_refused is not None:
            return _Ending(RunState.FAILED, self._node.local_runs_refused)
        try:
            state, reason, exit_code = self._run(workspace)
        except TimeIsOver as over:
            state, reason, exit_code = _Ending(RunState.FAILED, str(over))
        except Overtaken as overtaken:
            state, reason, exit_code = _Ending(RunState.CANCELLED, self.why_end() or str(overtaken))
        except Refusal as refusal:
            state, reason, exit_code = _Ending(RunState.FAILED, str(refusal))
        except NO_ANSWER:
            state, reason, exit_code = _Ending(RunState.FAILED, str(DatabaseAway()))
        return _Ending(state, reason and self._masker.mask(reason), exit_code)

    def _run(self, workspace: Workspace) -> _Ending:
        node = self._node
        node.late_configuration.complete(self._run_id, self._by)
        self._go_on()
        inputs = self._read()

        def still(session: Session) -> None:
            require_unchanged(session, inputs.facts, node.clock())

        tokens = node.mint.for_run(inputs.access, inputs.id_tokens, self._by, still)
        id_tokens = {name: signed.token for name, signed in tokens.ids.items()}
        for name, token in {"COUNTERSIGN_ACCESS_TOKEN": tokens.access.token, **id_tokens}.items():
            self._masker.add_token(token, name)
        self._note(id_tokens=sorted(id_tokens))
        own = {"COUNTERSIGN_ACCESS_TOKEN": tokens.access.token, "COUNTERSIGN_RUN_TOKEN": self._run_token}
        flow = inputs.facts.flow
        with inputs.secrets as secrets:
            values = secrets.resolve(id_tokens, self._go_on, self._tell_secret)
            self._note(secrets=sorted(values))
            held = own | id_tokens | self._placed(flow, values, workspace)
            base = base_environment(
                inputs.facts,
                node.mint.issuer,
                home=workspace.home,
                tmp=workspace.tmp,
                programs=workspace.programs,
            )
            outcome = self._steps(flow, workspace, merged(base, flow.variables, inputs.inputs, held))
        return self._end(outcome)

    def why_end(self) -> str | None:
        """Why the run must not go on, from the first time that it is seen."""
        if self._why_end is None and (stopped := self._stopped()) is not None:
            self._why_end = stopped
            self._end_tokens()
        if self._why_end is None:
            with self._node.database.reading() as session:
                self._why_end = why_end(session, self._run_id, self._node.clock())
        return self._why_end

    def _end_tokens(self) -> None:
        """Steps may hang on for a while: what they have is dead by then, and they get nothing anew."""
        with self._node.database.writing() as session, suppress(Conflict):  # it has ended elsewhere
            runs.request_cancel(session, self._run_id, by=self._by, now=self._node.clock())

    def _read(self) -> _Inputs:
        """Read and decide: everything that the run's tokens will say, as it is now."""
        node, now = self._node, self._node.clock()
        with node.database.reading() as session:
            run = runs.find_run(session, self._run_id)
            facts = facts_of(session, run, now)
            variables = variables_for(session, facts)
            secrets = RunSecrets(node.secrets, run.id, facts.flow, variables, self._tell_unrevoked)
            access = self._access(session, facts)
            id_tokens = plan(
                session,
                facts,
                variables,
                issuer=node.mint.issuer,
                openness=node.openness,
                default_life=node.id_token_life,
            )
            query = select(RunInput.name, RunInput.value).where(RunInput.run_id == run.id)
            inputs = {name: value for name, value in session.execute(query)}  # noqa: C416 - typed rows
        return _Inputs(facts, secrets, inputs, access, id_tokens)

    def _access(self, session: Session, facts: RunFacts) -> AccessGrant:
        declared = facts.flow.access_token
        try:
            return access_grant_for_run(
                session.connection(),
                facts.identity,
                declared.scopes,
                declared.resource,
                issuer=self._node.mint.issuer,
                project=facts.project.path,
                run_id=facts.run_id,
            )
        except GrantRefused as refusal:
            raise InvalidInput(f"{facts.flow.places[ACCESS]}: {refusal.cause}") from None

    def _note(self, **names: list[str]) -> None:
        with self._node.database.writing_connection() as connection:
            connection.execute(update(Run).where(Run.id == self._run_id).values(**names))

    def _go_on(self) -> None:
        if (reason := self.why_end()) is not None:
            raise Overtaken(reason)

    def _tell_secret(self, name: str, place: Place, found: SecretRead | SecretUnavailable) -> None:
        """Name, path and version into the ledger; then the value into the masker, before anything sees it."""
        self._beat()
        detail = {"name": name, **place}
        if isinstance(found, SecretRead):
            self._record(AuditAction.SECRET_READ, Outcome.SUCCESS, {**detail, "version": found.version})
            self._masker.add(found.value, name)
        else:
            reason = self._masker.mask(str(found))
            self._record(AuditAction.SECRET_READ, Outcome.FAILED, {**detail, "reason": reason})

    def _tell_unrevoked(self, failure: SecretUnavailable) -> None:
        detail = {"reason": self._masker.mask(str(failure))}
        self._record(AuditAction.VAULT_TOKEN_REVOKE, Outcome.FAILED, detail)

    def _record(self, action: AuditAction, outcome: Outcome, detail: dict[str, Any]) -> None:
        with self._node.database.writing() as session:
            run = runs.find_run(session, self._run_id)
            record(
                session,
                runs.transition(run, action, self._by, self._node.clock(), outcome=outcome, detail=detail),
            )

    def _placed(self, flow: Flow, values: dict[str, Secret], workspace: Workspace) -> dict[str, Secret]:
        """What a secret's variable holds: its value, or the path of the file that does."""
        placed = {}
        for name, value in values.items():
            if flow.secrets[name].file:
                placed[name] = Secret(str(self._node.executor.write_file(workspace, name, value)))
            else:
                placed[name] = value
        return placed

    def _steps(self, flow: Flow, workspace: Workspace, environment: dict[str, str]) -> StepsOutcome:
        node = self._node
        log = LogWriter(node.database, node.clock, self._run_id)
        stream = self._masker.stream()
        unseen = UnseenTokens(node.database, node.clock, self._run_id, self._run_token, self._masker)

        def show(chunk: bytes) -> None:
            if flow.id_tokens:
                self._asking.outlast(unseen.learn)  # nothing is shown before
            masked = stream.feed(chunk)
            with self._storing.put_up_with():
                log.write(masked)
            self._output(masked)

        def asked_to_stop() -> bool:
            with self._storing.put_up_with():
                log.write(b"")  # what has waited long enough is stored although nothing more was said
            return self._must_end()

        try:
            return node.executor.execute(
                workspace=workspace,
                script=(*flow.setup_script, *flow.script),
                environment=environment,
                timeout=self._time_left(flow),
                output=show,
                cancelled=asked_to_stop,
            )
        finally:
            rest = stream.close()
            with self._storing.put_up_with():
                log.write(rest)
            self._storing.outlast(log.store)  # before it is shown: whoever reads along may be gone
            self._output(rest)

    def _time_left(self, flow: Flow) -> timedelta:
        with self._node.database.reading() as session:
            left = time_left(runs.find_run(session, self._run_id), flow, self._node.clock())
        if left <= timedelta(0):
            raise TimeIsOver
        return left

    def _must_end(self) -> bool:
        with self._beating.put_up_with():
            self._beat()
        with self._asking.put_up_with():
            self.why_end()
        return self._why_end is not None

    def _beat(self) -> None:
        now = self._node.clock()
        if now - self._beaten_at >= runs.HEARTBEAT:
            runs.beat(self._node.database, self._run_id, now)
            self._beaten_at = now

    def _end(self, outcome: StepsOutcome) -> _Ending:
        if outcome.state == "cancelled":
            return _Ending(RunState.CANCELLED, self._why_end or outcome.reason)
        if outcome.state == "exited" and outcome.exit_code == 0:
            return _Ending(RunState.SUCCEEDED, None, 0)
        if (
            reason := self._asking.outlast(self.why_end)
        ) is not None:  # its last step may have failed because of that
            return _Ending(RunState.CANCELLED, reason, outcome.exit_code)
        return _Ending(RunState.FAILED, outcome.reason, outcome.exit_code)

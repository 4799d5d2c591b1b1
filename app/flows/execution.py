"""Executing a run: tokens, masker, secrets, environment, steps, in this order; then its end, in words.

A failure anywhere before the first step means that no step runs and that the run says why.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.clock import Clock
from app.db import Database
from app.errors import InvalidInput, Overtaken, Refusal
from app.flows import runs
from app.flows.configuration import Flow, FlowSecret, parse
from app.flows.environment import base_environment, merged
from app.flows.executors.local import LocalExecutor
from app.flows.executors.outcome import Outcome as StepsOutcome
from app.flows.executors.workspace import Workspace
from app.flows.id_tokens import RunFacts, plan
from app.flows.liveness import require_unchanged, why_end
from app.flows.log import LogWriter
from app.flows.models import ConfigurationVersion, Run, RunInput, RunState
from app.flows.parties import needed_by, parties_of
from app.flows.secrets import resolve
from app.flows.vault import SecretRead, SecretUnavailable, Vault, VaultServer
from app.identity.credentials import generate_run_token
from app.identity.projects import variables_of
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


@dataclass(frozen=True)
class Executions:
    """What every execution on this node needs."""

    database: Database
    clock: Clock
    mint: Mint
    vault: Vault
    executor: LocalExecutor
    openness: Openness
    id_token_life: timedelta
    local_runs_refused: str | None
    """Why this installation runs nothing locally, or ``None``."""

    def execute(self, run_id: int, output: Output, by: Actor) -> None:
        """Runs it to its end, whatever that is; the outcome stands in the run and in the ledger."""
        masker = Masker()
        run_token, sha256 = generate_run_token()
        masker.add(run_token, "COUNTERSIGN_RUN_TOKEN")
        with self.database.writing() as session:
            runs.begin(session, run_id, sha256, by=by, now=self.clock())
        execution = _Execution(self, run_id, masker, run_token, output, by)
        try:
            state, reason, exit_code = execution.run()
        except Overtaken as overtaken:
            state, reason, exit_code = RunState.CANCELLED, execution.why_end() or str(overtaken), None
        except Refusal as refusal:
            state, reason, exit_code = RunState.FAILED, str(refusal), None
        except KeyboardInterrupt:
            self._finish(run_id, RunState.CANCELLED, "interrupted where it was executed", None, by)
            raise
        except BaseException:
            self._finish(run_id, RunState.FAILED, "an internal error; see the server's log", None, by)
            raise
        self._finish(run_id, state, reason and masker.mask(reason), exit_code, by)

    def _finish(
        self, run_id: int, state: RunState, reason: str | None, exit_code: int | None, by: Actor
    ) -> None:
        with self.database.writing() as session:
            run = runs.held_run(session, run_id)
            runs.finish(session, run, state, reason, exit_code, by=by, now=self.clock())


@dataclass(frozen=True)
class _Inputs:
    facts: RunFacts
    variables: dict[str, str]
    inputs: dict[str, str]
    access: AccessGrant
    id_tokens: list[IdTokenGrant]


class _Execution:
    """One run on its way from begun to ended."""

    def __init__(
        self, node: Executions, run_id: int, masker: Masker, run_token: Secret, output: Output, by: Actor
    ) -> None:
        self._node = node
        self._run_id = run_id
        self._masker = masker
        self._run_token = run_token
        self._output = output
        self._by = by
        self._beaten_at = node.clock()
        self._why_end: str | None = None

    def run(self) -> tuple[RunState, str | None, int | None]:
        node = self._node
        if node.local_runs_refused is not None:
            return RunState.FAILED, node.local_runs_refused, None
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
        with node.executor.workspace(self._run_id) as workspace, self._vault_sessions() as sessions:
            values = resolve(
                flow, id_tokens, inputs.variables, node.vault, sessions, self._go_on, self._tell_secret
            )
            self._note(secrets=sorted(values))
            held = own | id_tokens | self._placed(flow, values, workspace)
            base = base_environment(inputs.facts, node.mint.issuer, home=workspace.home, tmp=workspace.tmp)
            outcome = self._steps(flow, workspace, merged(base, flow.variables, inputs.inputs, held))
        return self._end(outcome)

    def why_end(self) -> str | None:
        """Why the run must not go on, from the first time that it is seen."""
        if self._why_end is None:
            with self._node.database.reading() as session:
                self._why_end = why_end(session, self._run_id, self._node.clock())
        return self._why_end

    def _read(self) -> _Inputs:
        """Read and decide: everything that the run's tokens will say, as it is now."""
        node, now = self._node, self._node.clock()
        with node.database.reading() as session:
            run = runs.find_run(session, self._run_id)
            facts = self._facts(session, run, now)
            variables = {**facts.flow.variables, **variables_of(session, run.project_id)}
            if facts.flow.secrets:
                VaultServer.from_variables(variables)  # refused before anything is minted
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
        return _Inputs(facts, variables, inputs, access, id_tokens)

    def _facts(self, session: Session, run: Run, now: datetime) -> RunFacts:
        version = session.get_one(ConfigurationVersion, run.configuration_id)
        flow = parse(version.body).flow(run.flow)
        pair, role = parties_of(
            session,
            run.project,
            run.user_id,
            run.service_account_id,
            needed_by(flow),
            now,
            delegation_id=run.delegation_id,
        )
        return RunFacts(
            run_id=run.id,
            source=run.source,
            project=run.project,
            pair=pair,
            human_role=role,
            flow=flow,
            config_sha=version.sha256,
        )

    def _access(self, session: Session, facts: RunFacts) -> AccessGrant:
        declared = facts.flow.access_token
        try:
            return access_grant_for_run(
                session.connection(),
                facts.pair,
                declared.scopes,
                declared.resource,
                issuer=self._node.mint.issuer,
                project=facts.project.path,
                run_id=facts.run_id,
            )
        except GrantRefused as refusal:
            raise InvalidInput(f"access_token: {refusal.cause}") from None

    def _note(self, **names: list[str]) -> None:
        with self._node.database.writing_connection() as connection:
            connection.execute(update(Run).where(Run.id == self._run_id).values(**names))

    def _go_on(self) -> None:
        if (reason := self.why_end()) is not None:
            raise Overtaken(reason)

    def _tell_secret(self, name: str, secret: FlowSecret, found: SecretRead | SecretUnavailable) -> None:
        """Name, path and version into the ledger; then the value into the masker, before anything sees it."""
        self._beat()
        where = secret.reference
        detail = {"name": name, "engine": where.engine, "mount": where.mount, "path": where.path}
        if isinstance(found, SecretRead):
            self._record(AuditAction.SECRET_READ, Outcome.SUCCESS, {**detail, "version": found.version})
            self._masker.add(found.value, name)
        else:
            reason = self._masker.mask(str(found))
            self._record(AuditAction.SECRET_READ, Outcome.FAILED, {**detail, "reason": reason})

    @contextmanager
    def _vault_sessions(self) -> Iterator[ExitStack]:
        """Logins that live as long as the run; one that cannot be shut is told, and changes nothing else."""
        sessions = ExitStack()
        try:
            yield sessions
        finally:
            try:
                sessions.close()
            except SecretUnavailable as failure:
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

        def show(masked: bytes) -> None:
            log.write(masked)
            self._output(masked)

        def asked_to_stop() -> bool:
            log.write(b"")  # what has waited long enough is stored although nothing more was said
            return self._must_end()

        try:
            return node.executor.execute(
                workspace=workspace,
                script=flow.script,
                environment=environment,
                timeout=flow.timeout,
                output=lambda chunk: show(stream.feed(chunk)),
                cancelled=asked_to_stop,
            )
        finally:
            rest = stream.close()
            log.write(rest)
            log.store()  # before it is shown: whoever reads along may be gone
            self._output(rest)

    def _must_end(self) -> bool:
        self._beat()
        return self.why_end() is not None

    def _beat(self) -> None:
        now = self._node.clock()
        if now - self._beaten_at >= runs.HEARTBEAT:
            runs.beat(self._node.database, self._run_id, now)
            self._beaten_at = now

    def _end(self, outcome: StepsOutcome) -> tuple[RunState, str | None, int | None]:
        if outcome.state == "cancelled":
            return RunState.CANCELLED, self._why_end or outcome.reason, None
        if outcome.state == "exited" and outcome.exit_code == 0:
            return RunState.SUCCEEDED, None, 0
        return RunState.FAILED, outcome.reason, outcome.exit_code

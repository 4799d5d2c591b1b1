"""What the issuer knows of a run, as it is now: at its beginning, and at each new token of its."""

from datetime import datetime
from functools import lru_cache

from sqlalchemy.orm import Session

from app.flows.configuration import Flow, parse
from app.flows.id_tokens import RunFacts
from app.flows.models import ConfigurationVersion, Run
from app.flows.parties import needed_by, parties_of
from app.flows.sources import ref_claims
from app.identity.projects import variables_of


def facts_of(session: Session, run: Run, now: datetime) -> RunFacts:
    """By the configuration that the run was started with; ``Denied`` if a party may not any more."""
    version = session.get_one(ConfigurationVersion, run.configuration_id)
    flow = flow_of(version, run.flow)
    identity, role = parties_of(
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
        identity=identity,
        human_role=role,
        flow=flow,
        config_sha=version.sha256,
        refs=ref_claims(version),
    )


def flow_of(version: ConfigurationVersion, name: str) -> Flow:
    return _flow(version.body, name)


@lru_cache(maxsize=16)
def _flow(body: bytes, name: str) -> Flow:
    """A large configuration takes long to parse, and a run may ask again and again."""
    return parse(body).flow(name)


def variables_for(session: Session, facts: RunFacts) -> dict[str, str]:
    """What ``aud`` and Vault's address may come from: the project's variables over the flow's."""
    return {**facts.flow.variables, **variables_of(session, facts.project.id)}

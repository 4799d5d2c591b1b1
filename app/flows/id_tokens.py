"""The ID tokens of a run: what the issuer knows of it, as claims. Nothing a starter types is among them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from app.errors import InvalidInput
from app.flows.aws_tags import tags
from app.flows.configuration import Flow
from app.flows.expansion import expand
from app.flows.subjects import subject_of
from app.identity.composite import Composite, Person
from app.identity.models import Project
from app.identity.permissions import Role
from app.protocol.principals import service_account_principal
from app.tokens.assembly import IdTokenGrant, Parties
from app.tokens.audiences import Openness, algorithm_for, refuse_verifier


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """All that an ID token may say of a run, from our own records.

    ``refs``: the claims of the Git source that its configuration was read from, if it was.
    """

    run_id: int
    source: str
    project: Project
    identity: Person
    human_role: Role
    flow: Flow
    config_sha: str
    refs: Mapping[str, str] = field(default_factory=dict)

    @property
    def parties(self) -> Parties:
        return Parties.of(self.identity, self.project.path, self.run_id)


def plan(
    connection: Connection | Session,
    facts: RunFacts,
    variables: Mapping[str, str],
    *,
    issuer: str,
    openness: Openness,
    default_life: timedelta,
) -> list[IdTokenGrant]:
    """One grant per declared name; ``InvalidInput`` names the key whose audience cannot be used."""
    if not facts.flow.id_tokens:
        return []
    subject = subject_of(facts.project, facts.flow.name, facts.identity, facts.refs)
    claims = claims_of(facts)
    grants = []
    for name, declaration in facts.flow.id_tokens.items():
        key = f"{facts.flow.places[name]}.aud"
        texts = (declaration.aud,) if isinstance(declaration.aud, str) else declaration.aud
        audience = tuple(dict.fromkeys(expand(text, variables, key) for text in texts))
        for each in audience:
            if reason := refuse_verifier(connection, issuer, openness, each, facts.project.id):
                raise InvalidInput(f"{key}: the audience {reason}: write the one that the verifier expects")
        grants.append(
            IdTokenGrant(
                name=name,
                subject=subject,
                audience=audience,
                life=declaration.ttl or default_life,
                claims=claims | (tags(claims, facts.flow.places[name]) if declaration.aws_tags else {}),
                parties=facts.parties,
                algorithm=algorithm_for(connection, audience),
            )
        )
    return grants


def claims_of(facts: RunFacts) -> dict[str, object]:
    """Flat strings, but for ``act`` (RFC 8693 §4.1); no agent, no ``act``."""
    identity, project = facts.identity, facts.project
    return {
        "namespace_id": str(project.group_id),
        "namespace_path": project.group.path,
        "project_id": str(project.id),
        "project_path": project.path,
        "user_id": str(identity.user_id),
        "user_login": identity.user_login,
        "user_email": identity.user_email,
        "user_access_level": facts.human_role.label,
        **(_agent(identity) if isinstance(identity, Composite) else {}),
        "flow": facts.flow.name,
        "run_id": str(facts.run_id),
        "run_source": facts.source,
        **facts.refs,
        "config_sha": facts.config_sha,
    }


def _agent(pair: Composite) -> dict[str, object]:
    return {
        "service_account_id": str(pair.service_account_id),
        "service_account": pair.service_account,
        "act": {"sub": service_account_principal(pair.service_account_id)},
    }

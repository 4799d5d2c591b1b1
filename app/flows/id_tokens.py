"""The ID tokens of a run: what the issuer knows of it, as claims. Nothing a starter types is among them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from app.errors import InvalidInput
from app.flows.configuration import Flow
from app.flows.expansion import expand
from app.identity.composite import Composite
from app.identity.models import Project
from app.identity.permissions import Role
from app.protocol.claims import LONGEST_SUBJECT
from app.protocol.principals import service_account_principal
from app.tokens.assembly import IdTokenGrant, Parties
from app.tokens.audiences import Openness, algorithm_for, refuse_verifier


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """All that an ID token may say of a run, from our own records."""

    run_id: int
    source: str
    project: Project
    pair: Composite
    human_role: Role
    flow: Flow
    config_sha: str

    @property
    def parties(self) -> Parties:
        return Parties(
            service_account=self.pair.service_account_id,
            user=self.pair.user_id,
            delegation=self.pair.delegation_id,
            delegation_expires_at=self.pair.delegation_expires_at,
            project=self.project.path,
            run=self.run_id,
        )


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
    subject, claims = subject_of(facts), claims_of(facts)
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
                claims=claims,
                parties=facts.parties,
                algorithm=algorithm_for(connection, audience),
            )
        )
    return grants


def subject_of(facts: RunFacts) -> str:
    """The same from run to run; the project always comes first."""
    subject = f"project_path:{facts.project.path}:flow:{facts.flow.name}"
    if len(subject) > LONGEST_SUBJECT:
        raise InvalidInput(
            f"the subject would be longer than {LONGEST_SUBJECT} bytes, which some verifiers refuse: "
            "give the project or the flow a shorter name"
        )
    return subject


def claims_of(facts: RunFacts) -> dict[str, object]:
    """Flat strings, but for ``act`` (RFC 8693 §4.1)."""
    pair, project = facts.pair, facts.project
    return {
        "namespace_id": str(project.group_id),
        "namespace_path": project.group.path,
        "project_id": str(project.id),
        "project_path": project.path,
        "user_id": str(pair.user_id),
        "user_login": pair.user_login,
        "user_email": pair.user_email,
        "user_access_level": facts.human_role.label,
        "service_account_id": str(pair.service_account_id),
        "service_account": pair.service_account,
        "act": {"sub": service_account_principal(pair.service_account_id)},
        "flow": facts.flow.name,
        "run_id": str(facts.run_id),
        "run_source": facts.source,
        "config_sha": facts.config_sha,
    }

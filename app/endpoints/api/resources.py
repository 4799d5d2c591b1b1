"""All resources of the API; an operation is served and described because its resource stands here."""

from app.endpoints.api.audiences import audiences
from app.endpoints.api.audit_events import audit_events
from app.endpoints.api.configurations import configurations
from app.endpoints.api.delegations import delegations
from app.endpoints.api.explanations import explanations
from app.endpoints.api.groups import groups
from app.endpoints.api.keys import keys
from app.endpoints.api.kills import kills
from app.endpoints.api.logs import logs
from app.endpoints.api.me import me
from app.endpoints.api.members import members
from app.endpoints.api.projects import projects
from app.endpoints.api.run_tokens import run_tokens
from app.endpoints.api.runs import runs
from app.endpoints.api.secrets import secrets
from app.endpoints.api.service_accounts import service_accounts
from app.endpoints.api.sources import sources
from app.endpoints.api.starts import starts
from app.endpoints.api.tokens import tokens
from app.endpoints.api.users import users

RESOURCES = (
    me,
    users,
    tokens,
    service_accounts,
    secrets,
    delegations,
    groups,
    projects,
    configurations,
    sources,
    members,
    starts,
    runs,
    logs,
    run_tokens,
    audiences,
    keys,
    explanations,
    kills,
    audit_events,
)

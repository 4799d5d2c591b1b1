"""All resources of the API; an operation is served and described because its resource stands here."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from app.operations.audiences import audiences
from app.operations.audit_events import audit_events
from app.operations.audit_exports import audit_exports
from app.operations.audit_positions import audit_positions
from app.operations.configurations import configurations
from app.operations.delegations import delegations
from app.operations.explanations import explanations
from app.operations.flows import flows
from app.operations.groups import groups
from app.operations.key_conditions import key_conditions
from app.operations.keys import keys
from app.operations.kills import kills
from app.operations.logs import logs
from app.operations.me import me
from app.operations.members import members
from app.operations.memberships import memberships
from app.operations.operation import Operation
from app.operations.overview import overview
from app.operations.passwords import passwords
from app.operations.projects import projects
from app.operations.run_receipts import run_receipts
from app.operations.run_tokens import run_tokens
from app.operations.runs import runs
from app.operations.secrets import secrets
from app.operations.service_accounts import service_accounts
from app.operations.sessions import sessions
from app.operations.sign_in_links import sign_in_links
from app.operations.sources import sources
from app.operations.starts import starts
from app.operations.tokens import tokens
from app.operations.users import users

RESOURCES = (
    me,
    users,
    sessions,
    passwords,
    sign_in_links,
    tokens,
    service_accounts,
    secrets,
    memberships,
    delegations,
    groups,
    projects,
    configurations,
    sources,
    members,
    flows,
    starts,
    runs,
    run_receipts,
    logs,
    run_tokens,
    audiences,
    keys,
    key_conditions,
    explanations,
    kills,
    audit_events,
    audit_exports,
    audit_positions,
    overview,
)


@cache
def operations() -> Mapping[Callable[..., Any], Operation]:
    """By the function that does it."""
    return {each.handler: each for resource in RESOURCES for each in resource.operations}

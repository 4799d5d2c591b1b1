"""How things look to programs: one shape for the API and for ``--json``; times are RFC 3339 in UTC."""

from datetime import datetime, timedelta
from typing import Any

from app.clock import rfc3339
from app.flows.faults import Fault
from app.flows.models import ConfigurationVersion, ProjectSource, Run
from app.identity.credentials import Standing
from app.identity.members import Membership
from app.identity.models import (
    ClientSecret,
    Delegation,
    Group,
    GroupMember,
    Member,
    PersonalAccessToken,
    Project,
    ServiceAccount,
    User,
)
from app.identity.policy import Conjunct, Decision
from app.identity.session_models import BrowserSession
from app.identity.sessions import Limits
from app.ledger.last_acts import LastAct
from app.ledger.models import AuditRow
from app.protocol.principals import client_id, service_account_principal, user_principal
from app.signing.algorithms import Algorithm
from app.signing.fetches import Fetched
from app.signing.models import KeyState, SigningKey
from app.signing.rotations import Rotations
from app.signing.transitions import leaves_by, may_sign_at
from app.tokens.key_impact import KeyImpact
from app.tokens.models import Audience
from app.tokens.registrations import Registration
from app.tokens.verifiers import EXCLUDES, keep

Shape = dict[str, Any]


def user(row: User) -> Shape:
    return {
        "id": row.id,
        "principal": user_principal(row.id),
        "login": row.login,
        "email": row.email,
        "admin": row.is_admin,
        "auditor": row.is_auditor,
        "active": row.principal.disabled_at is None,
    }


def service_account(row: ServiceAccount) -> Shape:
    return {
        "id": row.id,
        "principal": service_account_principal(row.id),
        "name": row.name,
        "client_id": client_id(row.id),
        "composite": row.is_composite,
        "active": row.principal.disabled_at is None,
    }


def project(row: Project) -> Shape:
    """``subject``: the components of its runs' ``sub``; ``workload`` of ``user``: humans may run alone;
    ``concurrent_runs`` of ``None``: as many as the installation's setting says.
    """
    said = {"id": row.id, "path": row.path, "group": row.group.path}
    said |= {"subject": row.subject.split(","), "workload": row.workload}
    said |= {"concurrent_runs": row.concurrent_runs}
    return said | {"created_at": rfc3339(row.created_at)}


def variable(name: str, value: str) -> Shape:
    return {"name": name, "value": value}


def configuration(row: ConfigurationVersion, path: str) -> Shape:
    """A version of the project's ``agent-config.yml``, without its text; ``ref`` and ``commit`` are Git's."""
    said = {"id": row.id, "project": path, "sha256": row.sha256, "ref": row.ref, "commit": row.commit_sha}
    return said | {"created_by": row.created_by, "created_at": rfc3339(row.created_at)}


def configuration_text(row: ConfigurationVersion, path: str) -> Shape:
    return configuration(row, path) | {"content": row.body.decode()}


def configuration_fault(of: Fault) -> Shape:
    """``line`` and ``column`` count from 1; ``key`` is a dotted path, empty where the whole file is meant."""
    return {"line": of.line, "column": of.column, "key": of.key, "fix": of.message}


def source(row: ProjectSource, path: str) -> Shape:
    """``protected``: branches whose ``ref_protected`` is true."""
    read_from = {"project": path, "git": row.url, "branch": row.branch, "protected": row.protected_refs}
    return read_from | {"set_by": row.set_by, "set_at": rfc3339(row.set_at)}


def group(row: Group) -> Shape:
    return {"id": row.id, "path": row.path}


def member(row: Member | GroupMember, path: str, principal: str) -> Shape:
    """``project`` or ``group`` says which of the two the path is."""
    place = "project" if isinstance(row, Member) else "group"
    return {place: path, "principal": principal, "role": row.role}


def membership(row: Membership) -> Shape:
    """``from`` is the path where the role was given, ``effective`` that it is the principal's strongest."""
    principal = f"{row.kind}:{row.principal_id}"
    named = {"principal": principal, "name": row.name, "role": row.role.label}
    return {**named, "from": row.source, "effective": row.is_effective}


def decision(decided: Decision) -> Shape:
    return {"allowed": decided.allowed, "conjuncts": [conjunct(each) for each in decided.conjuncts]}


def conjunct(each: Conjunct) -> Shape:
    return {"name": each.name.value, "allowed": each.allowed, "reason": each.reason}


def delegation(row: Delegation) -> Shape:
    """It lets act while it is alive and both are active, who may be disabled after it was given."""
    return {
        "id": row.id,
        "user": user_principal(row.user_id),
        "user_login": row.user.login,
        "user_active": row.user.principal.disabled_at is None,
        "service_account": service_account_principal(row.service_account_id),
        "service_account_name": row.service_account.name,
        "service_account_active": row.service_account.principal.disabled_at is None,
        "scopes": row.scopes,
        "project": row.project.path if row.project else None,
        "granted_by": row.granted_by,
        "created_at": rfc3339(row.created_at),
        "expires_at": rfc3339(row.expires_at),
        "revoked_at": rfc3339(row.revoked_at),
    }


def last_act(act: LastAct) -> Shape:
    return {"at": rfc3339(act.at), "action": act.action, "project": act.project}


def audience(row: Audience, projects: list[str], introspect: list[str]) -> Shape:
    """``introspect``: names of the accounts that may ask about its tokens; ``excludes``: verifiers that do
    not take its ``alg``.
    """
    return {
        "id": row.id,
        "uri": row.uri,
        "kind": row.kind,
        "alg": row.algorithm,
        "excludes": list(EXCLUDES[Algorithm(row.algorithm)]),
        "rendering": row.rendering,
        "projects": projects or None,
        "introspect": introspect,
    }


def registration(of: Registration) -> Shape:
    return audience(of.audience, of.projects, of.introspectors)


def signing_key(row: SigningKey, lead: timedelta) -> Shape:
    """``reason``: why it was revoked; ``destroyed_at``: since when there is no private half; ``signs_from``:
    since when it signs, or when *next* may; ``leaves_jwks_by``: when a retired one is out at the latest.

    ``lead`` is the publish lead.
    """
    moments = ("published_at", "activated_at", "retired_at", "removed_at", "revoked_at", "destroyed_at")
    named = {"kid": row.kid, "alg": row.alg, "state": row.state, "keystore": row.keystore}
    ahead = {
        "signs_from": rfc3339(may_sign_at(row, lead) if row.state == KeyState.NEXT else row.activated_at),
        "leaves_jwks_by": rfc3339(leaves_by(row)),
    }
    told = {moment: rfc3339(getattr(row, moment)) for moment in moments}
    return named | told | {"reason": row.reason} | ahead


def rotations(done: Rotations) -> Shape:
    waiting = [{"alg": alg, "reason": str(reason)} for alg, reason in done.waiting.items()]
    return {"rotated": [dict(vars(each)) for each in done.rotated], "waiting": waiting}


def key_impact(impact: KeyImpact, max_age: timedelta) -> Shape:
    """What revoking the key breaks; ``verifiers_keep_it``: how long whoever has fetched it believes it.

    ``max_age`` is that of the JWKS.
    """
    told = {"until": rfc3339(impact.until), "audiences": list(impact.audiences)}
    return vars(impact) | told | {"verifiers_keep_it": keep(max_age)}


def revoked_key(row: SigningKey, active: str | None, impact: Shape) -> Shape:
    """``active``: the key that signs its algorithm now, if one does; ``impact``: as it was told before."""
    return {"kid": row.kid, "state": row.state, "reason": row.reason, "active": active, "impact": impact}


def fetched(each: Fetched) -> Shape:
    return vars(each) | {"first_at": rfc3339(each.first_at), "last_at": rfc3339(each.last_at)}


def run(row: Run) -> Shape:
    """``configuration`` and its ``commit`` and ``config_sha`` are ``None`` until it is read from Git."""
    return {
        "id": row.id,
        "state": row.state,
        "reason": row.reason,
        "project": row.project.path,
        "flow": row.flow,
        "configuration": row.configuration_id,
        "commit": row.commit,
        "config_sha": row.config_sha,
        "user": user_principal(row.user_id),
        "user_login": row.user.login,
        **_agent(row),
        "id_tokens": row.id_tokens,
        "secrets": row.secrets,
        "exit_code": row.exit_code,
        "started_by": row.started_by,
        "retry_of": row.retry_of,
        "created_at": rfc3339(row.created_at),
        "started_at": rfc3339(row.started_at),
        "ended_at": rfc3339(row.ended_at),
    }


def _agent(row: Run) -> Shape:
    """``None`` when the human runs it alone."""
    account = row.service_account
    principal = service_account_principal(account.id) if account else None
    return {"service_account": principal, "service_account_name": account.name if account else None}


def audit_event(row: AuditRow) -> Shape:
    names = (
        "action outcome actor user service_account project run jti kid request_id detail".split()  # noqa: SIM905
    )
    columns = {name: getattr(row, name) for name in names}
    return {"at": rfc3339(row.at)} | columns | {"writer": row.writer, "seq": row.seq, "hash": row.hash}


def expiring(id: int, expires_at: datetime | None, **shown_once: str) -> Shape:
    """A credential at its creation: the only time that it is shown."""
    return {"id": id, **shown_once, "expires_at": rfc3339(expires_at)}


def personal_access_token(row: PersonalAccessToken) -> Shape:
    return {"id": row.id, "name": row.name, "scopes": row.scopes} | _life(row)


def session(row: BrowserSession, limits: Limits) -> Shape:
    """``expires_at``: at the latest, however busy it is."""
    moments = {
        name: rfc3339(getattr(row, name)) for name in ("created_at", "authenticated_at", "last_seen_at")
    }
    came_from = {"method": row.method, "agent": row.agent, "network": row.network}
    return {"id": row.id} | came_from | moments | {"expires_at": rfc3339(row.authenticated_at + limits.life)}


def client_secret(row: ClientSecret) -> Shape:
    return {"id": row.id} | _life(row)


def standing(account: str, of: Standing | None) -> Shape:
    """How the secrets of a service account stand; ``None``: it has none."""
    found = of or Standing(0, None, None)
    moments = ("last_used_at", "expires_first_at")
    told = {moment: rfc3339(getattr(found, moment)) for moment in moments}
    return {"service_account": account, "alive": found.alive} | told


def _life(row: PersonalAccessToken | ClientSecret) -> Shape:
    moments = ("created_at", "expires_at", "revoked_at", "last_used_at")
    return {moment: rfc3339(getattr(row, moment)) for moment in moments}

"""Read and decide: may this service account have an access token, for whom, for what; or a run.

The outcome is a value, ``AccessGrant``; a refusal says one thing to the client and another to the ledger.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from app.errors import Refusal
from app.identity.composite import Composite, Person, pair
from app.identity.facts import load
from app.identity.permissions import SCOPES
from app.identity.policy import Conjunct, Question
from app.protocol.oauth_errors import OAuthError
from app.protocol.scopes import RequestedScope, ScopeError, named_human, parse_scope
from app.signing.algorithms import ALWAYS, Algorithm
from app.tokens.audiences import ApiAudience, Rendering, api_of, find_api


class GrantRefused(Refusal):
    """``error`` is for the client, ``cause`` for the ledger, with the parties as far as they are known."""

    def __init__(
        self,
        error: OAuthError,
        cause: str,
        *,
        service_account_id: int | None = None,
        user_id: int | None = None,
    ) -> None:
        super().__init__(error.description)
        self.error = error
        self.cause = cause
        self.service_account_id = service_account_id
        self.user_id = user_id


@dataclass(frozen=True)
class Account:
    """A service account that asks, however it proved itself."""

    id: int
    name: str
    is_composite: bool


@dataclass(frozen=True)
class AccessGrant:
    """What an access token will say, and what must still hold when it is committed.

    ``account`` acts for ``person``, a pair; or it acts for nobody; or the person is alone, without account.
    """

    account: Account | None
    person: Person | None
    scopes: tuple[str, ...]
    audience: str
    rendering: Rendering
    algorithm: Algorithm = ALWAYS
    client_secret_id: int | None = None
    note_secret_use: bool = False
    project: str | None = None
    run_id: int | None = None

    @property
    def account_id(self) -> int | None:
        return self.account.id if self.account else None

    @property
    def user_id(self) -> int | None:
        return self.person.user_id if self.person else None

    @property
    def composite(self) -> Composite | None:
        return self.person if isinstance(self.person, Composite) else None


def decide(
    connection: Connection,
    account: Account,
    scope: str,
    resources: Sequence[str],
    *,
    issuer: str,
    now: datetime,
) -> AccessGrant:
    """The grant for a scope parameter and its ``resource`` parameters; raises ``GrantRefused``."""
    requested = _parse(account, scope)
    audience = _audience(connection, account, requested, issuer, resources)
    if not account.is_composite:
        return AccessGrant(
            account, None, requested.names, audience.uri, audience.rendering, audience.algorithm
        )
    facts = load(connection, user_id=requested.user_id, service_account_id=account.id, now=now)
    found = pair(facts, Question(None, requested.names), now)
    if isinstance(found, Conjunct):
        raise _refused(account, requested, f"{found.name}: {found.reason}")
    return AccessGrant(account, found, requested.names, audience.uri, audience.rendering, audience.algorithm)


def for_run(
    connection: Connection,
    person: Person,
    scopes: tuple[str, ...],
    resource: str | None,
    *,
    issuer: str,
    project: str,
    run_id: int,
) -> AccessGrant:
    """The grant of a run's own access token; who runs it, decided for the whole run, may have the scopes."""
    account = None
    if isinstance(person, Composite):
        account = Account(person.service_account_id, person.service_account, is_composite=True)
    requested = RequestedScope(scopes, person.user_id)
    audience = _audience(connection, account, requested, issuer, [resource] if resource else [])
    return AccessGrant(
        account,
        person,
        scopes,
        audience.uri,
        audience.rendering,
        audience.algorithm,
        project=project,
        run_id=run_id,
    )


def _parse(account: Account, scope: str) -> RequestedScope:
    try:
        requested = parse_scope(scope, SCOPES)
    except ScopeError as error:
        raise GrantRefused(
            OAuthError.INVALID_SCOPE,
            str(error),
            service_account_id=account.id,
            user_id=named_human(scope),
        ) from None
    if not account.is_composite and requested.user_id is not None:
        raise _refused(
            account, requested, "the service account acts in its own name; it takes no user: scope"
        )
    if not account.is_composite and not requested.names:
        raise _refused(account, requested, "no scope was asked for")
    return requested


def _audience(
    connection: Connection,
    account: Account | None,
    requested: RequestedScope,
    issuer: str,
    resources: Sequence[str],
) -> ApiAudience:
    if not resources:
        return ApiAudience(api_of(issuer), Rendering.COMPOSITE)
    found = find_api(connection, issuer, resources[0]) if len(resources) == 1 else None
    if found is None:
        cause = "resource: not a registered api audience" if len(resources) == 1 else "more than one resource"
        raise _refused(account, requested, cause, OAuthError.INVALID_TARGET)
    return found


def _refused(
    account: Account | None,
    requested: RequestedScope,
    cause: str,
    error: OAuthError = OAuthError.INVALID_SCOPE,
) -> GrantRefused:
    account_id = account.id if account else None
    return GrantRefused(error, cause, service_account_id=account_id, user_id=requested.user_id)

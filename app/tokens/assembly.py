"""Assemble and sign: a grant becomes a token, and the commit that must precede its release."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Self

from app.clock import timestamp
from app.identity.composite import Composite, Person
from app.ledger.actions import AuditAction, Outcome
from app.ledger.record import Actor, AuditEvent
from app.protocol import principals
from app.protocol.claims import ACCESS_TOKEN_TYPE, ID_TOKEN_TYPE
from app.protocol.principals import OWN_CLIENT, client_id, service_account_principal, user_principal
from app.protocol.scopes import composite_scope
from app.secret import Secret
from app.signing.algorithms import ALWAYS, Algorithm
from app.signing.keyring import KeySnapshot
from app.signing.keystores import KeystoreError
from app.signing.signer import Signer
from app.tokens.audiences import Rendering
from app.tokens.commit import Commit, Conditions
from app.tokens.grants import AccessGrant


@dataclass(frozen=True)
class Signed:
    """A token that may be released only once its commit is durable."""

    token: Secret
    claims: Mapping[str, Any]
    commit: Commit

    def answer(self) -> dict[str, Any]:
        """The token endpoint's answer (RFC 6749 §5.1); ``expires_in`` is in seconds."""
        return {
            "access_token": self.token.reveal(),
            "token_type": "Bearer",
            "expires_in": self.claims["exp"] - self.claims["iat"],
            "scope": self.claims["scope"],
        }


@dataclass(frozen=True, kw_only=True)
class Parties:
    """Who a token names, and by what right; the same in its row, its ledger row and its conditions."""

    service_account: int | None = None
    user: int | None = None
    delegation: int | None = None
    delegation_expires_at: datetime | None = None
    client_secret: int | None = None
    used_client_secret: int | None = None
    project: str | None = None
    run: int | None = None

    @classmethod
    def of(cls, identity: Person, project: str | None, run: int | None) -> Self:
        """A pair, or a human alone."""
        agent: dict[str, Any] = {}
        if isinstance(identity, Composite):
            agent = {
                "service_account": identity.service_account_id,
                "delegation": identity.delegation_id,
                "delegation_expires_at": identity.delegation_expires_at,
            }
        return cls(user=identity.user_id, project=project, run=run, **agent)

    def alive(self, kid: str) -> Conditions:
        """What a token of theirs, signed by this key, hangs on."""
        return Conditions(
            user=self.user,
            service_account=self.service_account,
            delegation=self.delegation,
            run=self.run,
            client_secret=self.client_secret,
            kids=(kid,),
        )


@dataclass(frozen=True, kw_only=True)
class IdTokenGrant:
    """One ID token of a run; ``claims`` are those beside the registered ones, decided by ``flows``."""

    name: str
    subject: str
    audience: tuple[str, ...]
    life: timedelta
    claims: Mapping[str, Any]
    parties: Parties
    algorithm: Algorithm = ALWAYS


class _Kind(Enum):
    ACCESS = ("access", ACCESS_TOKEN_TYPE, AuditAction.ACCESS_TOKEN_ISSUE)
    ID = ("id", ID_TOKEN_TYPE, AuditAction.ID_TOKEN_ISSUE)


@dataclass(frozen=True, kw_only=True)
class Assembler:
    """What every token of this moment has in common. ``announce`` makes an event durable at once."""

    issuer: str
    keys: KeySnapshot
    by: Actor
    now: datetime
    announce: Callable[[AuditEvent], None]

    def access_token(self, grant: AccessGrant, life: timedelta) -> Signed:
        """RFC 9068, in the rendering that the audience asks for; the other claims are the same in both."""
        names, parties = _names(grant), _parties(grant)
        expires_at = self._expiry(life, parties)
        subject, act = _rendered(grant)
        claims = self._registered(subject, grant.audience, expires_at) | act | names
        signer = self.keys.signer(grant.algorithm, self.now)
        return self._sign(signer, _Kind.ACCESS, claims, parties, expires_at, {"scope": names["scope"]})

    def id_token(self, grant: IdTokenGrant) -> Signed:
        """For a verifier: one ``aud`` string when one was declared, and never an ``azp``."""
        audience = grant.audience[0] if len(grant.audience) == 1 else list(grant.audience)
        expires_at = self._expiry(grant.life, grant.parties)
        claims = {**grant.claims, **self._registered(grant.subject, audience, expires_at)}
        signer = self.keys.signer(grant.algorithm, self.now)
        return self._sign(signer, _Kind.ID, claims, grant.parties, expires_at, {"name": grant.name})

    def _expiry(self, life: timedelta, parties: Parties) -> datetime:
        """No token outlives the delegation it lives from."""
        limit = parties.delegation_expires_at
        return self.now + life if limit is None else min(self.now + life, limit)

    def _registered(self, subject: str, audience: str | list[str], expires_at: datetime) -> dict[str, Any]:
        """RFC 7519 §4.1; ``nbf`` equals ``iat`` and never lies ahead; ``jti`` is 128 random bits."""
        issued_at = timestamp(self.now)
        return {
            "iss": self.issuer,
            "sub": subject,
            "aud": audience,
            "iat": issued_at,
            "nbf": issued_at,
            "exp": timestamp(expires_at),
            "jti": secrets.token_urlsafe(16),
        }

    def _sign(
        self,
        signer: Signer,
        kind: _Kind,
        claims: Mapping[str, Any],
        parties: Parties,
        expires_at: datetime,
        detail: dict[str, Any],
    ) -> Signed:
        name, token_type, action = kind.value
        row = {
            "jti": claims["jti"],
            "kind": name,
            "kid": signer.kid,
            "audience": claims["aud"],
            "scope": claims.get("scope"),
            "service_account_id": parties.service_account,
            "user_id": parties.user,
            "delegation_id": parties.delegation,
            "run_id": parties.run,
            "issued_at": self.now,
            "expires_at": expires_at,
        }
        event = self.by.did(
            action,
            self.now,
            **principals.parties(parties.user, parties.service_account),
            project=parties.project,
            run=parties.run,
            jti=claims["jti"],
            kid=signer.kid,
            detail={"sub": claims["sub"], "aud": claims["aud"], "delegation": parties.delegation, **detail},
        )
        commit = Commit(
            at=self.now,
            conditions=parties.alive(signer.kid),
            tokens=(row,),
            events=(event,),
            used_client_secret=parties.used_client_secret,
        )
        sign = self._sign_remotely if signer.is_remote else _sign_here
        return Signed(sign(signer, token_type, claims, event), claims, commit)

    def _sign_remotely(
        self, signer: Signer, token_type: str, claims: Mapping[str, Any], event: AuditEvent
    ) -> Secret:
        """Told before it is asked for: a signature that never came back to us may exist all the same."""
        self.announce(replace(event, action=AuditAction.SIGNATURE_REQUEST))
        try:
            return signer.sign(token_type, claims)
        except KeystoreError as error:
            detail = {**event.detail, "error": str(error)}
            self.announce(replace(event, outcome=Outcome.FAILED, detail=detail))
            raise


def _sign_here(signer: Signer, token_type: str, claims: Mapping[str, Any], _event: AuditEvent) -> Secret:
    return signer.sign(token_type, claims)


def _names(grant: AccessGrant) -> dict[str, Any]:
    """The claims beside the registered ones, the same in both renderings; ``user:`` for a pair alone."""
    account, person, pair = grant.account, grant.person, grant.composite
    scope = composite_scope(grant.scopes, pair.user_id) if pair else " ".join(grant.scopes)
    names = {"client_id": client_id(account.id) if account else OWN_CLIENT, "scope": scope}
    if account is not None:
        names |= {"service_account_id": str(account.id), "service_account": account.name}
    if person is not None:
        names |= {"user_id": str(person.user_id), "user_login": person.user_login}
    if pair is not None:
        names["delegation_id"] = str(pair.delegation_id)
    if grant.run_id is not None:
        names["run_id"] = str(grant.run_id)
    return names


def _parties(grant: AccessGrant) -> Parties:
    whose = (
        Parties.of(grant.person, grant.project, grant.run_id)
        if grant.person is not None
        else Parties(project=grant.project, run=grant.run_id)
    )
    return replace(
        whose,
        service_account=grant.account_id,
        client_secret=grant.client_secret_id,
        used_client_secret=grant.client_secret_id if grant.note_secret_use else None,
    )


def _rendered(grant: AccessGrant) -> tuple[str, dict[str, Any]]:
    """``sub``, and ``act`` where there is one: the account with the human in ``scope`` alone, or, delegated,
    the human with the account as the actor (RFC 8693 §4.1). Who acts for nobody is always ``sub``.
    """
    account = service_account_principal(grant.account_id) if grant.account_id else None
    human = user_principal(grant.user_id) if grant.user_id else None
    if account and human and grant.rendering is Rendering.DELEGATED:
        return human, {"act": {"sub": account}}
    subject = account or human
    assert subject is not None  # noqa: S101 - a grant is somebody's
    return subject, {}

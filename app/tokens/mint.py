"""The seam: read and decide, assemble and sign, commit; then, and only then, release.

Authlib's grant, a run and the command line all come through here.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from app.clock import Clock
from app.db import Database
from app.errors import Overtaken
from app.ledger.actions import AuditAction, Outcome
from app.ledger.record import Actor, AuditEvent, record
from app.protocol.oauth_errors import OAuthError
from app.protocol.principals import service_account_principal, user_principal
from app.signing.keyring import Keyring
from app.tokens.assembly import Assembler, IdTokenGrant, Signed
from app.tokens.commit import KeyOvertaken, commit, merged
from app.tokens.grants import AccessGrant, GrantRefused

Decide = Callable[[Connection, datetime], AccessGrant]


@dataclass(frozen=True)
class RunTokens:
    access: Signed
    ids: Mapping[str, Signed]


@dataclass(frozen=True)
class Mint:
    database: Database
    keyring: Keyring
    clock: Clock
    issuer: str
    access_token_life: timedelta

    def access_token(self, decide: Decide, by: Actor) -> Signed:
        """One access token, durable with its ledger row; ``GrantRefused`` is in the ledger too."""
        now = self.clock()
        try:
            with self.database.reading_connection() as connection:
                grant = decide(connection, now)
            return self._issue_access(grant, by, now)
        except GrantRefused as refusal:
            self._record_refusal(refusal, by, now)
            raise

    def for_run(self, grant: AccessGrant, id_grants: Iterable[IdTokenGrant], by: Actor) -> RunTokens:
        """A run's access token and ID tokens: signed, then committed in one transaction, all or none."""
        named = list(id_grants)
        access, *ids = self._issue(
            by,
            self.clock(),
            lambda assembler: [
                assembler.access_token(grant, self.access_token_life),
                *(assembler.id_token(each) for each in named),
            ],
        )
        return RunTokens(access, {each.name: signed for each, signed in zip(named, ids, strict=True)})

    def _issue(self, by: Actor, now: datetime, assemble: Callable[[Assembler], list[Signed]]) -> list[Signed]:
        """Signed, then committed; once more if this process had yet to follow a change of keys."""
        try:
            return self._issue_once(by, now, assemble)
        except KeyOvertaken:
            self.keyring.refresh()
            return self._issue_once(by, now, assemble)

    def _issue_once(
        self, by: Actor, now: datetime, assemble: Callable[[Assembler], list[Signed]]
    ) -> list[Signed]:
        signed = assemble(self._assembler(by, now))
        with self.database.writing_connection() as connection:
            commit(connection, merged([each.commit for each in signed]))
        return signed

    def _assembler(self, by: Actor, now: datetime) -> Assembler:
        keys = self.keyring.current()
        return Assembler(issuer=self.issuer, keys=keys, by=by, now=now, announce=self._announce)

    def _announce(self, event: AuditEvent) -> None:
        with self.database.writing_connection() as connection:
            record(connection, event)

    def _issue_access(self, grant: AccessGrant, by: Actor, now: datetime) -> Signed:
        life = self.access_token_life
        try:
            [signed] = self._issue(by, now, lambda assembler: [assembler.access_token(grant, life)])
        except Overtaken as overtaken:
            raise GrantRefused(
                OAuthError.INVALID_SCOPE,
                str(overtaken),
                service_account_id=grant.account.id,
                user_id=grant.composite.user_id if grant.composite else None,
            ) from None
        return signed

    def _record_refusal(self, refusal: GrantRefused, by: Actor, now: datetime) -> None:
        account, user = refusal.service_account_id, refusal.user_id
        event = by.did(
            AuditAction.ACCESS_TOKEN_ISSUE,
            now,
            outcome=Outcome.DENIED,
            service_account=account and service_account_principal(account),
            user=user and user_principal(user),
            detail={"error": refusal.error.code, "cause": refusal.cause},
        )
        self._announce(event)

"""The seam: read and decide, assemble and sign, commit; then, and only then, release.

Authlib's grant, a run and the command line all come through here.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from app.clock import Clock
from app.db import Database
from app.errors import Overtaken
from app.ledger.actions import AuditAction, Outcome
from app.ledger.record import Actor, record
from app.protocol.oauth_errors import OAuthError
from app.protocol.principals import parties
from app.signing.keyring import Keyring
from app.tokens.assembly import Assembler, IdTokenGrant, Signed
from app.tokens.commit import commit, merged
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
        with self.database.connection() as connection:
            return self.access_token_on(connection, decide, by)

    def access_token_on(self, connection: Connection, decide: Decide, by: Actor) -> Signed:
        """The same on a connection of ``Database.connection``."""
        now = self.clock()
        try:
            grant = decide(connection, now)
            signed = self._assembler(by, now).access_token(grant, self.access_token_life)
            self._commit_access(connection, signed, grant)
        except GrantRefused as refusal:
            self._record_refusal(connection, refusal, by, now)
            raise
        return signed

    def for_run(
        self,
        grant: AccessGrant,
        id_grants: Iterable[IdTokenGrant],
        by: Actor,
        still: Callable[[Session], None] = lambda _: None,
    ) -> RunTokens:
        """A run's access token and ID tokens: signed, then committed in one transaction, all or none.

        ``still`` raises ``Overtaken`` in that transaction if what was decided does not hold any more.
        """
        assembler = self._assembler(by, self.clock())
        access = assembler.access_token(grant, self.access_token_life)
        ids = {each.name: assembler.id_token(each) for each in id_grants}
        together = merged([access.commit, *(signed.commit for signed in ids.values())])
        with self.database.writing() as session:
            commit(session.connection(), together, lambda: still(session))
        return RunTokens(access, ids)

    def _assembler(self, by: Actor, now: datetime) -> Assembler:
        return Assembler(issuer=self.issuer, signer=self.keyring.current().active, by=by, now=now)

    def _commit_access(self, connection: Connection, signed: Signed, grant: AccessGrant) -> None:
        try:
            with self.database.writing_on(connection):
                commit(connection, signed.commit)
        except Overtaken as overtaken:
            raise GrantRefused(
                OAuthError.INVALID_SCOPE,
                str(overtaken),
                service_account_id=grant.account.id,
                user_id=grant.composite.user_id if grant.composite else None,
            ) from None

    def _record_refusal(
        self, connection: Connection, refusal: GrantRefused, by: Actor, now: datetime
    ) -> None:
        event = by.did(
            AuditAction.ACCESS_TOKEN_ISSUE,
            now,
            outcome=Outcome.DENIED,
            **parties(refusal.user_id, refusal.service_account_id),
            detail={"error": refusal.error.code, "cause": refusal.cause},
        )
        with self.database.writing_on(connection):
            record(connection, event)

"""The seam: read and decide, assemble and sign, commit; then, and only then, release.

Authlib's grant, a run and the command line all come through here.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from app.clock import Clock
from app.db import Database
from app.errors import Overtaken
from app.ledger.actions import AuditAction, Outcome
from app.ledger.record import Actor, AuditEvent, record
from app.protocol.oauth_errors import OAuthError
from app.protocol.principals import parties
from app.signing.keyring import Keyring
from app.signing.keystores import KeystoreError
from app.tokens.assembly import Assembler, IdTokenGrant, Signed
from app.tokens.commit import KeyOvertaken, commit, merged
from app.tokens.grants import AccessGrant, GrantRefused

Decide = Callable[[Connection, datetime], AccessGrant]
Assemble = Callable[[Assembler], list[Signed]]
Still = Callable[[list[Signed]], None]


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
            return self._issue_access(connection, grant, by, now)
        except GrantRefused as refusal:
            self._record_refusal(connection, refusal, by, now)
            raise

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
        named, life = list(id_grants), self.access_token_life

        def assemble(assembler: Assembler) -> list[Signed]:
            return [assembler.access_token(grant, life), *map(assembler.id_token, named)]

        with self.database.connection() as connection, Session(connection) as session:
            access, *ids = self._issue(connection, by, self.clock(), assemble, lambda _: still(session))
        return RunTokens(access, {each.name: signed for each, signed in zip(named, ids, strict=True)})

    def id_token(self, grant: IdTokenGrant, by: Actor, still: Callable[[Session, Signed], None]) -> Signed:
        """One more ID token of a run. ``still`` as above; what it writes is committed with the token."""
        with self.database.connection() as connection, Session(connection) as session:
            [signed] = self._issue(
                connection,
                by,
                self.clock(),
                lambda assembler: [assembler.id_token(grant)],
                lambda signed: still(session, *signed),
            )
        return signed

    def _issue_access(self, connection: Connection, grant: AccessGrant, by: Actor, now: datetime) -> Signed:
        life = self.access_token_life
        try:
            [signed] = self._issue(
                connection, by, now, lambda assembler: [assembler.access_token(grant, life)]
            )
        except Overtaken as overtaken:
            raise GrantRefused(
                OAuthError.INVALID_SCOPE,
                str(overtaken),
                service_account_id=grant.account_id,
                user_id=grant.user_id,
            ) from None
        return signed

    def _issue(
        self,
        connection: Connection,
        by: Actor,
        now: datetime,
        assemble: Assemble,
        still: Still = lambda _: None,
    ) -> list[Signed]:
        """Signed, then committed; once more if this process had yet to follow a change of keys, after which a
        remote keystore may have destroyed the key that was asked to sign.
        """
        seen = self.keyring.current()
        try:
            return self._issue_once(connection, by, now, assemble, still)
        except (KeyOvertaken, KeystoreError) as error:
            self.keyring.refresh()
            if isinstance(error, KeystoreError) and self.keyring.current().rows == seen.rows:
                raise
            return self._issue_once(connection, by, now, assemble, still)

    def _issue_once(
        self,
        connection: Connection,
        by: Actor,
        now: datetime,
        assemble: Assemble,
        still: Still,
    ) -> list[Signed]:
        signed = assemble(self._assembler(connection, by, now))
        together = signed[0].commit if len(signed) == 1 else merged([each.commit for each in signed])
        with self.database.writing_on(connection):
            commit(connection, together, lambda: still(signed))
        return signed

    def _assembler(self, connection: Connection, by: Actor, now: datetime) -> Assembler:
        announce, keys = partial(self._announce, connection), self.keyring.current()
        return Assembler(issuer=self.issuer, keys=keys, by=by, now=now, announce=announce)

    def _announce(self, connection: Connection, event: AuditEvent) -> None:
        with self.database.writing_on(connection):
            record(connection, event)

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
        self._announce(connection, event)

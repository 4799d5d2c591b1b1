"""In this process, without HTTP: what is decided, issued, asked and searched, over one database."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from sqlalchemy import Connection

from app.identity import facts, policy
from app.ledger import search
from app.ledger.record import Actor
from app.protocol.principals import service_account_principal, user_principal
from app.settings import Settings
from app.tokens.grants import AccessGrant, Account, decide
from app.tokens.introspection import Introspection
from app.wiring import Components
from bench.countersign import API, PROJECT, Parties
from bench.rounds import Contestant

DECIDING = "Policy decision, its facts at hand"
READING_AND_DECIDING = "Policy decision, its facts read first"
INTROSPECTING = "Introspection, without HTTP"
MINTING = "Composite token, without HTTP"
SEARCHING = "Audit search by user, a page of 50"
PAGE = 50


class UnexpectedAnswerError(Exception):
    """What should be allowed, alive or there is not."""


@dataclass(frozen=True)
class Asking:
    components: Components
    parties: Parties

    @classmethod
    def of(cls, environment: Mapping[str, str], parties: Parties) -> "Asking":
        return cls(Components(Settings.from_env(environment)), parties)

    def decide(self, times: int) -> None:
        """What follows a lookup of facts that are remembered."""
        with self.components.database.reading_connection() as connection:
            known = self._facts(connection)
        for _ in range(times):
            self._expect(self._allowed(known))

    def read_and_decide(self, times: int) -> None:
        """A transaction for each, as every request has its own."""
        for _ in range(times):
            with self.components.database.reading_connection() as connection:
                known = self._facts(connection)
            self._expect(self._allowed(known))

    def introspect(self, times: int) -> None:
        components, token = self.components, self._token
        introspection = Introspection(components.reader, components.settings.issuer)
        for _ in range(times):
            with components.database.reading_connection() as connection:
                caller = self.parties.resource_server.number
                finding = introspection.asked_by(connection, caller, token, components.clock())
            self._expect(finding.answer["active"])

    def mint(self, times: int) -> None:
        by = Actor(name=service_account_principal(self.parties.agent.number))
        for _ in range(times):
            self.components.mint.access_token(self._grant, by)

    def search(self, times: int) -> None:
        wanted = search.Filter(user=user_principal(self.parties.user))
        for _ in range(times):
            with self.components.database.reading() as session:
                self._expect(len(search.newest(session, wanted, PAGE)) == PAGE)

    def contestants(self, decisions: int, questions: int) -> list[Contestant]:
        """The counts are of operations in one round."""
        return [
            Contestant(DECIDING, decisions, self.decide),
            Contestant(READING_AND_DECIDING, questions, self.read_and_decide),
            Contestant(INTROSPECTING, questions, self.introspect),
        ]

    def _facts(self, connection: Connection) -> facts.Facts:
        user, agent = self.parties.user, self.parties.agent.number
        place = facts.project_at(connection, PROJECT)
        return facts.load(connection, user_id=user, service_account_id=agent, place=place)

    def _allowed(self, known: facts.Facts) -> bool:
        question = policy.Question("code.write", ("api",))
        return policy.decide(known, question, self.components.clock()).allowed

    def _grant(self, connection: Connection, now: datetime) -> AccessGrant:
        account = Account(self.parties.agent.number, "duo", is_composite=True)
        scope, issuer = f"api {user_principal(self.parties.user)}", self.components.settings.issuer
        return decide(connection, account, scope, [API], issuer=issuer, now=now)

    @cached_property
    def _token(self) -> str:
        by = Actor(name=service_account_principal(self.parties.agent.number))
        return self.components.mint.access_token(self._grant, by).token.reveal()

    @staticmethod
    def _expect(holds: bool) -> None:  # noqa: FBT001 - the one thing that it is about
        if not holds:
            raise UnexpectedAnswerError

"""Who asks for an operation, once an edge has found out."""

from dataclasses import dataclass
from enum import Enum, auto

from app.identity import policy
from app.identity.permissions import READING
from app.ledger.record import Actor
from app.protocol.principals import parties, service_account_principal, user_principal
from app.protocol.scopes import API, covers


class Proof(Enum):
    """How a caller has shown who it is."""

    CLIENT_SECRET = auto()
    PERSONAL_ACCESS_TOKEN = auto()
    ACCESS_TOKEN = auto()
    RUN_TOKEN = auto()
    SESSION = auto()


@dataclass(frozen=True, slots=True)
class Caller:
    """``scopes`` of ``None``: no token limits it. ``is_admin``, ``is_auditor``: one in person, in full.

    ``project_id``: the only project that its token is for, as ``policy.Question`` says.
    """

    proof: Proof
    user_id: int | None = None
    service_account_id: int | None = None
    scopes: tuple[str, ...] | None = None
    delegation_id: int | None = None
    is_admin: bool = False
    is_auditor: bool = False
    jti: str | None = None
    run_id: int | None = None
    project_id: int | None = None
    personal_access_token_id: int | None = None
    session_id: int | None = None
    use_is_due: bool = False
    """Whether this use of its credential is to be noted."""

    @property
    def name(self) -> str:
        """The ledger's actor: the agent where there is one, for it is the one that acts."""
        if self.service_account_id is not None:
            return service_account_principal(self.service_account_id)
        assert self.user_id is not None  # noqa: S101 - a caller is somebody
        return user_principal(self.user_id)

    @property
    def in_person(self) -> bool:
        """A human whom nobody acts for, with everything that is theirs."""
        return self.proof in {Proof.PERSONAL_ACCESS_TOKEN, Proof.SESSION} and covers(self.scopes, (API,))

    @property
    def sees_all(self) -> bool:
        """What there is, wherever it is; whether it may change anything is another question."""
        return self.is_admin or self.is_auditor

    def has_everywhere(self, permission: str) -> bool:
        """By what it is to the installation, whatever its role in a place."""
        return self.is_admin or (self.is_auditor and permission in READING)

    def question(self, permission: str | None) -> policy.Question:
        """As far as its token reaches."""
        return policy.Question(
            permission, self.scopes, self.delegation_id, self.project_id, is_of_run=self.run_id is not None
        )

    @property
    def parties(self) -> dict[str, str]:
        """The ledger's columns of who is concerned when it is about the caller alone."""
        found = parties(self.user_id, self.service_account_id)
        return {name: party for name, party in found.items() if party is not None}

    def actor(self, request_id: str | None) -> Actor:
        """Of all that this caller does; a pair's rows name both parties."""
        human = self.parties.get("user") if self.service_account_id is not None else None
        return Actor(name=self.name, on_behalf_of=human, request_id=request_id)

"""In this process: bare signatures, the physical limit, and the tokens of a run's start, held against it."""

from collections.abc import Mapping
from datetime import timedelta

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from app.ledger.record import Actor
from app.protocol.claims import FLOW_ID_TOKEN
from app.protocol.principals import user_principal
from app.settings import Settings
from app.tokens.assembly import IdTokenGrant, Parties
from app.tokens.grants import AccessGrant, Account, decide
from app.wiring import Components
from bench import countersign
from bench.rounds import Contestant

SIGNATURE = "RSA-2048 signature, one core"
RUN = "Countersign, a run's token"
ID_TOKENS_OF_A_RUN = 10
_SIGNING_INPUT = bytes(1000)


def signatures(count: int) -> Contestant:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    padding, digest = PKCS1v15(), SHA256()

    def sign(times: int) -> None:
        for _ in range(times):
            key.sign(_SIGNING_INPUT, padding, digest)

    return Contestant(SIGNATURE, count, sign)


def runs(environment: Mapping[str, str], parties: countersign.Parties, starts: int) -> Contestant:
    """One operation is one token: each start mints an access token and `ID_TOKENS_OF_A_RUN` ID tokens."""
    components = Components(Settings.from_env(environment))
    mint, by = components.mint, Actor(name=user_principal(parties.user))
    grant = _access_grant(components, parties)
    id_grants = _id_grants(grant, parties)
    per_start = 1 + ID_TOKENS_OF_A_RUN

    def start(times: int) -> None:
        for _ in range(times // per_start):
            mint.for_run(grant, id_grants, by)

    return Contestant(RUN, starts * per_start, start)


def _access_grant(components: Components, parties: countersign.Parties) -> AccessGrant:
    account = Account(parties.agent.number, "duo", is_composite=True)
    scope = f"api {user_principal(parties.user)}"
    with components.database.reading_connection() as connection:
        now = components.clock()
        return decide(connection, account, scope, (), issuer=components.settings.issuer, now=now)


def _id_grants(grant: AccessGrant, parties: countersign.Parties) -> list[IdTokenGrant]:
    """As large as a flow's are."""
    return [
        IdTokenGrant(
            name=f"TOKEN_{number}",
            subject="project_path:acme/webapp:flow:fix-ci",
            audience=("https://vault.example.com",),
            life=timedelta(minutes=10),
            claims=dict.fromkeys(FLOW_ID_TOKEN, "acme/webapp"),
            parties=Parties(
                service_account=parties.agent.number,
                user=parties.user,
                delegation=grant.composite.delegation_id if grant.composite else None,
            ),
        )
        for number in range(ID_TOKENS_OF_A_RUN)
    ]

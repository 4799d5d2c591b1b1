"""A run that goes on as long as a test likes: it has begun and has its tokens, and no step is executed."""

from dataclasses import dataclass

from werkzeug.test import TestResponse

from app.flows import configurations, runs
from app.flows.id_tokens import plan
from app.flows.liveness import require_unchanged
from app.flows.models import Run, RunState
from app.flows.run_facts import facts_of, variables_for
from app.flows.start import StartRequest, start
from app.identity import projects
from app.identity.credentials import generate_run_token
from app.secret import Secret
from app.tokens.grants import for_run
from app.tokens.mint import RunTokens
from tests.support.components import OPERATOR, World, parts

VERIFIER = "https://vault.acme.example"
CONFIGURATION = f"""
id_tokens:
  VAULT_ID_TOKEN: {{aud: {VERIFIER}}}
  SHORT_ID_TOKEN: {{aud: "https://$STAGE.acme.example", ttl: 1m}}
variables: {{STAGE: test}}
flows:
  fix-ci: {{script: ["true"], timeout: 6h, access_token: {{scopes: [api]}}}}
"""


@dataclass(frozen=True)
class LivingRun:
    """`token` is its run token, `tokens` what it began with."""

    world: World
    number: int
    token: Secret
    tokens: RunTokens

    def ask(self, name: str = "VAULT_ID_TOKEN", *, token: str | None = None, **of: int) -> TestResponse:
        """`POST …/id_tokens`, with the run token unless another is given; `number=` of another run."""
        path = f"/api/v1/runs/{of.get('number', self.number)}/id_tokens"
        bearer = {"Authorization": f"Bearer {self.token.reveal() if token is None else token}"}
        return self.world.http.post(path, json={"name": name}, headers=bearer)

    def finish(self, state: RunState = RunState.SUCCEEDED, reason: str | None = None) -> None:
        with self.world.components.database.writing() as session:
            row = runs.held_run(session, self.number)
            runs.finish(session, row, state, reason, 0, by=OPERATOR, now=self.world.clock())

    def beat(self) -> None:
        runs.beat(self.world.components.database, self.number, self.world.clock())

    def first(self, name: str = "VAULT_ID_TOKEN") -> dict[str, object]:
        """The claims of the token that it began with."""
        return parts(self.tokens.ids[name].token.reveal())[1]


def configure(world: World, text: str = CONFIGURATION) -> None:
    here = world.components
    configurations.store(here.database, here.clock, world.project, text.encode(), OPERATOR)


def begun(world: World, *, account: str | None = "duo") -> LivingRun:
    """A run for alice, by the project's configuration as it is."""
    here = world.components
    request = StartRequest(
        project=world.project, flow="fix-ci", user="alice", service_account=account, inputs={}, source="test"
    )
    number = start(here.database, here.clock, request, OPERATOR)
    token, sha256 = generate_run_token()
    world.change(runs.begin, number, sha256)
    return LivingRun(world, number, token, minted(world, number))


def living(world: World) -> LivingRun:
    configure(world)
    return begun(world)


def minted(world: World, number: int) -> RunTokens:
    """As its executing process does."""
    here, now = world.components, world.clock()
    with here.database.reading() as session:
        facts = facts_of(session, session.get_one(Run, number), now)
        id_tokens = plan(
            session,
            facts,
            variables_for(session, facts),
            issuer=here.settings.issuer,
            openness=here.settings.audiences,
            default_life=here.settings.id_token_ttl,
        )
        access = for_run(
            session.connection(),
            facts.identity,
            facts.flow.access_token.scopes,
            None,
            issuer=here.settings.issuer,
            project=facts.project.path,
            run_id=number,
        )

    return here.mint.for_run(
        access, id_tokens, OPERATOR, lambda session: require_unchanged(session, facts, now)
    )


def set_variable(world: World, **values: str) -> None:
    world.change(
        lambda session, **by: projects.set_variables(
            session, projects.find_project(session, world.project), values, **by
        )
    )

"""The doors that issue: the token endpoint, and the start of a flow with its run's access token."""

from app.errors import Denied, NotFound
from app.flows.configuration import parse
from app.flows.configurations import newest
from app.flows.models import Run as RunRow
from app.flows.parties import needed_by, parties_of
from app.flows.start import StartRequest, start
from app.tokens.grants import for_run
from tests.properties.reference_model import Run, Token
from tests.properties.tally import Tally
from tests.properties.worlds import Inhabited
from tests.support.components import OPERATOR, basic, parts

LIFE = 600.0  # seconds of an access token, unless its delegation ends before


def token_endpoint(tally: Tally, here: Inhabited) -> None:
    """A token for the resource server and one for our own API, or a refusal of both."""
    model = here.model
    for machine, human, scopes in here.plan.asks:
        possible = model.grants(machine, human, scopes)
        for resource in (tally.api.uri, None):
            words = [*scopes, *([f"user:{here.numbers[human]}"] if human else [])]
            answer = here.world.ask(
                authorization=basic(f"sa_{here.numbers[machine]}", here.secrets[machine].reveal()),
                scope=" ".join(words),
                resource=resource,
            )
            issued, expected = answer.status_code == 200, possible is not None
            tally.check("token endpoint", machine, human, scopes, allowed=issued, expected=expected)
            if possible is not None:
                text = answer.get_json()["access_token"]
                named = int(parts(text)[1].get("delegation_id", 0))
                assert named in possible
                ends = _end(here, named or None)
                is_own = resource is None
                model.tokens.append(Token(text, machine, human, scopes, named or None, ends, is_own))


def start_of_a_flow(tally: Tally, here: Inhabited) -> None:
    asked = (*here.plan.flow_scopes, *(["secret.read"] if here.plan.flow_reads_a_secret else []))
    for machine, human, index in here.plan.starts:
        place = here.project_at(index)
        possible = here.model.starts(machine, human, place, asked)
        number = _start(here, machine, human, here.model.places[place].path)
        begun, expected = number is not None, possible is not None
        tally.check("start of a flow", machine, human, place, allowed=begun, expected=expected)
        if number is not None and possible is not None:
            run, text = _follow(here, number, Run(human, machine, place, 0))
            assert run.delegation in possible
            here.model.runs[number] = run
            scopes, ends = tuple(here.plan.flow_scopes), _end(here, run.delegation)
            token = Token(text, machine, human, scopes, run.delegation, ends, is_own=True, place=place)
            here.model.tokens.append(token)


def _end(here: Inhabited, delegation: int | None) -> float:
    """No token outlives the delegation it lives from."""
    end = here.model.now + LIFE
    return end if delegation is None else min(end, here.model.delegations[delegation].ends)


def _start(here: Inhabited, machine: str, human: str, path: str) -> int | None:
    request = StartRequest(
        project=path,
        flow="fix-ci",
        user=here.named(human),
        service_account=here.named(machine),
        inputs={},
        source="test",
    )
    try:
        return start(here.world.components.database, here.world.clock, request, OPERATOR)
    except (Denied, NotFound):
        return None


def _follow(here: Inhabited, number: int, run: Run) -> tuple[Run, str]:
    """The run with its delegation, and the access token that it is given."""
    components, now = here.world.components, here.world.clock()
    with components.database.reading() as session:
        row = session.get_one(RunRow, number)
        flow = parse(newest(session, row.project).body).flow(row.flow)
        run.delegation = row.delegation_id
        pair, _ = parties_of(
            session,
            row.project,
            row.user_id,
            row.service_account_id,
            needed_by(flow),
            now,
            delegation_id=run.delegation,
        )
        grant = for_run(
            session.connection(),
            pair,
            flow.access_token.scopes,
            None,
            issuer=components.settings.issuer,
            project=row.project.path,
            run_id=number,
        )
    return run, components.mint.for_run(grant, [], OPERATOR).access.token.reveal()

"""The doors that answer: introspection, our API's callers, a run's liveness, the policy, explain, AuthZEN."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle, product
from typing import Any, NamedTuple
from unittest.mock import patch

from click.testing import CliRunner

from app.cli import console
from app.cli.explain import explain
from app.flows.liveness import why_end
from app.identity.facts import group_at, load, project_at
from app.identity.policy import Question, decide
from tests.properties.reference_model import NEEDS
from tests.properties.tally import Tally
from tests.properties.worlds import EVERYBODY, HUMANS, MACHINES, Inhabited
from tests.support.components import basic

EVALUATION, EVALUATIONS = "/access/v1/evaluation", "/access/v1/evaluations"
MOST = 256  # evaluations in one request
NOTHING = {
    "subject": {"type": "user", "id": "1"},
    "action": {"name": "x"},
    "resource": {"type": "project", "id": "x"},
}


def introspection(tally: Tally, here: Inhabited) -> None:
    for token in here.model.tokens:
        if not token.is_own:
            active = tally.api.is_active(token.text)
            tally.check("introspection", token, allowed=active, expected=here.model.lives(token))


def callers(tally: Tally, here: Inhabited) -> None:
    """Our own API knows the caller, or it is 401; by each kind of credential."""

    def call(door: str, authorization: str, *about: Any, expected: bool) -> None:
        status = tally.post(EVALUATION, NOTHING, authorization).status_code
        assert status in {200, 401}
        tally.check(f"caller: {door}", *about, allowed=status == 200, expected=expected)

    foreign = [token for token in here.model.tokens if not token.is_own]
    for token in [*(token for token in here.model.tokens if token.is_own), *foreign[:1]]:
        call("access token", f"Bearer {token.text}", token, expected=here.model.acts(token))
    for who, secret in here.personal.items():
        call("personal access token", f"Bearer {secret.reveal()}", who, expected=here.model.is_on(who))
    for who in MACHINES:
        authorization = basic(f"sa_{here.numbers[who]}", here.secrets[who].reveal())
        is_somebody = here.model.is_on(who) and who in here.model.alone
        call("client secret", authorization, who, expected=is_somebody)


def runs(tally: Tally, here: Inhabited) -> None:
    """Whether what executes a run lets it go on."""
    with here.world.components.database.reading() as session:
        for number, run in here.model.runs.items():
            reason = why_end(session, number, here.world.clock())
            tally.check("a run", run, reason, allowed=reason is None, expected=here.model.goes_on(run))


def policy(tally: Tally, here: Inhabited) -> None:
    now = here.world.clock()
    with here.world.components.database.reading_connection() as connection:
        for (kind, path), human in product(_places(here), HUMANS):
            place = (project_at if kind == "project" else group_at)(connection, path)
            parties = {"user_id": here.numbers[human], "service_account_id": here.numbers["m0"]}
            facts = load(connection, **parties, place=place)
            for permission, scopes in product(here.plan.seen, (None, ("code.read",))):
                allowed = decide(facts, Question(permission, scopes), now).allowed
                may = here.model.pair_may("m0", human, permission, path, scopes)
                tally.check("policy", human, permission, path, scopes, allowed=allowed, expected=may)


def explanation(tally: Tally, here: Inhabited) -> None:
    """`countersign explain --json`, over the same database and clock."""
    permission = next(each for each in here.plan.seen if each in NEEDS)
    who = ["--user", here.named("h0"), "--service-account", here.named("m0"), "--action", permission]
    with patch("app.cli.explain.installation", _installation_of(here)):
        for (_, path), scope in zip(_places(here), cycle(("api", "code.write", "api")), strict=False):
            done = CliRunner().invoke(explain, [*who, "--resource", path, "--scope", scope, "--json"])
            assert done.exit_code == 0, done.output
            may = here.model.pair_may("m0", "h0", permission, path, (scope,))
            told = json.loads(done.stdout)["allowed"]
            tally.check("explain", path, permission, scope, allowed=told, expected=may)


class _Subject(NamedTuple):
    """`may` is the model's answer to a permission and a path."""

    door: str
    who: Any
    body: dict[str, Any]
    may: Callable[[str, str], bool]


def authzen(tally: Tally, here: Inhabited) -> None:
    """Everybody alone, pairs and tokens, about every place; and the law itself, without the model."""
    subjects = [*_alone(here), *_pairs(here), *_tokens(here)]
    asked_of = zip(_places(here), cycle(here.plan.seen), strict=False)
    cells = [(kind, path, action) for (kind, path), action in asked_of]
    questions = list(product(subjects, cells))
    answers = dict(
        zip([(subject.who, cell) for subject, cell in questions], _evaluate(tally, questions), strict=True)
    )
    for subject, cell in questions:
        _, path, action = cell
        allowed, expected = answers[subject.who, cell], subject.may(action, path)
        tally.check(subject.door, subject.who, cell, allowed=allowed, expected=expected)
        if allowed and isinstance(subject.who, tuple):
            assert answers[subject.who[1], cell]


def _alone(here: Inhabited) -> Iterator[_Subject]:
    for who in EVERYBODY:
        kind, number = here.named(who).split(":")
        body = {"type": kind, "id": number}
        yield _Subject(
            "AuthZEN of one", who, body, lambda action, path, who=who: here.model.alone_may(who, action, path)
        )


def _pairs(here: Inhabited) -> Iterator[_Subject]:
    for machine, human in (("m0", "h0"), ("m0", "h1"), ("m0", "m1"), ("m1", "h0")):
        body = {
            "type": "service_account",
            "id": str(here.numbers[machine]),
            "properties": {"on_behalf_of": f"user:{here.numbers[human]}"},
        }
        yield _Subject(
            "AuthZEN of a pair",
            (machine, human),
            body,
            lambda action, path, m=machine, h=human: here.model.pair_may(m, h, action, path),
        )


def _tokens(here: Inhabited) -> Iterator[_Subject]:
    """Every other one: those of both rounds, at half the price."""
    for token in [token for token in here.model.tokens if not token.is_own][::2]:
        yield _Subject(
            "AuthZEN of a token",
            token.text,
            {"type": "access_token", "id": token.text},
            lambda action, path, token=token: here.model.token_may(token, action, path),
        )


def _evaluate(tally: Tally, questions: list[tuple[_Subject, tuple[str, str, str]]]) -> Iterator[bool]:
    asked = [
        {"subject": subject.body, "action": {"name": action}, "resource": {"type": kind, "id": path}}
        for subject, (kind, path, action) in questions
    ]
    for first in range(0, len(asked), MOST):
        answer = tally.post(EVALUATIONS, {"evaluations": asked[first : first + MOST]})
        assert answer.status_code == 200, answer.text
        yield from (each["decision"] for each in answer.get_json()["evaluations"])


def _places(here: Inhabited) -> list[tuple[str, str]]:
    """Kind and path of every project, of the innermost group, and of a place that is no more or never was."""
    projects = [("project", each.path) for each in here.model.places if each.is_project]
    group = next(each.path for each in reversed(here.model.places) if not each.is_project)
    gone = sorted({*here.paths} - {path for _, path in projects}) or [f"{here.root}/never"]
    return [*projects, ("group", group), ("project", gone[0])]


def _installation_of(here: Inhabited) -> Callable[[], Any]:
    @contextmanager
    def installation() -> Iterator[console.Installation]:
        opened = console.Installation(here.world.components.settings)
        opened.components = here.world.components
        yield opened

    return installation

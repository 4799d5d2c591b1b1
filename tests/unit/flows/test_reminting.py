"""A run mints its ID tokens anew for as long as it lives, and not a moment longer."""

import json
import re
import threading
from base64 import b64encode
from dataclasses import replace
from datetime import timedelta
from itertools import count

import pytest
from sqlalchemy import select

from app.flows import reminting, runs, unseen_tokens
from app.flows.kill import kill
from app.flows.models import RunState, TokenToMask
from app.flows.start import StartRequest, start
from app.flows.unseen_tokens import UnseenTokens
from app.identity import delegations, members, projects
from app.identity.cut_offs import CutOffKind
from app.identity.models import User
from app.masking import Masker
from app.tokens import audiences
from app.tokens.audiences import AudienceKind
from app.tokens.mint import Mint
from app.wiring import Components
from tests.support.components import ISSUER, OPERATOR, on_every_database, parts
from tests.support.crash import End, killed_before
from tests.support.leaks import leaks
from tests.support.living_run import VERIFIER, LivingRun, begun, configure, living, set_variable

FRESH = ("iat", "nbf", "exp", "jti")


@pytest.fixture
def run(world) -> LivingRun:
    return living(world)


def refused(answer, status: int = 403) -> str:
    assert answer.status_code == status, answer.text
    assert answer.content_type == "application/problem+json"
    return str(answer.get_json()["detail"])


@on_every_database
def test_a_new_token_says_the_same_and_lives_anew(run, world):
    world.clock.advance(minutes=9)
    answer = run.ask()
    assert answer.status_code == 200, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    body = answer.get_json()
    assert body.keys() == {"name", "token", "expires_at"}
    assert (body["name"], body["expires_at"]) == ("VAULT_ID_TOKEN", "2026-11-22T10:19:00.000000Z")
    first, (header, again) = run.first(), parts(body["token"])
    assert header["typ"] == "JWT"
    assert {name: again[name] for name in again if name not in FRESH} == {
        name: first[name] for name in first if name not in FRESH
    }
    assert again["jti"] != first["jti"]
    assert {again[name] - first[name] for name in ("iat", "nbf", "exp")} == {9 * 60}


def test_it_is_told_in_the_names_of_both(run, world):
    answer = run.ask("SHORT_ID_TOKEN")
    row, claims = world.in_ledger(answer), parts(answer.get_json()["token"])[1]
    assert (row.action, row.outcome) == ("tokens:id_token:issue", "success")
    assert (row.user, row.service_account) == (f"user:{world.alice}", f"service_account:{world.duo}")
    assert (row.actor, row.run, row.jti) == (row.service_account, run.number, claims["jti"])
    assert row.detail["name"] == "SHORT_ID_TOKEN"
    assert claims["exp"] - claims["iat"] == 60


def test_it_goes_on_for_as_long_as_the_run(run, world):
    for _ in range(12):
        world.clock.advance(minutes=10)
        run.beat()
        assert run.ask().status_code == 200
    assert len({token.jti for token in world.tokens()}) == 3 + 12


def test_no_token_outlives_the_delegation(world):
    configure(world)
    world.change(delegations.revoke, world.delegation)
    world.delegate(life=timedelta(minutes=15))
    run = begun(world)
    world.clock.advance(minutes=9)
    assert run.ask().get_json()["expires_at"] == "2026-11-22T10:15:00.000000Z"
    world.clock.advance(minutes=6)
    assert "has expired" in refused(run.ask())


def remove_the_member(world, _, named="user:alice"):
    world.change(
        lambda session, **by: members.remove_member(
            session, members.find_place(session, world.project), named, **by
        )
    )


def change_the_address(world, _):
    def change(session, **_by):
        session.scalars(select(User).where(User.id == world.alice)).one().email = "alice@new.example"

    world.change(change)


ENDINGS = {
    "cancelled": (lambda world, run: world.change(runs.request_cancel, run.number), "cancelled"),
    "run killed": (
        lambda world, run: world.change(kill, CutOffKind.RUN, str(run.number), reason="stop it"),
        "stop it",
    ),
    "user killed": (
        lambda world, _: world.change(kill, CutOffKind.USER, "alice", reason="laptop stolen"),
        "laptop stolen",
    ),
    "delegation killed": (
        lambda world, _: world.change(kill, CutOffKind.DELEGATION, str(world.delegation), reason="enough"),
        "enough",
    ),
    "user disabled": (lambda world, _: world.set_active("alice", active=False), "alice is disabled"),
    "account disabled": (lambda world, _: world.set_active("duo", active=False), "duo is disabled"),
    "delegation revoked": (
        lambda world, _: world.change(delegations.revoke, world.delegation),
        "was revoked",
    ),
    "out of time": (lambda world, _: world.clock.advance(hours=6), "the time limit was reached"),
    "human no member": (remove_the_member, "alice is no member"),
    "account no member": (
        lambda world, run: remove_the_member(world, run, "service_account:duo"),
        "duo is no member",
    ),
    "human a guest": (
        lambda world, _: world.change(
            lambda session, **by: members.add_member(
                session, members.find_place(session, world.project), "user:alice", "guest", **by
            )
        ),
        "alice is guest",
    ),
    "project deleted": (
        lambda world, _: world.change(
            lambda session, **by: projects.delete_project(
                session, projects.find_project(session, world.project), **by
            )
        ),
        "there is no such project",
    ),
}


@on_every_database
@pytest.mark.parametrize(("end", "why"), ENDINGS.values(), ids=ENDINGS)
def test_it_ends_with_whatever_the_run_lives_from(world, run, end, why):
    assert run.ask().status_code == 200
    end(world, run)
    minted = [token.jti for token in world.tokens()]
    answer = run.ask()
    assert why in refused(answer)
    assert [token.jti for token in world.tokens()] == minted
    row = world.in_ledger(answer)
    assert (row.action, row.outcome, row.run) == ("api:operation:call", "denied", run.number)
    assert (row.user, row.service_account) == (f"user:{world.alice}", f"service_account:{world.duo}")
    assert row.detail["operation"] == "remint_id_token"


@pytest.mark.parametrize("state", [RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED])
def test_the_run_token_is_nobodys_once_the_run_has_ended(run, world, state):
    run.finish(state)
    answer = run.ask()
    refused(answer, 401)
    assert world.in_ledger(answer).action == "identity:client:authenticate"


def test_an_abandoned_run_mints_no_more(run, world):
    world.clock.advance(minutes=5)
    assert runs.fail_abandoned(world.components.database, world.clock()) == 1
    refused(run.ask(), 401)


@pytest.mark.parametrize("end", [each for each, _ in ENDINGS.values()], ids=ENDINGS)
def test_what_ends_it_between_decision_and_commit_wins(world, run, end, monkeypatch):
    """As on another node: the decision was made, the signature is there, and then it ends."""
    issue = world.components.mint.id_token

    def later(*arguments):
        end(world, run)
        return issue(*arguments)

    monkeypatch.setattr(type(world.components.mint), "id_token", lambda _, *arguments: later(*arguments))
    before = [token.jti for token in world.tokens()]
    refused(run.ask())
    assert [token.jti for token in world.tokens()] == before
    assert to_mask(world) == []


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
@pytest.mark.parametrize("end", ["cancelled", "run killed", "human no member", "project deleted"])
@pytest.mark.usefixtures("unhurried")
def test_whoever_ends_it_waits_for_a_token_that_is_being_written(world, run, end, monkeypatch):
    """SQLite has one writer at a time, which waits anyway."""
    other = threading.Thread(target=ENDINGS[end][0], args=(world, run))
    waited = []
    leave = reminting.unseen_tokens.leave

    def leave_late(*arguments):
        other.start()
        other.join(0.3)
        waited.append(other.is_alive())
        leave(*arguments)

    monkeypatch.setattr(reminting.unseen_tokens, "leave", leave_late)
    assert run.ask().status_code == 200
    other.join(30)
    assert waited == [True]
    refused(run.ask())


def test_only_what_the_flow_declares(run, world):
    answer = run.ask("AWS_ID_TOKEN")
    declared = "is no ID token of the flow, which declares SHORT_ID_TOKEN, VAULT_ID_TOKEN"
    assert refused(answer, 422) == f"name: AWS_ID_TOKEN {declared}"
    assert [fault["key"] for fault in answer.get_json()["errors"]] == ["name"]
    for body in (
        {},
        {"name": 1},
        {"name": "VAULT_ID_TOKEN", "aud": "x"},
        {"name": "VAULT_ID_TOKEN", "ttl": 1},
    ):
        path, bearer = (
            f"/api/v1/runs/{run.number}/id_tokens",
            {"Authorization": f"Bearer {run.token.reveal()}"},
        )
        refused(world.http.post(path, json=body, headers=bearer), 422)


def test_the_configuration_is_the_one_that_the_run_was_started_with(run, world):
    configure(world, "flows: {fix-ci: {script: [other]}}")
    assert run.ask().status_code == 200


def test_a_variable_that_changed_meanwhile_changes_no_audience(run, world):
    set_variable(world, STAGE="production")
    assert "audience is not the one that this run began with" in refused(run.ask("SHORT_ID_TOKEN"))
    assert run.ask("VAULT_ID_TOKEN").status_code == 200


def test_an_audience_that_was_reserved_meanwhile_is_refused(run, world):
    world.change(audiences.register, ISSUER, VERIFIER, AudienceKind.API, "RS256", [])
    assert "the audience" in refused(run.ask())


def test_a_registered_audience_that_was_removed_meanwhile_is_refused(run, world):
    only_registered = replace(world.components.reminting, openness="registered")
    vars(world.components)["reminting"] = only_registered
    world.change(audiences.register, ISSUER, VERIFIER, AudienceKind.VERIFIER, "RS256", [])
    assert run.ask().status_code == 200
    world.change(lambda session, **by: audiences.remove(session, VERIFIER, **by))
    assert "the audience" in refused(run.ask())


def test_another_runs_token_is_told_that_there_is_nothing(run, world):
    other = begun(world)
    for number in (run.number, 999):
        refused(other.ask(number=number), 404)
    assert other.ask().status_code == 200


@pytest.mark.parametrize("text", ["csrun_", "csrun_" + "A" * 43, "", "csrun_é"])
def test_what_is_no_run_token_is_nobodys(run, text):
    refused(run.ask(token=text), 401)


def test_the_runs_access_token_is_no_run_token(run):
    said = refused(run.ask(token=run.tokens.access.token.reveal()))
    assert said == "This is for a run itself, by its run token."
    refused(run.ask(token=run.tokens.ids["VAULT_ID_TOKEN"].token.reveal()), 401)


def test_a_run_that_asks_too_often_is_told_when_to_ask_again(run, world, monkeypatch):
    monkeypatch.setattr(reminting, "BURST", 2)  # beside the two that it began with
    assert [run.ask().status_code for _ in range(3)] == [200, 200, 429]
    answer = run.ask()
    assert answer.headers["Retry-After"] == "90"
    world.clock.advance(seconds=90)
    assert [run.ask().status_code for _ in range(2)] == [200, 429]


def test_nothing_is_signed_for_a_run_that_asks_too_often(run, monkeypatch):
    monkeypatch.setattr(reminting, "BURST", 0)
    monkeypatch.setattr(Mint, "id_token", pytest.fail)
    assert run.ask().status_code == 429


def test_what_is_long_expired_the_masker_forgets(run, world):
    """It needs megabytes for each: a day's run would have thousands."""
    masker = Masker()
    unseen = UnseenTokens(world.components.database, world.clock, run.number, run.token, masker)
    held = 0
    for _ in range(3):
        for _ in range(10):
            assert run.ask("SHORT_ID_TOKEN").status_code == 200
        unseen.learn()
        held = max(held, int(re.findall(r"\d+", repr(masker))[0]))
        world.clock.advance(minutes=15)
        run.beat()
    last = run.ask().get_json()["token"]
    unseen.learn()
    assert held == 10
    assert repr(masker) == "Masker(1 values)"
    assert leaks(last, masker.mask(last).encode(), public=(last.partition(".")[0],)) == set()


ADMINISTRATION = {
    "run.cancel": ("POST", "/runs/1/cancel", None),
    "configuration.write": ("PUT", "/projects/acme/webapp/variables/AUD", {"value": "x"}),
    "project.admin": ("DELETE", "/projects/acme/webapp", None),
    "member.manage": ("PUT", "/projects/acme/webapp/members/user:alice", {"role": "owner"}),
}


@pytest.mark.parametrize("permission", ADMINISTRATION)
def test_a_runs_access_token_administers_nothing(world, permission):
    """Its parties are owners, and its scope is `api`; what it changed would outlive it."""
    for named in ("user:alice", "service_account:duo"):
        world.change(
            lambda session, named=named, **by: members.add_member(
                session, members.find_place(session, world.project), named, "owner", **by
            )
        )
    bearer = {"Authorization": f"Bearer {living(world).tokens.access.token.reveal()}"}
    assert world.http.get("/api/v1/projects/acme/webapp", headers=bearer).status_code == 200
    method, path, body = ADMINISTRATION[permission]
    sent = {} if body is None else {"json": body}
    answer = world.http.open("/api/v1" + path, method=method, headers=bearer, **sent)
    assert refused(answer) == f"no token of a run has {permission}"


def test_the_worker_that_is_told_to_stop_ends_the_tokens_before_the_steps(world, monkeypatch):
    """A step may take its time to end."""
    script = "trap 'echo told; exit 1' TERM; echo ready; while :; do sleep 0.1; done"
    text = json.dumps({"id_tokens": {"T": {"aud": VERIFIER}}, "flows": {"fix-ci": {"script": [script]}}})
    configure(world, text)
    here, said, asked = world.components, bytearray(), []
    request = StartRequest(
        project=world.project, flow="fix-ci", user="alice", service_account="duo", inputs={}, source="test"
    )
    number = start(here.database, here.clock, request, OPERATOR)
    node = here.executions
    monkeypatch.setattr(node.executor, "_grace", timedelta(minutes=1))
    begun_run = node.queue.begin(number, OPERATOR)

    def output(chunk):
        said.extend(chunk)
        run = LivingRun(world, number, begun_run.token, None)
        if b"told" in said and not asked:
            asked.append(run.ask("T").status_code)

    stopped = lambda: "the server was stopped" if b"ready" in said else None  # noqa: E731
    assert node.carry_out(begun_run, output, OPERATOR, stopped) is RunState.CANCELLED
    assert asked == [403]


def test_what_is_kept_for_the_masker_shows_nothing_and_goes_with_the_run(run, world):
    token = run.ask().get_json()["token"]
    [row] = to_mask(world)
    assert row.run_id == run.number
    assert token.encode() not in row.sealed
    run.finish()
    assert to_mask(world) == []


def test_a_human_alone_mints_in_their_own_name(world):
    world.change(
        lambda session, **by: projects.set_workload(
            session, projects.find_project(session, world.project), "user", **by
        )
    )
    configure(
        world, f"id_tokens: {{VAULT_ID_TOKEN: {{aud: {VERIFIER}}}}}\nflows: {{fix-ci: {{script: [x]}}}}\n"
    )
    answer = begun(world, account=None).ask()
    claims = parts(answer.get_json()["token"])[1]
    assert claims["user_login"] == "alice"
    assert not {"act", "service_account"} & claims.keys()
    assert world.in_ledger(answer).actor == f"user:{world.alice}"


@pytest.mark.slow
def test_a_crash_leaves_a_token_with_its_rows_or_nothing(run, world):
    """`kill -9` before the first statement, the second, …, until it gets through."""
    here = world.components

    def mint():
        node = Components(here.settings, world.clock)
        node.keyring._snapshot = here.keyring.current()
        node.reminting.remint(run.number, "VAULT_ID_TOKEN", run.token, OPERATOR)

    for step in count(1):
        here.database.dispose()
        end = killed_before(step, mint)
        tokens = [token.jti for token in world.tokens() if token.kind == "id"]
        told = [row.jti for row in world.events("tokens:id_token:issue")]
        assert sorted(tokens) == sorted(told)
        assert len(to_mask(world)) == len(tokens) - 2
        if end is End.DONE:
            break
    assert step > 10
    assert len(tokens) in {3, 4}  # the commit before the last step may have been durable


def test_the_executing_process_learns_them_wherever_they_were_minted(run, world):
    masker = Masker()
    unseen = UnseenTokens(world.components.database, world.clock, run.number, run.token, masker)
    first = run.ask().get_json()["token"]
    unseen.learn()
    second = run.ask("SHORT_ID_TOKEN").get_json()["token"]
    unseen.learn()
    for token in (first, second):
        text, header = b64encode(token.encode()).decode(), token.partition(".")[0]
        masked = masker.mask(f"{text[:40]}\n{text[40:]}")
        assert leaks(token, masked.encode(), public=(header,)) == set()
    assert repr(masker) == "Masker(2 values)"


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_it_learns_one_whose_transaction_began_first_and_ended_last(run, world):
    """SQLite has one writer at a time."""
    database, masker = world.components.database, Masker()
    unseen = UnseenTokens(database, world.clock, run.number, run.token, masker)
    slow, quick = (each.token for each in run.tokens.ids.values())
    with database.writing() as session:
        unseen_tokens.leave(session, run.number, run.token, slow)
        with database.writing() as other:
            unseen_tokens.leave(other, run.number, run.token, quick)
        unseen.learn()
        assert repr(masker) == "Masker(1 values)"
    for _ in range(2):
        unseen.learn()
        assert repr(masker) == "Masker(2 values)"


def to_mask(world) -> list[TokenToMask]:
    with world.components.database.reading() as session:
        return list(session.scalars(select(TokenToMask)))

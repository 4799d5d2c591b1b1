"""The first page: what happened, what needs somebody, and who may act for me, for each role."""

from datetime import timedelta

import pytest

from app.identity import accounts
from app.ledger.actions import AuditAction, Outcome
from app.ledger.record import record
from tests.support.components import OPERATOR
from tests.support.console_client import text_of

MARKUP = "<script>alert(1)</script>"


def become(world, role):
    """Alice, who is a member until then."""
    with world.components.database.writing() as session:
        alice = accounts.find_user(session, "alice")
        alice.is_admin, alice.is_auditor = role == "administrator", role == "auditor"


def tell(world, action, **fields):
    event = OPERATOR.tells(action, world.clock(), **fields)
    with world.components.database.writing_connection() as connection:
        record(connection, event)


def rows(answer):
    """The plot's table, without its times."""
    body = answer.text.partition("plot-table")[2].partition("<tbody>")[2].partition("</tbody>")[0]
    cells = (row.split('<td class="number">')[1:] for row in body.split("<tr>")[1:])
    return [[int(cell.partition("<")[0]) for cell in row] for row in cells]


@pytest.mark.parametrize("role", ["administrator", "auditor", "member"])
def test_every_role_sees_who_may_act_for_them_and_one_click_to_it(world, visit, role):
    become(world, role)
    answer = visit("alice").get("/")
    assert answer.status_code == 200
    assert '<a href="/console/who-may-act-for-me">may act for me</a></dt><dd>1</dd>' in answer.text
    assert ("service accounts" in text_of(answer).partition("Needs attention")[0].partition("runs")[2]) is (
        role != "member"
    )


@pytest.mark.parametrize(("hours", "shown"), [("", 24), ("48", 48), ("4711", 24), (MARKUP, 24)])
def test_tokens_are_counted_by_the_hour(world, visit, hours, shown):
    become(world, "administrator")
    world.clock.advance(hours=-2)
    assert world.ask(scope=world.scope).status_code == 200
    world.clock.advance(hours=2)
    assert world.ask(scope=world.scope).status_code == 200
    assert world.ask(scope="user:4711").status_code == 400
    counted = rows(visit("alice").get(f"/?hours={hours}"))
    assert len(counted) == shown
    assert (counted[-3], counted[-2], counted[-1]) == ([1, 0, 0], [0, 0, 0], [1, 1, 0])


def test_a_member_sees_what_is_theirs_alone(world, visit):
    assert world.ask(scope=world.scope).status_code == 200
    bob = world.new_user("bob")
    tell(world, AuditAction.OPERATION_CALL, outcome=Outcome.DENIED, user=f"user:{bob}", detail={"cause": "x"})
    assert rows(visit("alice").get("/"))[-1] == [1, 0, 0]
    assert rows(visit("bob").get("/"))[-1] == [0, 1, 0]


NEEDS = {
    "a secret that expires": (lambda world: world.new_secret(life=timedelta(days=3)), "of duo expires"),
    "a secret that nobody uses": (lambda world: world.clock.advance(days=8), "never used"),
    "a delegation that ends": (
        lambda world: world.delegate(life=timedelta(days=2)),
        "duo acts for alice ends",
    ),
    "a key that is overdue": (lambda world: world.clock.advance(days=200), "due for rotation"),
    "a ledger that nobody signs": (lambda world: world.clock.advance(minutes=4), "waits for its checkpoint"),
}


@pytest.mark.parametrize("need", NEEDS)
def test_what_needs_attention_is_said_with_the_way_to_its_cure(world, visit, need):
    become(world, "administrator")
    if need != "a ledger that nobody signs":
        world.components.checkpoints.make()
    arises, said = NEEDS[need]
    before = text_of(visit("alice").get("/"))
    arises(world)
    after = visit("alice").get("/")
    assert said not in before
    assert said in text_of(after)
    assert 'class="btn btn-sm" href="/console/' in after.text.partition(said)[2].partition("</li>")[0]


def test_of_many_the_first_five_are_told_and_the_number_of_the_others(world, visit):
    become(world, "auditor")
    for _ in range(8):
        world.new_secret(life=timedelta(days=3))
    said = text_of(visit("alice").get("/"))
    assert said.count("of duo expires") == 5
    assert "and 3 more client secrets that expire soon" in said


def test_a_run_that_failed_is_a_members_own(world, visit):
    world.new_user("bob")
    failed = {"state": "failed", "reason": MARKUP, "exit_code": 3}
    tell(
        world,
        AuditAction.RUN_FINISH,
        outcome=Outcome.FAILED,
        user=f"user:{world.alice}",
        project=world.project,
        run=7,
        detail=failed,
    )
    shown = visit("alice").get("/").text
    assert 'href="/console/runs/7"' in shown
    assert MARKUP not in shown
    assert "&lt;script&gt;" in shown
    assert 'href="/console/runs/7"' not in visit("bob").get("/").text


def test_when_all_is_well_it_says_so(world, visit):
    become(world, "administrator")
    world.components.checkpoints.make()
    assert "Keys sign and are fresh" in text_of(visit("alice").get("/"))


def test_a_key_of_a_new_algorithm_signs_from_a_moment_ahead(world, visit):
    become(world, "administrator")
    alice = visit("alice")
    new = {"uri": "https://api.acme.example", "kind": "api", "alg": "ES256", "rendering": "composite"}
    assert alice.post("/audiences/new", new).status_code == 303
    told = text_of(alice.get("/")).partition("Signing keys retired")[0]
    assert told.count("signs from 2026-11-2") == 1
    assert told.count("signs since") == 1
    assert "Signs from 2026-11-2" in text_of(alice.get("/keys"))


def test_an_empty_plot_has_a_sentence_an_action_and_a_command(world, visit):
    world.new_user("bob")
    shown = text_of(visit("bob").get("/"))
    assert "No token was issued in these hours." in shown
    assert "Nothing was denied." in shown
    assert "countersign audit list --outcome denied" in shown

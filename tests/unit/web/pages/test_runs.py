"""Runs as the console shows them."""

import pytest
from sqlalchemy import insert, update

from app.flows import runs
from app.flows.models import LogChunk, Run, RunState
from app.identity import accounts
from tests.support import living_run
from tests.support.console_client import text_of
from tests.unit.endpoints.api.scenes import give, new_run

MARKUP = "<script>alert(1)</script>"


@pytest.fixture
def run(world):
    return new_run(world)


def write(world, run, content):
    with world.components.database.writing() as session:
        session.execute(insert(LogChunk).values(run_id=run, offset=0, content=content))


def end(world, run, state=RunState.SUCCEEDED, reason=None):
    def finish(session, *, by, now):
        runs.finish(session, runs.held_run(session, run), state, reason, 0, by=by, now=now)

    world.change(finish)


def administrator(world):
    world.change(accounts.create_user, "root", "root@example.com", is_admin=True)
    return "root"


def test_nothing_has_run_yet(visit):
    page = visit("alice").get("/runs")
    assert "Nothing has run yet" in page.text
    assert "countersign flow start" in page.text


def test_runs_of_all_projects_are_listed_to_whoever_may_read_them(visit, world, run):
    world.new_user("bob")
    assert f'href="/console/runs/{run}"' in visit("alice").get("/runs").text
    assert f'href="/console/runs/{run}"' not in visit("bob").get("/runs").text
    give(world, "reporter", "user:bob")
    assert f'href="/console/runs/{run}"' in visit("bob").get("/runs").text


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("state=pending", True),
        ("state=failed", False),
        ("flow=fix-ci", True),
        ("flow=other", False),
        ("user=alice", True),
        ("user=bob", False),
    ],
)
@pytest.mark.parametrize("where", ["/runs", "/projects/acme/webapp/-/runs"])
def test_runs_are_filtered(visit, run, where, query, shown):
    page = visit("alice").get(f"{where}?{query}")
    assert (f'href="/console/runs/{run}"' in page.text) is shown
    assert ("No run is like that" in page.text) is not shown


def test_a_filter_that_is_none_is_said_at_its_field(visit, run):
    page = visit("alice").get("/runs?user=NOT%20A%20LOGIN")
    assert page.status_code == 200
    assert 'id="field-user-error"' in page.text


def test_a_run_names_both_parties_its_state_and_why(visit, world, run):
    end(world, run, RunState.FAILED, f"step 1 said {MARKUP}")
    page = visit("alice").get(f"/runs/{run}")
    assert "duo for alice" in text_of(page)
    assert "failed" in text_of(page)
    assert MARKUP not in page.text
    assert "step 1 said &lt;script&gt;" in page.text


def test_a_run_leads_to_whoever_is_in_it_and_to_what_the_ledger_says(visit, world, run):
    alice = visit("alice")
    page = alice.get(f"/runs/{run}").text
    for path in (
        "/users/alice",
        "/service-accounts/duo",
        "/delegations?user=alice&amp;service_account=duo&amp;state=",
        "/projects/acme/webapp",
        f"/audit?run={run}",
    ):
        assert f'href="/console{path}"' in page
        assert alice.get(path.replace("&amp;", "&")).status_code == 200, path
    world.new_user("bob")
    give(world, "reporter", "user:bob")
    assert 'href="/console/users/alice"' not in visit("bob").get(f"/runs/{run}").text


def test_what_it_was_given_is_told_by_name_and_never_by_value(visit, world):
    living_run.configure(world)
    living = living_run.begun(world)
    page = visit("alice").get(f"/runs/{living.number}")
    assert "VAULT_ID_TOKEN" in page.text
    assert living_run.VERIFIER in page.text
    for token in (living.token, *(each.token for each in living.tokens.ids.values())):
        assert token.reveal() not in page.text


def test_a_log_is_text_and_its_colours_are_classes(visit, world, run):
    write(world, run, f"one \x1b[31m{MARKUP}\x1b[0m\n".encode())
    page = visit("alice").get(f"/runs/{run}")
    assert MARKUP not in page.text
    assert '<span class="said-red">&lt;script&gt;alert(1)&lt;/script&gt;</span>' in page.text


def test_a_long_log_shows_its_end_first_and_what_was_before_on_demand(visit, world, run):
    lines = [f"line {number} of the log\n" for number in range(20_000)]
    write(world, run, "".join(lines).encode())
    end(world, run)
    page = visit("alice").get(f"/runs/{run}")
    assert "line 19999 of" in page.text
    assert "line 0 of" not in page.text
    assert 'hx-trigger="every 1s"' not in page.text  # it is over: nothing is asked for again
    before = page.text.split("/log/before?offset=")[1].split('"')[0]
    older = visit("alice").get(f"/runs/{run}/log/before?offset={before}")
    assert "".join(lines).encode()[: int(before)].endswith(b"\n")
    assert older.text.rstrip().endswith("</span>")
    assert "<html" not in older.text


def test_a_log_that_goes_on_is_asked_for_from_where_it_ended(visit, world, run):
    write(world, run, b"one\ntwo\n")
    page = visit("alice").get(f"/runs/{run}")
    assert f"/console/runs/{run}/log?offset=8&amp;" in page.text
    assert 'hx-trigger="every 1s"' in page.text
    assert "one\ntwo" in page.text
    piece = visit("alice").get(f"/runs/{run}/log?offset=4&follows=1")
    assert "two" in piece.text
    assert "one\n" not in piece.text  # three letters a nonce may have
    end(world, run)
    assert "every 1s" not in visit("alice").get(f"/runs/{run}/log?offset=8&follows=1").text


def test_a_log_is_searched_and_kept(visit, world, run):
    write(world, run, f"first\nan \x1b[31mError\x1b[0m {MARKUP}\n".encode())
    found = visit("alice").get(f"/runs/{run}/log/search?text=error")
    assert "an Error &lt;script&gt;" in found.text
    assert f"/console/runs/{run}?at=6#log-panel" in found.text
    assert "No line has this text" in visit("alice").get(f"/runs/{run}/log/search?text=nowhere").text
    raw = visit("alice").get(f"/runs/{run}/log/raw")
    assert raw.data.startswith(b"first\n")
    assert raw.headers["Content-Disposition"] == f"attachment; filename=run-{run}.log"
    assert raw.mimetype == "text/plain"


def test_a_log_that_was_removed_is_said_to_be(visit, world, run):
    end(world, run)
    with world.components.database.writing() as session:
        session.execute(update(Run).where(Run.id == run).values(log_removed_at=world.clock()))
    page = visit("alice").get(f"/runs/{run}")
    assert page.status_code == 200
    assert "not kept any more" in page.text


@pytest.mark.parametrize(
    ("role", "may_read", "may_cancel"),
    [("guest", False, False), ("reporter", True, False), ("developer", True, True), ("owner", True, True)],
)
def test_what_a_member_may_do_is_what_is_offered(visit, world, run, role, may_read, may_cancel):
    world.new_user("bob")
    give(world, role, "user:bob")
    page = visit("bob").get(f"/runs/{run}")
    assert page.status_code == (200 if may_read else 403)
    assert (f'action="/console/runs/{run}/cancel"' in page.text) is may_cancel
    done = visit("bob").post(f"/runs/{run}/cancel")
    told = world.events("flows:run:cancel")
    assert done.status_code == 303
    assert len(told) == may_cancel


def test_an_administrator_may_do_all_of_it(visit, world, run):
    page = visit(administrator(world)).get(f"/runs/{run}")
    assert "/cancel" in page.text
    assert "/kill" in page.text


def test_others_learn_nothing(visit, world, run):
    world.new_user("bob")
    for path in ("", "/state", "/log", "/log/before", "/log/search?text=x", "/log/raw", "/kill"):
        assert visit("bob").get(f"/runs/{run}{path}").status_code == 404


def test_a_run_is_retried_once_by_its_human(visit, world, run):
    alice = visit("alice")
    assert "/retry" not in alice.get(f"/runs/{run}").text
    end(world, run, RunState.FAILED, "it failed")
    assert f"/console/runs/{run}/retry" in alice.get(f"/runs/{run}").text
    first = alice.post(f"/runs/{run}/retry", {"once": "a-key"})
    again = alice.post(f"/runs/{run}/retry", {"once": "a-key"})
    assert first.location == again.location != f"/console/runs/{run}"
    assert f"run {run}</a>" in alice.get(first.location.removeprefix("/console")).text


def test_a_kill_says_what_dies_and_asks_for_a_recent_sign_in(visit, world):
    living_run.configure(world)
    living = living_run.begun(world)
    alice = visit("alice")
    form = alice.get(f"/runs/{living.number}/kill")
    assert "It cannot be undone. Verifiers that check offline accept what is out until" in text_of(form)
    assert living_run.VERIFIER in form.text
    refused = alice.post(f"/runs/{living.number}/kill", {"reason": ""})
    assert refused.status_code == 422
    assert 'id="field-reason-error"' in refused.text
    world.clock.advance(minutes=11)
    where = f"/console/runs/{living.number}/kill"
    late = alice.post(f"/runs/{living.number}/kill", {"reason": "gone wrong", "next": where})
    assert late.location.startswith("/console/sign-in?")
    assert "again=1" in late.location


def test_a_kill_tells_what_died(visit, world):
    living_run.configure(world)
    living = living_run.begun(world)
    alice = visit("alice")
    done = alice.post(f"/runs/{living.number}/kill", {"reason": MARKUP})
    assert (done.status_code, done.location) == (303, f"/console/runs/{living.number}")
    after = alice.get(f"/runs/{living.number}")
    assert "Killed: " in text_of(after)
    assert "1 run" in text_of(after)
    assert MARKUP not in after.text
    assert "cancel" in visit("alice").get(f"/runs/{living.number}").text


def test_the_command_and_the_request_list_what_the_page_lists(visit, run):
    said = text_of(visit("alice").get("/runs?state=pending&flow=fix-ci&user=alice"))
    assert "countersign run list --state pending --flow fix-ci --user alice" in said
    assert "/api/v1/runs?state=pending&amp;flow=fix-ci&amp;user=alice" in said

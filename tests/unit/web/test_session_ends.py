"""A session lasts as long as it may and no longer, and what is dangerous asks for a fresh one."""

import pytest

from app.flows.kill import kill
from app.identity import accounts, sessions
from app.identity.cut_offs import CutOffKind
from app.operations.resources import operations
from app.web.step_up import NEEDS_RECENT_SIGN_IN, SignInAgain
from app.web.visit import Visit

IDLE, LIFE = "session_idle", "session_life"


@pytest.fixture
def alice(visit):
    return visit("alice")


def limit(world, name):
    return getattr(world.components.settings, name).total_seconds()


def is_in(visitor):
    answer = visitor.get("/mine")
    assert answer.status_code in {200, 303}
    return answer.status_code == 200


def test_it_ends_when_it_is_not_used(world, alice):
    world.clock.advance(seconds=limit(world, IDLE) - 1)
    assert is_in(alice)
    world.clock.advance(seconds=limit(world, IDLE) + 1)
    assert not is_in(alice)


def test_a_page_that_asks_by_itself_keeps_no_session_alive(world, alice):
    step = limit(world, IDLE) / 2
    asked = ("/runs/1/state", "/runs/1/log?follows=1", "/keys/conditions", "/who-may-act-for-me/runs")
    for path in asked:
        world.clock.advance(seconds=step / len(asked) + 1)
        assert alice.get(path).status_code in {200, 403, 404}
    world.clock.advance(seconds=step)
    assert not is_in(alice)


def test_it_ends_however_busy_it_is(world, alice):
    step, life = limit(world, IDLE) / 2, limit(world, LIFE)
    for _ in range(int(life / step) - 1):
        world.clock.advance(seconds=step)
        assert is_in(alice)
    world.clock.advance(seconds=step + 1)
    assert not is_in(alice)


def test_a_clock_that_is_set_back_brings_nothing_back(world, alice, visit):
    other = visit("alice")
    other.post("/sign-out")
    world.clock.advance(minutes=-30)
    assert not is_in(other)
    assert is_in(alice)


@pytest.mark.parametrize("by", ["kill", "disable"])
def test_a_human_who_ends_is_out_with_the_next_request(world, alice, visit, by):
    other = visit("alice")
    assert is_in(alice)
    if by == "kill":
        world.change(lambda s, **now: kill(s, CutOffKind.USER, "alice", reason="laptop stolen", **now))
    else:
        world.set_active("alice", active=False)
    assert not is_in(alice)
    assert alice.post("/mine/tokens", {"scopes": "api"}).location.startswith("/console/sign-in")
    world.set_active("alice", active=True)
    assert not is_in(alice)
    assert not is_in(other)


def test_a_role_that_is_taken_away_is_gone_with_the_next_request(world, visit):
    world.change(accounts.create_user, "root", "root@example.com", is_admin=True)
    root = visit("root")
    assert root.get("/users").status_code == 200
    world.change(
        lambda s, **by: accounts.change_user(
            s, accounts.find_user(s, "root"), email="root@example.com", is_admin=False, is_auditor=False, **by
        )
    )
    assert root.get("/users").status_code == 403


@pytest.fixture
def stale(world, alice):
    """Alice's visit, eleven minutes after her sign-in."""
    world.clock.advance(minutes=11)
    parts = world.components
    with parts.database.reading_connection() as connection:
        holder = sessions.authenticate(connection, alice.secret, parts.clock(), parts.session_limits)
    return Visit(parts, holder, alice.secret, "0123456789abcdef")


def test_every_dangerous_operation_asks_for_a_sign_in_before_anything_else(stale):
    by_id = {each.id: each for each in operations().values()}
    assert by_id.keys() >= NEEDS_RECENT_SIGN_IN
    for each in sorted(NEEDS_RECENT_SIGN_IN):
        with pytest.raises(SignInAgain):
            stale.ask(by_id[each].handler)


def test_whatever_ends_or_gives_trust_is_among_them():
    dangerous = {
        "rotate_keys",
        "revoke_key",
        "put_user",
        "set_password",
        "issue_sign_in_link",
        "create_token",
    }
    outlives = {"grant_delegation", "put_service_account", "put_service_account_active", "put_project_member"}
    outlives |= {"put_group_member", "put_source", "put_configuration", "delete_project"}
    dangerous |= outlives | {"create_secret", "kill_everything_of", "put_audience"}
    assert dangerous <= NEEDS_RECENT_SIGN_IN
    assert not {"revoke_delegation", "revoke_token", "revoke_secret", "end_session"} & NEEDS_RECENT_SIGN_IN


def test_no_page_is_kept_by_a_browser_or_shown_in_a_frame(visit, alice):
    for page in (alice.get("/mine"), alice.get("/inspector"), visit(None).get("/sign-in"), alice.get("/x")):
        assert page.headers["Cache-Control"] == "no-store"
        policy = page.headers["Content-Security-Policy"]
        for directive in (
            "default-src 'none'",
            "frame-ancestors 'none'",
            "form-action 'self'",
            "base-uri 'none'",
        ):
            assert directive in policy
        assert "require-trusted-types-for 'script'" in policy
        assert "unsafe" not in policy
        assert page.headers["Referrer-Policy"] == "same-origin"
        assert page.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        assert alice.secret.reveal() not in page.text

"""The key screen: what each role reads and does, what is refused, and that every name shows as text."""

import re

import pytest

from app.identity import accounts
from app.signing.algorithms import Algorithm
from tests.support.components import OPERATOR
from tests.support.console_client import text_of
from tests.unit.signing.keysets import key

MARKUP = "<script>alert(1)</script>"


@pytest.fixture
def people(world):
    """Alice, whom nobody made anything; root administers, carol audits."""
    world.change(accounts.create_user, "root", "root@example.com", is_admin=True)
    return world


def kid(world, state):
    return key(world.components, state).kid


def told(world):
    return world.events()[0]


def rotate(visitor, world, **more):
    seen = {"alg": "RS256", "expected": kid(world, "active")}
    return visitor.post("/keys/rotate", seen | more)


def test_it_says_what_signs_what_is_next_and_what_a_revocation_breaks(people, visit):
    people.ask(scope=people.scope)
    shown = visit("root").get("/keys")
    assert shown.status_code == 200
    for stage in ("Next", "Active", "Retired", "Removed"):
        assert f"<h2>{stage}</h2>" in shown.text
    said = text_of(shown)
    assert "Revoking it breaks 1 live token for 1 audience; the last expires" in said
    assert all(kid(people, state) in shown.text for state in ("next", "active"))


def test_a_member_reads_the_keys_and_no_more(people, visit):
    member = visit("alice")
    shown = member.get("/keys")
    assert kid(people, "active") in shown.text
    for unseen in ("Revoke", "Rotate", "Who has fetched", "Ready to sign", "Add an algorithm"):
        assert unseen not in text_of(shown)
    assert member.get("/keys/conditions").status_code == 403
    assert member.get(f"/keys/{kid(people, 'active')}/revoke").status_code == 403


@pytest.mark.parametrize("action", ["rotate", "revoke"])
def test_a_member_changes_nothing(people, visit, action):
    active = kid(people, "active")
    if action == "rotate":
        answer = rotate(visit("alice"), people)
    else:
        form = {"confirmation": active, "reason": "x", "expected": "active"}
        answer = visit("alice").post(f"/keys/{active}/revoke", form)
    assert answer.status_code == 403
    assert kid(people, "active") == active
    assert told(people).outcome == "denied"


def test_a_rotation_is_one_however_often_it_is_clicked(people, visit):
    root, active, following = visit("root"), kid(people, "active"), kid(people, "next")
    seen = {"alg": "RS256", "expected": active}
    done = root.post("/keys/rotate", seen)
    assert (done.status_code, done.location) == (303, "/console/keys")
    assert f"{following} signs now; {active} is retired" in text_of(root.get("/keys"))
    again = root.post("/keys/rotate", seen)
    assert again.status_code == 409
    assert "another rotation was faster" in text_of(again)
    assert kid(people, "active") == following


def test_before_its_time_a_rotation_wants_now_and_a_reason(people, visit):
    root = visit("root")
    rotate(root, people)
    form = root.get("/keys/rotate?alg=RS256").text
    assert "Too early" in form
    active = kid(people, "active")
    for more, status in (({}, 409), ({"reason": "a drill"}, 409), ({"now": "true", "reason": " "}, 422)):
        refused = rotate(root, people, **more)
        assert refused.status_code == status
        assert "Nothing was rotated" in text_of(refused)
    assert kid(people, "active") == active
    assert rotate(root, people, now="true", reason=MARKUP).status_code == 303
    assert kid(people, "active") != active


@pytest.mark.parametrize("alg", ["ES256", "HS256", ""])
def test_what_is_not_in_use_is_not_rotated(people, visit, alg):
    root = visit("root")
    assert root.get(f"/keys/rotate?alg={alg}").status_code == 404
    assert root.post("/keys/rotate", {"alg": alg, "expected": kid(people, "active")}).status_code == 404


def test_a_revocation_wants_the_key_id_and_a_reason(people, visit):
    root, active, following = visit("root"), kid(people, "active"), kid(people, "next")
    path, form = f"/keys/{active}/revoke", {"expected": "active"}
    shown = root.get(path)
    assert "Vault, OpenBao" in shown.text
    assert f'data-expected="{active}"' in shown.text
    for more, fault in (
        ({"confirmation": active[:-1], "reason": "leaked"}, "is not the key id"),
        ({"confirmation": active, "reason": ""}, "must not be empty"),
    ):
        refused = root.post(path, form | more)
        assert refused.status_code == 422
        assert fault in refused.text
    late = root.post(path, {"confirmation": active, "reason": "leaked", "expected": "next"})
    assert late.status_code == 409
    done = root.post(path, form | {"confirmation": active, "reason": MARKUP})
    assert done.status_code == 303
    assert kid(people, "active") == following
    after = root.get("/keys").text
    assert MARKUP not in after
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in after
    assert "it is not in the JWKS any more" in text_of(root.get(path))
    assert MARKUP not in visit("alice").get("/keys").text
    assert "alert(1)" not in visit("alice").get("/keys").text


@pytest.mark.parametrize("path", ["/keys/" + "x" * 43 + "/revoke", "/keys/short/revoke"])
def test_a_key_that_never_was(people, visit, path):
    assert visit("root").get(path).status_code == 404


def test_who_has_fetched_is_held_against_the_next_key(people, visit):
    root = visit("root")
    assert "Nobody has fetched the JWKS yet" in text_of(root.get("/keys"))
    for agent in (MARKUP, "Vault/1.18"):
        people.http.get("/.well-known/jwks.json", headers={"User-Agent": agent})
    people.components.fetches.flush()
    people.clock.advance(minutes=1)
    rotate(root, people)
    people.http.get("/.well-known/jwks.json", headers={"User-Agent": "Vault/1.18"})
    people.components.fetches.flush()
    shown = root.get("/keys")
    assert MARKUP not in shown.text
    rows = re.findall(r"<tr>.*?</tr>", shown.text, re.DOTALL)
    [vault] = [row for row in rows if "Vault/1.18" in row]
    [other] = [row for row in rows if "alert(1)" in row]
    assert ("not yet" in vault, "not yet" in other) == (False, True)


def test_what_cannot_sign_or_is_overdue_is_said(people, visit):
    following = kid(people, "next")
    people.components.settings.keys_dir.joinpath(f"{following}.pem").unlink()
    people.clock.advance(days=92)
    shown = visit("root").get("/keys/conditions")
    said = text_of(shown)
    assert "<h1>Ready to sign</h1>" in shown.text
    assert "The next RS256 key cannot sign" in said
    assert "The active RS256 key is overdue" in said


def test_a_sign_in_of_long_ago_leads_to_the_door_first(people, visit):
    root, active = visit("root"), kid(people, "active")
    people.clock.advance(minutes=11)
    assert "again=1&amp;next=/console/keys/rotate" in root.get("/keys").text
    assert 'name="confirmation"' not in root.get(f"/keys/{active}/revoke").text
    answer = rotate(root, people, next="/console/keys/rotate?alg=RS256")
    assert answer.status_code == 303
    assert answer.location.startswith("/console/sign-in?")
    assert kid(people, "active") == active


def test_each_action_has_its_twins(people, visit):
    root = visit("root")
    said = root.get("/keys/rotate?alg=RS256").text
    assert "countersign keys rotate --alg RS256" in said
    assert "/api/v1/keys/rotate" in said
    assert "countersign keys revoke" in root.get(f"/keys/{kid(people, 'active')}/revoke").text


def test_an_auditor_reads_everything_and_has_no_button(people, visit):
    people.change(accounts.create_user, "carol", "carol@example.com", is_admin=False, is_auditor=True)
    auditor, active = visit("carol"), kid(people, "active")
    said = text_of(auditor.get("/keys"))
    assert "Who has fetched the keys" in said
    assert not re.search("Rotate|Revoke…|Add an algorithm", said)
    assert "ready" in text_of(auditor.get("/keys/conditions"))
    impact = auditor.get(f"/keys/{active}/revoke")
    assert "What breaks" in impact.text
    assert 'name="confirmation"' not in impact.text
    assert rotate(auditor, people).status_code == 403


def test_whoever_would_revoke_reads_that_the_next_key_is_early(people, visit):
    people.components.lifecycle.rotate(Algorithm.RS256, OPERATOR, override="so that the next one is new")
    said = text_of(visit("root").get("/keys"))
    assert "The next key signs at once: whoever has not fetched it refuses every new token until" in said

"""Signing keys, through the API: who may, and that it is the command line's doing."""

import pytest

from app.clock import rfc3339
from app.factory import create_app
from app.identity import accounts
from app.operations.key_conditions import key_conditions
from app.operations.keys import keys
from tests.support.components import OPERATOR, inhabited, settings_for
from tests.unit.signing.keysets import assert_whole, key

from .conftest import CALLERS, in_api, problem

UNKNOWN = "x" * 43
RESOURCES = (keys, key_conditions)
WITHOUT_REASON = {"now": True}

# Nobody, a client's secret, a composite token, an account, a narrow token, a stranger, alice.
NOT_THEIRS = (401, 401, 403, 403, 403, 403, 403)
TABLE = [
    ("list_keys", "GET", "/keys", None, (401, 401, *(200,) * 6)),
    ("list_key_fetches", "GET", "/keys/fetches", None, (*NOT_THEIRS, 200)),
    ("list_key_fetches", "GET", f"/keys/fetches?kid={UNKNOWN}", None, (*NOT_THEIRS, 422)),
    ("get_key_impact", "GET", "/keys/{active}/impact", None, (*NOT_THEIRS, 200)),
    ("get_key_impact", "GET", f"/keys/{UNKNOWN}/impact", None, (*NOT_THEIRS, 404)),
    ("list_key_conditions", "GET", "/keys/conditions", None, (*NOT_THEIRS, 200)),
    ("rotate_keys", "POST", "/keys/rotate", WITHOUT_REASON, (*NOT_THEIRS, 422)),
    ("rotate_keys", "POST", "/keys/rotate", {"alg": "ES256"}, (*NOT_THEIRS, 422)),
    ("revoke_key", "POST", "/keys/{active}/revoke", {}, (*NOT_THEIRS, 422)),
    ("revoke_key", "POST", f"/keys/{UNKNOWN}/revoke", {"reason": "lost"}, (*NOT_THEIRS, 404)),
]
CELLS = [
    pytest.param(*row[1:4], caller, status, id=f"{row[0]}-{number}-{caller}".replace(" ", "-"))
    for number, row in enumerate(TABLE)
    for caller, status in zip(CALLERS, row[4], strict=True)
]


def test_the_table_has_every_operation():
    assert {row[0] for row in TABLE} == {each.id for resource in RESOURCES for each in resource.operations}


@pytest.mark.parametrize(("method", "path", "body", "caller", "status"), CELLS)
def test_a_cell(shared_api, method, path, body, caller, status):
    active = key(shared_api.world.components, "active").kid
    answer = shared_api(caller, method, path.format(active=active), body)
    assert answer.status_code == status, answer.text
    if status >= 400:
        problem(answer, status)
    if status == 403:
        assert [row.outcome for row in shared_api.told(answer)] == ["denied"]


def whole(api):
    parts = api.world.components
    assert_whole(parts, parts.settings.keys_dir)


def test_a_rotation_is_done_once_however_many_ask_for_it(api):
    """The first keys are exempt from the lead; the one that was made now is not."""
    parts = api.world.components
    active, following = key(parts, "active").kid, key(parts, "next").kid
    seen = {"alg": "RS256", "expected": active}
    done = api("administrator", "POST", "/keys/rotate", seen)
    assert done.status_code == 200, done.text
    assert done.get_json() == {
        "rotated": [{"alg": "RS256", "active": following, "retired": active}],
        "waiting": [],
    }
    row = next(each for each in api.told(done) if each.action == "keys:signing_key:rotate")
    root = api("administrator", "GET", "/me").get_json()["user"]["principal"]
    assert (row.kid, row.actor) == (following, root)
    problem(api("administrator", "POST", "/keys/rotate", seen), 409)
    early = problem(api("administrator", "POST", "/keys/rotate", {}), 409)["detail"]
    assert "may sign from" in early
    assert early.endswith("wait, or send `now`, with a `reason`")
    early = {"now": True, "reason": "a drill"}
    assert api("administrator", "POST", "/keys/rotate", early).status_code == 200
    whole(api)


@pytest.mark.parametrize(
    "body",
    [
        {"reason": "a drill"},
        {"expected": UNKNOWN},
        {"alg": "HS256"},
        {"now": "yes", "reason": "a drill"},
        {"now": True, "reason": " "},
        {"more": 1},
    ],
)
def test_a_rotation_that_cannot_be_meant_is_refused(shared_api, body):
    problem(shared_api("administrator", "POST", "/keys/rotate", body), 422)


def test_the_keys_that_sign_are_tried_and_known_to_be_due(api, caplog):
    parts = api.world.components
    active, following = (key(parts, state).kid for state in ("active", "next"))
    tell = lambda: {  # noqa: E731 - of two lines, asked three times
        each["kid"]: each for each in api("administrator", "GET", "/keys/conditions").get_json()["items"]
    }
    told = tell()
    assert {kid: (each["state"], each["can_sign"], each["overdue"]) for kid, each in told.items()} == {
        active: ("active", True, False),
        following: ("next", True, False),
    }
    assert (told[active]["rotates_at"] > rfc3339(api.world.clock()), told[following]["rotates_at"]) == (
        True,
        None,
    )
    parts.settings.keys_dir.joinpath(f"{following}.pem").unlink()
    api.world.clock.advance(days=92)
    told = tell()
    assert (told[following]["can_sign"], told[active]["can_sign"], told[active]["overdue"]) == (
        False,
        True,
        True,
    )
    assert f"{following} cannot sign" in caplog.text


def test_a_key_is_revoked_after_its_impact_was_told(api):
    parts = api.world.components
    active, following = key(parts, "active").kid, key(parts, "next").kid
    impact = api("administrator", "GET", f"/keys/{active}/impact").get_json()
    assert (impact["state"], impact["access_tokens"]) == ("active", 2)
    assert "Vault, OpenBao" in impact["verifiers_keep_it"]
    assert impact["verifiers_keep_it"]["whoever keeps to max-age"] == "15m"
    path, body = f"/keys/{active}/revoke", {"reason": "in a repository", "expected": "active"}
    problem(api("administrator", "POST", path, body | {"expected": "retired"}), 409)
    done = api("administrator", "POST", path, body).get_json()
    assert (done["state"], done["active"], done["impact"]) == ("revoked", following, impact)
    problem(api("administrator", "POST", path, body), 409)
    problem(api("composite token", "GET", "/me"), 401)  # its token was signed by that key
    [of_alice] = [each for each in api("alice", "GET", "/keys").get_json()["items"] if each["kid"] == active]
    assert of_alice["reason"] is None
    [shown] = [
        each for each in api("administrator", "GET", "/keys").get_json()["items"] if each["kid"] == active
    ]
    assert (shown["state"], shown["reason"]) == ("revoked", "in a repository")
    assert shown["destroyed_at"] >= shown["revoked_at"]
    whole(api)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/keys/rotate", {}),
        ("PUT", "/audiences/https%3A%2F%2Fa.example", {"kind": "api", "alg": "ES256"}),
    ],
)
def test_a_keystore_that_does_not_answer_is_asked_again_later(
    peopled, tmp_path, clock, caplog, method, path, body
):
    transit = {"KEYSTORE": "transit", "TRANSIT_URL": "http://127.0.0.1:9", "TRANSIT_TOKEN": "hvs.x"}
    with inhabited(peopled, tmp_path, clock) as world:
        authorization = in_api(world).authorization
        app = create_app(settings_for(tmp_path, **transit))
        headers = {"Authorization": authorization["administrator"]}
        answer = app.test_client().open(f"/api/v1{path}", method=method, json=body, headers=headers)
        app.extensions["countersign"].database.dispose()
    assert problem(answer, 503)["title"] == "The signing key cannot be had."
    assert answer.headers["Retry-After"]
    assert "127.0.0.1" not in answer.text
    assert "127.0.0.1:9" in caplog.text


def test_an_administrator_who_was_disabled_meanwhile_rotates_nothing(peopled, tmp_path, clock, monkeypatch):
    with inhabited(peopled, tmp_path, clock) as world:
        api, lifecycle = in_api(world), world.components.lifecycle
        before = world.components.keyring.history()
        can_sign = lifecycle._maker.check_can_sign

        def disabled_meanwhile(row):
            with world.components.database.writing() as session:
                root = accounts.find_user(session, "root")
                accounts.set_user_active(session, root, active=False, by=OPERATOR, now=clock())
            can_sign(row)

        monkeypatch.setattr(lifecycle._maker, "check_can_sign", disabled_meanwhile)
        problem(api("administrator", "POST", "/keys/rotate", {}), 401)
        after = world.components.keyring.history()
        assert [(row.kid, row.state) for row in after] == [(row.kid, row.state) for row in before]
        whole(api)


def test_who_has_fetched_the_newest_key(api):
    for _ in range(2):
        api.world.http.get("/.well-known/jwks.json", headers={"User-Agent": "vault/1.20"})
    api.world.components.fetches.flush()
    items = api("administrator", "GET", "/keys/fetches").get_json()["items"]
    assert [(row["agent"], row["count"]) for row in items] == [("vault/1.20", 2)]
    newest = api.world.components.keyring.current().newest
    assert api("administrator", "GET", f"/keys/fetches?kid={newest}").get_json()["items"] == items

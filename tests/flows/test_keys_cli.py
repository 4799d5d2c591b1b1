"""`countersign keys`: what an operator sees of keys, before and after."""

import pytest

from tests.support import sample_flow


@pytest.fixture
def sample(tmp_path):
    return sample_flow.make(tmp_path)


def keys(sample):
    return {row["state"]: row["kid"] for row in sample.cli("keys", "list", json=True).data}


def test_a_rotation_moves_each_key_on(sample):
    before = keys(sample)
    answer = sample.cli("keys", "rotate", json=True).data
    assert answer == {
        "rotated": [{"alg": "RS256", "active": before["next"], "retired": before["active"]}],
        "waiting": [],
    }
    after = keys(sample)
    assert (after["active"], after["retired"]) == (before["next"], before["active"])
    [event] = [row for row in sample.cli("audit", "list", json=True).data if "rotate" in row["action"]]
    assert event["actor"].startswith("operator:")


def test_a_rotation_too_early_is_refused_and_says_what_to_do(sample):
    sample.cli("keys", "rotate")
    refused = sample.cli("keys", "rotate", exit_code=1)
    assert "COUNTERSIGN_KEY_PUBLISH_LEAD" in refused.stderr
    assert "--now with a --reason" in refused.stderr
    sample.cli("keys", "rotate", "--now", "--reason", "a drill")
    assert keys(sample).keys() == {"next", "active", "retired"}


@pytest.mark.parametrize("words", ["--now", "--reason x", "--alg HS256", "--alg none"])
def test_wrong_usage(sample, words):
    sample.cli("keys", "rotate", *words.split(), exit_code=2)


def test_one_algorithm_waits_for_no_other(sample):
    sample.cli("audience", "add", "https://es.example", "--kind", "api", "--alg", "ES256")
    answer = sample.cli("keys", "rotate", json=True).data
    assert [each["alg"] for each in answer["rotated"]] == ["RS256"]
    assert [each["alg"] for each in answer["waiting"]] == ["ES256"]
    sample.cli("keys", "rotate", "--alg", "ES256", exit_code=1)


def test_registering_says_who_does_not_take_the_algorithm(sample):
    added = sample.cli("audience", "add", "https://ed.example", "--kind", "verifier", "--alg", "EdDSA")
    assert "Kubernetes" in added.stderr
    assert "MinIO now refuses every token of this issuer" in added.stderr
    assert "undo: countersign audience remove https://ed.example" in added.stderr
    [row] = sample.cli("audience", "list", json=True).data
    assert {"AWS", "Microsoft Entra"} <= set(row["excludes"])
    assert len(sample.cli("keys", "list", json=True).data) == 4


def test_an_algorithm_signs_after_the_lead_and_it_is_said_when(sample):
    added = sample.cli("audience", "add", "https://es.example", "--kind", "api", "--alg", "ES256", json=True)
    rows = {(row["alg"], row["state"]): row for row in sample.cli("keys", "list", json=True).data}
    since = rows["ES256", "active"]["signs_from"]
    assert added.data["signs_from"] == since > rows["ES256", "active"]["published_at"]
    again = sample.cli("audience", "add", "https://es2.example", "--kind", "api", "--alg", "ES256")
    assert f"are signed with RS256 until {since}, with ES256 from then on" in again.stdout
    kid = rows["ES256", "active"]["kid"]
    revoked = sample.cli("keys", "revoke", kid, "--reason", "lost", "--yes")
    assert f"signs ES256 from {since} on" in revoked.stdout


def test_a_key_that_cannot_be_opened_is_not_said_to_sign(sample):
    """One algorithm rotates, the other has lost its next key: exit 1, for waiting does not help."""
    sample.cli("audience", "add", "https://es.example", "--kind", "api", "--alg", "ES256")
    rows = {(row["alg"], row["state"]): row["kid"] for row in sample.cli("keys", "list", json=True).data}
    folder = sample.installation.folder / "keys"
    (folder / f"{rows['ES256', 'next']}.pem").write_text("")
    words = ("keys", "rotate", "--now", "--reason", "a drill")
    failed = sample.cli(*words, exit_code=1)
    assert f"RS256: {rows['RS256', 'next']} signs" in failed.stdout
    assert "ES256: not yet: the private key" in failed.stdout
    assert "not rotated: ES256" in failed.stderr
    revoked = sample.cli("keys", "revoke", rows["ES256", "active"], "--reason", "lost", "--yes")
    assert f"{rows['ES256', 'next']} is to sign ES256, and cannot: the private key" in revoked.stdout


def test_a_key_that_another_passphrase_locks_is_followed_by_a_restart(sample):
    """Servers that run still have the old one."""
    kids = keys(sample)
    file = sample.installation.folder / "keys" / f"{kids['active']}.pem"
    file.write_text("")
    told = sample.cli("keys", "rotate").stderr
    assert f"{kids['active']} could not be opened" in told
    assert "restart every server" in told
    following = keys(sample)["next"]
    assert "restart" not in sample.cli("keys", "revoke", following, "--reason", "lost", "--yes").stderr


def test_the_full_jwks_says_when_there_is_room(sample):
    for alg in ("ES256", "ES384"):
        sample.cli("audience", "add", f"https://{alg}.example", "--kind", "api", "--alg", alg)
    sample.cli("keys", "rotate", "--alg", "RS256")
    [retired] = [row for row in sample.cli("keys", "list", json=True).data if row["state"] == "retired"]
    words = ("audience", "add", "https://ed.example", "--kind", "api", "--alg", "EdDSA")
    refused = sample.cli(*words, exit_code=1).stderr
    assert "room for 2, and 1 kept free for a rotation, 7 are there" in refused
    assert "its algorithms need them" in refused
    sample.cli("audience", "remove", "https://ES384.example")
    refused = sample.cli("keys", "list").stdout
    assert retired["leaves_jwks_by"] in refused


class TestRevoking:
    def test_tells_the_damage_and_asks_for_the_key_id(self, sample):
        sample.cli("token", "issue", "--service-account", "duo", "--user", "alice")
        before = keys(sample)
        kid = before["active"]
        done = sample.cli("keys", "revoke", kid, "--reason", "lost", stdin=f"{kid}\n")
        for word in ("access_tokens          1", "/api/v1", "Vault, OpenBao", "write auth/jwt/config again"):
            assert word in done.stderr
        assert keys(sample) == {"active": before["next"], "revoked": kid, "next": keys(sample)["next"]}

    @pytest.mark.parametrize("typed", ["yes\n", "", "\n"])
    def test_is_not_done_for_anything_else(self, sample, typed):
        before = keys(sample)
        refused = sample.cli("keys", "revoke", before["active"], "--reason", "lost", stdin=typed, exit_code=1)
        assert refused.stdout == ""
        assert "nothing was revoked" in refused.stderr
        assert keys(sample) == before

    @pytest.mark.parametrize("kid", ["-n0ne", "--reasoned", "-"])
    def test_a_key_id_may_begin_with_a_hyphen(self, sample, kid):
        refused = sample.cli("keys", "revoke", kid, "--reason", "lost", "--yes", exit_code=1)
        assert "no signing key with this kid" in refused.stderr
        assert sample.cli("keys", "fetches", kid, exit_code=1).stdout == ""

    @pytest.mark.parametrize("reason", ["", " ", "x" * 501])
    def test_refuses_a_reason_before_it_asks(self, sample, reason):
        refused = sample.cli("keys", "revoke", keys(sample)["active"], "--reason", reason, exit_code=1)
        assert "reason: say why" in refused.stderr
        assert "Type the key id" not in refused.stderr

    def test_refuses_a_key_that_is_revoked_before_it_asks(self, sample):
        kid = keys(sample)["active"]
        sample.cli("keys", "revoke", kid, "--reason", "lost", "--yes")
        refused = sample.cli("keys", "revoke", kid, "--reason", "lost", exit_code=1)
        assert f"{kid} is revoked" in refused.stderr
        assert "Type the key id" not in refused.stderr

    def test_asks_no_script_that_says_yes(self, sample):
        before = keys(sample)
        words = ("keys", "revoke", before["active"], "--reason", "lost", "--yes")
        answer = sample.cli(*words, json=True).data
        assert (answer["kid"], answer["state"], answer["active"]) == (
            before["active"],
            "revoked",
            before["next"],
        )
        assert answer["impact"]["id_tokens"] == 0

    def test_what_is_not_there(self, sample):
        refused = sample.cli("keys", "revoke", "nothing", "--reason", "x", "--yes", exit_code=1)
        assert "countersign keys list" in refused.stderr

    def test_the_ledger_shows_which_key(self, sample):
        kid = keys(sample)["active"]
        sample.cli("keys", "revoke", kid, "--reason", "lost", "--yes")
        assert kid in sample.cli("audit", "list", "--action", "keys:signing_key:revoke").stdout


def test_nobody_has_fetched_a_key_that_nobody_serves(sample):
    assert sample.cli("keys", "fetches", keys(sample)["next"], json=True).data == []
    sample.cli("keys", "fetches", "nothing", exit_code=1)

"""``keys`` and ``audience`` at a shell: what was shown is what is done, and nothing is left behind."""

import click
import pytest

from app.settings import Settings
from app.signing.algorithms import Algorithm
from app.wiring import Components
from tests.support.components import OPERATOR
from tests.support.server import Installation


@pytest.fixture
def installation(tmp_path) -> Installation:
    made = Installation(tmp_path)
    made.invoke("init")
    return made


def states(installation) -> dict[str, str]:
    return {row["kid"]: row["state"] for row in installation.invoke("keys", "list", json=True).data}


def test_a_key_that_was_taken_into_use_while_the_prompt_waited_is_not_revoked(installation, monkeypatch):
    """Whoever answers has read what it breaks to revoke a *next* key: nothing."""
    following = next(kid for kid, state in states(installation).items() if state == "next")

    def rotated_meanwhile(*_words, **_options):
        node = Components(Settings.from_env(installation.environment))
        node.lifecycle.rotate(Algorithm.RS256, OPERATOR)
        node.database.dispose()
        return following

    monkeypatch.setattr(click, "prompt", rotated_meanwhile)
    refused = installation.invoke("keys", "revoke", following, "--reason", "a drill", exit_code=1)
    assert f"{following} is active now, not next: look again" in refused.stderr
    assert states(installation)[following] == "active"


def test_an_audience_that_is_removed_leaves_no_private_half_that_nothing_needs(installation):
    installation.invoke("audience", "add", "https://es.example", "--kind", "api", "--alg", "ES256")
    keys_dir = installation.folder / "keys"
    before = {file.stem for file in keys_dir.glob("*.pem")}
    installation.invoke("audience", "remove", "https://es.example")
    rows = installation.invoke("keys", "list", json=True).data
    dead = {row["kid"] for row in rows if row["alg"] == "ES256"}
    assert dead <= before
    assert not dead & {file.stem for file in keys_dir.glob("*.pem")}
    assert all(row["destroyed_at"] for row in rows if row["kid"] in dead)


def test_the_first_keys_are_those_of_init(tmp_path):
    """Those of an audience would have to wait for the publish lead, and nothing could sign until then."""
    made = Installation(tmp_path)
    made.invoke("db", "upgrade")
    refused = made.invoke("audience", "add", "https://a.example", "--kind", "api", exit_code=1)
    assert "countersign init" in refused.stderr
    made.invoke("init")
    made.invoke("audience", "add", "https://a.example", "--kind", "api")
    rows = made.invoke("keys", "list", json=True).data
    [active] = [row for row in rows if row["state"] == "active"]
    assert active["activated_at"] == active["published_at"]


def test_the_list_says_where_each_key_is(installation):
    shown = installation.invoke("keys", "list").stdout.splitlines()
    assert shown[0].split()[:4] == ["kid", "alg", "state", "keystore"]
    assert {line.split()[3] for line in shown[1:]} == {"files"}


def test_the_impact_says_how_long_the_jwks_is_kept(installation):
    kid = next(iter(states(installation)))
    refused = installation.invoke("keys", "revoke", kid, "--reason", "a drill", stdin="no\n", exit_code=1)
    assert "whoever keeps to max-age: 15m" in refused.stderr

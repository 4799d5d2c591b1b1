"""After an emergency revoke: who keeps to the advertised `max-age` accepts nothing past it; who keeps a key
without limit is known, and what makes it forget.
"""

import re
import time

import pytest
import requests

from app.signing.keyring import FOLLOWS_WITHIN_SECONDS
from tests.support.caching import Cache, verifiers
from tests.support.components import parts
from tests.support.nodes import SharedInstallation, jwks_of, kids_at

PEOPLE = (
    "user create alice --email alice@example.com",
    "service-account create duo",
    "delegation grant --user alice --service-account duo",
)
ISSUE = ("token", "issue", "--service-account", "duo", "--user", "alice")
A_REQUEST = 5.0
"""What fetching the JWKS may take, on a busy machine too; its age counts from when it has arrived."""


@pytest.fixture
def made(tmp_path, postgresql_url):
    installation = SharedInstallation(tmp_path, postgresql_url, JWKS_MAX_AGE="10s")
    for line in PEOPLE:
        installation.invoke(*line.split())
    return installation


def issue(made):
    return made.invoke(*ISSUE, json=True).data["access_token"]


def advertised(node):
    header = requests.get(jwks_of(node), timeout=60).headers["Cache-Control"]
    return float(re.search(r"max-age=(\d+)", header)[1])


class Watch:
    """Shows one token to every cache of every language; knows when each has accepted it last."""

    def __init__(self, languages, token, audience):
        self._languages, self._token, self._audience = languages, token, audience
        self.accepted = {}
        self.asked = set()

    def ask(self):
        for name, language in self._languages.items():
            began = time.monotonic()
            verdicts = language.verdicts(self._token, self._audience)
            for cache, verdict in zip(language.caches, verdicts, strict=True):
                self.asked.add((name, cache))
                if verdict is None:
                    self.accepted[name, cache] = began

    def until(self, holds):
        while not holds():
            self.ask()
            time.sleep(0.05)


@pytest.mark.slow
def test_no_time_limited_cache_believes_a_revoked_key_past_the_advertised_bound(made):
    token, audience = issue(made), f"{made.issuer}/api/v1"
    with made.nodes() as nodes:
        max_age = advertised(nodes[0])
        caches = [Cache(jwks_of(node), seconds) for node in nodes for seconds in (0, max_age / 2, max_age)]
        with verifiers(made.issuer, caches) as languages:
            watch = Watch(languages, token, audience)
            watch.until(lambda: watch.asked and watch.accepted.keys() == watch.asked)
            kid = parts(token)[0]["kid"]
            made.invoke("keys", "revoke", kid, "--reason", "in a public repository", "--yes")
            revoked = time.monotonic()
            end = revoked + FOLLOWS_WITHIN_SECONDS + max_age + 2 * A_REQUEST
            watch.until(lambda: time.monotonic() > end)
            assert [kid in kids_at(node) for node in nodes] == [False, False]
            for (name, cache), last in watch.accepted.items():
                if name != "go-oidc":
                    bound = FOLLOWS_WITHIN_SECONDS + cache.seconds + A_REQUEST
                    assert last - revoked <= bound, (name, cache)
            assert_believed_until_an_unknown_key_is_met(made, nodes, languages["go-oidc"], token)


def assert_believed_until_an_unknown_key_is_met(made, nodes, go_oidc, token):
    """So do Go programs, Kubernetes among them. What signs after a revocation they know: it was *next*."""

    def refusals(shown):
        return [each for each in go_oidc.verdicts(shown, f"{made.issuer}/api/v1") if each]

    assert refusals(issue(made)) == []
    assert refusals(token) == []
    made.invoke("keys", "rotate", "--now", "--reason", "verifiers are to fetch the JWKS")
    unknown = issue(made)
    assert refusals(unknown) == []
    assert len(refusals(token)) == len(nodes)

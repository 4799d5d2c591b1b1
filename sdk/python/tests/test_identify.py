"""Verification: one good token is taken, each of the bad ones refused, by keys that really are fetched."""

import hmac
import json
import threading
import time
from base64 import urlsafe_b64encode
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests
from countersign_sdk import DecisionUnavailable, InvalidToken, ResourceServer
from countersign_sdk.keys import KeysUnavailable, PublishedKeys
from joserfc import jwt
from joserfc.jwk import RSAKey

AUDIENCE = "https://api.acme.example"
KEY, OTHER = (RSAKey.generate_key(2048, auto_kid=True) for _ in range(2))
NOW = int(time.time())


class Issuer(ThreadingHTTPServer):
    """Publishes its metadata and the keys that it is given, decides as it is told, counts what is fetched."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Publishing)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.names_itself = self.url
        self.names_keys = f"{self.url}/jwks"
        self.keys = [KEY]
        self.jwks = None
        self.status = 200
        self.decision = {}
        self.fetched = Counter()


class Publishing(BaseHTTPRequestHandler):
    server: Issuer

    def do_GET(self):
        self.server.fetched[self.path] += 1
        keys = {"keys": [key.as_dict(private=False) for key in self.server.keys]}
        documents = {
            "/.well-known/openid-configuration": {
                "issuer": self.server.names_itself,
                "jwks_uri": self.server.names_keys,
            },
            "/jwks": keys if self.server.jwks is None else self.server.jwks,
        }
        self.answer(documents[self.path], 200 if self.path != "/jwks" else self.server.status)

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(self.server.decision, self.server.status)

    def answer(self, document, status):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "public, max-age=300")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Nothing is logged."""


@pytest.fixture
def issuer():
    server = Issuer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def server(issuer):
    resource_server = ResourceServer(issuer=issuer.url, audience=AUDIENCE, now=lambda: NOW)
    yield resource_server
    resource_server._session.close()


def token(issuer, key=KEY, header=None, **claims):
    """A good one, unless told otherwise; `None` leaves a claim or a part of the header out."""
    header = {"alg": "RS256", "kid": key.kid, "typ": "at+jwt"} | (header or {})
    claims = {
        "iss": issuer.url,
        "aud": AUDIENCE,
        "sub": "service_account:7",
        "jti": "a1",
        "iat": NOW,
        "nbf": NOW,
        "exp": NOW + 600,
        "scope": "code.write user:42",
        "service_account_id": "7",
        "user_id": "42",
        "delegation_id": "3",
    } | claims
    header, claims = (
        {name: value for name, value in each.items() if value is not None} for each in (header, claims)
    )
    return jwt.encode(header, claims, key, algorithms=["RS256"])


def encoded(data):
    return urlsafe_b64encode(json.dumps(data).encode()).rstrip(b"=").decode()


def test_a_good_token_says_both_names(issuer, server):
    good = token(issuer)
    identity = server.identify(good)
    assert (identity.service_account, identity.user) == ("service_account:7", "user:42")
    assert identity.scopes == {"code.write", "user:42"}
    assert identity.delegation_id == "3"
    assert identity.token == good


def test_the_delegated_rendering_is_the_same_identity(issuer, server):
    identity = server.identify(token(issuer, sub="user:42", act={"sub": "service_account:7"}))
    assert (identity.service_account, identity.user) == ("service_account:7", "user:42")


def test_an_account_of_its_own_name_has_no_human(issuer, server):
    identity = server.identify(token(issuer, user_id=None, delegation_id=None, scope="code.write"))
    assert (identity.service_account, identity.user) == ("service_account:7", None)


@pytest.mark.parametrize(
    ("claims", "named"),
    [
        ({"iss": "https://elsewhere.example"}, "iss"),
        ({"iss": None}, "iss"),
        ({"aud": "https://other.example"}, "aud"),
        ({"aud": [AUDIENCE]}, "aud"),
        ({"aud": None}, "aud"),
        ({"exp": NOW - 1}, "exp"),
        ({"exp": NOW}, "exp"),
        ({"exp": None}, "exp"),
        ({"exp": "never"}, "exp"),
        ({"nbf": NOW + 61}, "nbf"),
        ({"sub": None}, "sub"),
        ({"jti": None}, "sub"),
    ],
)
def test_a_claim_that_is_wrong_is_named(issuer, server, claims, named):
    with pytest.raises(InvalidToken, match=f"not acceptable here: {named}$"):
        server.identify(token(issuer, **claims))


@pytest.mark.parametrize("claims", [{"exp": NOW + 1}, {"nbf": NOW + 60}, {"nbf": None}])
def test_a_minute_of_leeway_is_given_to_what_begins_and_none_to_what_ends(issuer, server, claims):
    assert server.identify(token(issuer, **claims)).user == "user:42"


@pytest.mark.parametrize("typ", ["JWT", None, "", "at+jwt+"])
def test_what_is_no_access_token_is_refused(issuer, server, typ):
    with pytest.raises(InvalidToken):
        server.identify(token(issuer, header={"typ": typ}))


@pytest.mark.parametrize("typ", ["AT+JWT", "application/at+jwt"])
def test_a_media_type_may_be_written_in_full(issuer, server, typ):
    assert server.identify(token(issuer, header={"typ": typ})).user == "user:42"


def changed(issuer):
    head, payload, signature = token(issuer).split(".")
    _, others, _ = token(issuer, user_id="1").split(".")
    assert payload != others
    return f"{head}.{others}.{signature}"


def without_algorithm(issuer):
    _, payload, _ = token(issuer).split(".")
    return f"{encoded({'alg': 'none', 'typ': 'at+jwt', 'kid': KEY.kid})}.{payload}."


def signed_with_the_public_key(issuer):
    """HS256 over the key that everybody knows."""
    _, payload, _ = token(issuer).split(".")
    signed = f"{encoded({'alg': 'HS256', 'typ': 'at+jwt', 'kid': KEY.kid})}.{payload}"
    tag = hmac.digest(KEY.as_pem(private=False), signed.encode(), "sha256")
    return f"{signed}.{urlsafe_b64encode(tag).rstrip(b'=').decode()}"


def with_header(issuer, **header):
    """The good token's claims under a header of any kind, badly signed."""
    _, *rest = token(issuer).split(".")
    return ".".join([encoded({"alg": "RS256", "kid": KEY.kid, "typ": "at+jwt"} | header), *rest])


FORGERIES = {
    "changed": changed,
    "alg none": without_algorithm,
    "HS256 with the public key": signed_with_the_public_key,
    "unknown kid": lambda issuer: token(issuer, key=OTHER),
    "no kid": lambda issuer: token(issuer, key=OTHER, header={"kid": None}),
    "another key under our kid": lambda issuer: token(issuer, key=OTHER, header={"kid": KEY.kid}),
    "no signature": lambda issuer: token(issuer).rpartition(".")[0] + ".",
    "a number for typ": lambda issuer: with_header(issuer, typ=5),
    "null for typ": lambda issuer: with_header(issuer, typ=None),
    "a list for kid": lambda issuer: with_header(issuer, kid=[KEY.kid]),
    "a number for alg": lambda issuer: with_header(issuer, alg=5),
    "an extension that must be understood": lambda issuer: with_header(issuer, crit=["x"], x=1),
    "a list for a header": lambda _: f"{encoded([])}.{encoded({})}.x",
    "not a token": lambda _: "nonsense",
    "empty": lambda _: "",
    "not ASCII": lambda issuer: token(issuer) + "é",
    "too long": lambda issuer: token(issuer, scope="x" * 16_384),
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES)
def test_a_forgery_is_refused(issuer, server, forge):
    with pytest.raises(InvalidToken):
        server.identify(forge(issuer))


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def published(issuer, clock):
    with requests.Session() as session:
        yield PublishedKeys(issuer.url, session, clock)


class ManualClock:
    now = 1000.0

    def __call__(self):
        return self.now


def kids(keys):
    return {key.kid for key in keys.keys}


def test_keys_are_fetched_once_and_strangers_do_not_make_it_more(issuer, server):
    server.identify(token(issuer))
    for _ in range(3):
        with pytest.raises(InvalidToken):
            server.identify(token(issuer, key=OTHER))
        server.identify(token(issuer))
    assert issuer.fetched["/jwks"] == 1


def test_a_new_key_is_found_when_it_is_needed(issuer, published, clock):
    published.holding(KEY.kid)
    issuer.keys = [KEY, OTHER]
    clock.now += 9
    assert kids(published.holding(OTHER.kid)) == {KEY.kid}
    clock.now += 1
    assert kids(published.holding(OTHER.kid)) == {KEY.kid, OTHER.kid}
    assert issuer.fetched["/jwks"] == 2


def test_a_revoked_key_is_gone_when_the_issuer_said_so(issuer, published, clock):
    issuer.keys = [KEY, OTHER]
    published.holding(OTHER.kid)
    issuer.keys = [KEY]
    clock.now += 299
    assert OTHER.kid in kids(published.holding(OTHER.kid))
    clock.now += 1
    assert kids(published.holding(OTHER.kid)) == {KEY.kid}


def test_a_failed_fetch_is_repeated_after_a_while_not_for_every_request(issuer, published, clock):
    issuer.status = 500
    for _ in range(3):
        with pytest.raises(KeysUnavailable):
            published.holding(KEY.kid)
    assert issuer.fetched["/jwks"] == 1
    issuer.status = 200
    clock.now += 2
    assert kids(published.holding(KEY.kid)) == {KEY.kid}


def test_stale_keys_are_not_used_when_the_issuer_fails(issuer, published, clock):
    published.holding(KEY.kid)
    issuer.status = 500
    clock.now += 299
    assert kids(published.holding(KEY.kid)) == {KEY.kid}
    clock.now += 1
    with pytest.raises(KeysUnavailable):
        published.holding(KEY.kid)


def test_a_stranger_whose_key_is_being_fetched_holds_up_nobody(published, clock):
    published.holding(KEY.kid)
    clock.now += 10
    with published._lock:  # as while a fetch hangs
        assert kids(published.holding(KEY.kid)) == {KEY.kid}


def test_metadata_of_another_issuer_are_not_taken(issuer, server):
    issuer.names_itself = "https://elsewhere.example"
    with pytest.raises(DecisionUnavailable):
        server.identify(token(issuer))


@pytest.mark.parametrize(
    "published_by_mistake", [[], {}, {"keys": 5}, {"keys": [{"kty": "??"}]}, "keys"], ids=str
)
def test_what_is_no_key_set_says_nothing_about_the_token(issuer, server, published_by_mistake):
    issuer.jwks = published_by_mistake
    with pytest.raises(DecisionUnavailable):
        server.identify(token(issuer))


def test_without_keys_nothing_is_said_about_the_token(issuer):
    good = token(issuer)
    unreachable = ResourceServer(issuer="http://127.0.0.1:9", audience=AUDIENCE, now=lambda: NOW)
    with pytest.raises(DecisionUnavailable):
        unreachable.identify(good)


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (500, {}),
        (401, {"title": "Unauthorized"}),
        (302, {"decision": True}),
        (200, {}),
        (200, []),
        (200, "yes"),
        (200, {"decision": False, "context": {"reasons": [{"allowed": False}]}}),
        (200, {"decision": False, "context": [1]}),
    ],
)
def test_what_is_no_decision_is_none(issuer, server, status, answer):
    identity = server.identify(token(issuer))
    issuer.status, issuer.decision = status, answer
    with pytest.raises(DecisionUnavailable):
        server.decide(identity, "code.read", "acme/webapp")


@pytest.mark.parametrize("decision", [False, None, "true", 1])
def test_true_alone_is_yes(issuer, server, decision):
    identity = server.identify(token(issuer))
    issuer.decision = {"decision": decision}
    assert server.decide(identity, "code.read", "acme/webapp").allowed is False
    issuer.decision = {"decision": True}
    assert server.decide(identity, "code.read", "acme/webapp").allowed is True


@pytest.mark.parametrize(
    "header", [{"kid": None}, {"kid": 5}, {"crit": 5}, {"alg": ["RS256"]}, {"typ": None}]
)
def test_an_odd_header_is_an_invalid_token_and_no_fault(issuer, server, header):
    _, claims, signature = token(issuer).split(".")
    odd = {"alg": "RS256", "kid": KEY.kid, "typ": "at+jwt"} | header
    with pytest.raises(InvalidToken):
        server.identify(f"{encoded(odd)}.{claims}.{signature}")


@pytest.mark.parametrize("claims", [{"user_id": ["42"]}, {"service_account_id": 7}, {"delegation_id": {}}])
def test_a_party_is_a_text(issuer, server, claims):
    with pytest.raises(InvalidToken, match="parties"):
        server.identify(token(issuer, **claims))


def test_keys_on_another_host_than_the_issuers_are_not_fetched(issuer, server, monkeypatch):
    monkeypatch.setattr(issuer, "names_keys", "http://169.254.169.254/jwks")
    with pytest.raises(DecisionUnavailable):
        server.identify(token(issuer))
    assert issuer.fetched["/jwks"] == 0

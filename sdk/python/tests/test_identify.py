"""Verification: one good token is taken, each of the bad ones refused, by keys that really are fetched."""

import hmac
import json
import threading
import time
from base64 import urlsafe_b64encode
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from countersign_sdk import DecisionUnavailable, InvalidToken, ResourceServer
from joserfc import jwt
from joserfc.jwk import RSAKey

AUDIENCE = "https://api.acme.example"
KEY, OTHER = (RSAKey.generate_key(2048, auto_kid=True) for _ in range(2))
NOW = int(time.time())


class Issuer(ThreadingHTTPServer):
    """Publishes its metadata and the keys that it is given, and counts what is fetched."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Publishing)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.names_itself = self.url
        self.keys = [KEY]
        self.fetched = Counter()


class Publishing(BaseHTTPRequestHandler):
    server: Issuer

    def do_GET(self):
        self.server.fetched[self.path] += 1
        documents = {
            "/.well-known/openid-configuration": {
                "issuer": self.server.names_itself,
                "jwks_uri": f"{self.server.url}/jwks",
            },
            "/jwks": {"keys": [key.as_dict(private=False) for key in self.server.keys]},
        }
        body = json.dumps(documents[self.path]).encode()
        self.send_response(200)
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
        ({"exp": NOW - 61}, "exp"),
        ({"exp": NOW - 60}, "exp"),
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


@pytest.mark.parametrize("claims", [{"exp": NOW - 59}, {"nbf": NOW + 60}, {"nbf": None}])
def test_a_minute_of_leeway_is_given(issuer, server, claims):
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


def test_keys_are_fetched_once_and_strangers_do_not_make_it_more(issuer, server):
    server.identify(token(issuer))
    for _ in range(3):
        with pytest.raises(InvalidToken):
            server.identify(token(issuer, key=OTHER))
        server.identify(token(issuer))
    assert issuer.fetched["/jwks"] == 1


def test_a_new_key_is_found_when_it_is_needed(issuer, server):
    server.identify(token(issuer))
    server._keys._fetched_at -= 10
    issuer.keys = [KEY, OTHER]
    assert server.identify(token(issuer, key=OTHER)).user == "user:42"
    assert issuer.fetched["/jwks"] == 2


def test_metadata_of_another_issuer_are_not_taken(issuer, server):
    issuer.names_itself = "https://elsewhere.example"
    with pytest.raises(InvalidToken):
        server.identify(token(issuer))


def test_without_keys_nothing_is_said_about_the_token(issuer):
    good = token(issuer)
    unreachable = ResourceServer(issuer="http://127.0.0.1:9", audience=AUDIENCE, now=lambda: NOW)
    with pytest.raises(DecisionUnavailable):
        unreachable.identify(good)

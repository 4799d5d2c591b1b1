"""The ``transit`` keystore over a server that misbehaves: it fails closed, in time, and in words."""

import json

import pytest

from app.flows.outbound import Outbound
from app.flows.transport import Limits
from app.secret import Secret
from app.signing.algorithms import Algorithm
from app.signing.keystores import KeystoreError
from app.signing.keystores.transit import TransitKeystore
from app.signing.keystores.transit_login import AppRoleLogin, JwtLogin, TokenLogin
from app.signing.keystores.transit_server import TransitServer
from tests.support.components import ManualClock
from tests.support.keystores import session_to
from tests.support.odd_server import answer, drip, hang_up, raw, serving, silence

CANARY = "hvs.canary-that-nobody-may-see"
NAME = "countersign-0123456789abcdef"
QUICK = Limits(total=1)
"""For what never comes to an end."""
PATIENT = Limits(connect=60, total=60)
"""For what comes, on a busy machine."""


class Seconds:
    """A monotonic clock that obeys."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def server_at(address, login=None, seconds=None, limits=PATIENT) -> TransitServer:
    login = login or TokenLogin(lambda: Secret(CANARY))
    return TransitServer(address, login, session_to(limits), monotonic=seconds or Seconds())


def signer(server, database=None):
    keystore = TransitKeystore(server, database, ManualClock())
    return keystore.signing_key("a kid", Algorithm.ES256, NAME)


def refusal_of(server) -> str:
    with pytest.raises(KeystoreError) as refused:
        signer(server).sign(b"content")
    assert CANARY not in repr(refused.value)
    return str(refused.value)


def body(**members: object) -> bytes:
    return json.dumps(members).encode()


def logged_in(then):
    """Behaves as `then` says to all but the login."""
    renewed = answer(200, body(auth={"client_token": CANARY, "lease_duration": 3600}))

    def behave(handler, server):
        (renewed if handler.path.endswith("/renew-self") else then)(handler, server)

    return behave


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (silence, "no whole answer within 1 s"),
        (drip(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"), "no whole answer within 1 s"),
        (drip(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{", b" "), "no whole answer within 1 s"),
        (hang_up, "broke off"),
        (raw(b"SSH-2.0-OpenSSH_9.6\r\n"), "not HTTP"),
        (answer(301, b"", {"Location": "https://elsewhere.example.com"}), "redirects (301)"),
        (answer(200, b"x" * (2 << 20)), "larger than"),
        (answer(503, body(errors=["Vault is sealed"])), "it answers 503 (Vault is sealed)"),
        (answer(500, body(errors=[f"no, {CANARY}!"])), "it answers 500"),
        (answer(429, b"<html>busy</html>", kind="text/html"), "it answers 429"),
        (answer(403, body(errors=["permission denied"])), "it answers 403 (permission denied)"),
        (answer(404, body(errors=['no handler for route "transit/sign"'])), "no handler for route"),
        (answer(404, body(errors=[])), "no signature in the answer"),
        (answer(200, b"<html>a login page</html>", kind="text/html"), "no signature in the answer"),
        (answer(200, b"null"), "no signature in the answer"),
        (answer(200, body(data=None)), "no signature in the answer"),
        (answer(200, body(data={"signature": 7})), "no signature in the answer"),
        (answer(200, body(data={"signature": "vault:v2:AAAA"})), "no signature in the answer"),
        (answer(200, body(data={"signature": "vault:v1:A+/="})), "no signature in the answer"),
        (answer(400, body(errors=["a\nb\x1b[31m" + "c" * 900])), "it answers 400 (a b [31mccc"),
        (answer(204, b""), "no signature in the answer"),
    ],
)
def test_whatever_it_does_instead_of_signing_is_a_refusal_in_words(behaviour, words):
    with serving(logged_in(behaviour)) as odd:
        told = refusal_of(server_at(odd.address, limits=QUICK if "no whole" in words else PATIENT))
    assert words in told
    assert told.startswith("transit keystore: ")
    assert len(told) < 400


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (answer(403, body(errors=["permission denied"])), "cannot log in"),
        (answer(200, body(auth=None)), "its answer has no token"),
        (answer(200, body(auth={"client_token": None, "lease_duration": 1})), "its answer has no token"),
        (answer(200, body(auth={"client_token": "t", "lease_duration": "1"})), "its answer has no token"),
        (answer(400, body(errors=[f"invalid role or secret ID {CANARY}"])), "it answers 400"),
        (silence, "no whole answer"),
    ],
)
def test_a_login_that_fails_is_told_as_one(behaviour, words):
    with serving(behaviour) as odd:
        login = AppRoleLogin("a role", lambda: Secret(CANARY))
        told = refusal_of(server_at(odd.address, login, limits=QUICK if "no whole" in words else PATIENT))
    assert words in told
    assert "cannot log in" in told


def echo(handler, server):
    """With all of what it was asked, on a status that is the server's fault."""
    asked = server.asked[-1]
    answer(500, body(errors=[f"panic: {asked.body.decode()} {dict(asked.headers)}"]))(handler, server)


def approle(secret):
    return AppRoleLogin("a role", lambda: Secret(secret))


def jwt(secret):
    return JwtLogin("a role", lambda: Secret(secret))


def token(secret):
    return TokenLogin(lambda: Secret(secret))


@pytest.mark.parametrize(
    ("login", "secret"),
    [
        (approle, CANARY),
        (jwt, CANARY),
        (token, CANARY),
        (approle, 'canary "quoted" \\ ä'),
        (jwt, "canary\\ü"),
    ],
)
def test_a_server_that_echoes_a_login_gives_no_credential_away(login, secret):
    with serving(echo) as odd:
        told = refusal_of(server_at(odd.address, login(secret)))
    assert told.endswith("cannot log in at " + odd.address + ": it answers 500")


def test_a_missing_authority_is_named_with_the_setting(tmp_path):
    outbound = Outbound(
        ["127.0.0.0/8"], allow_loopback=True, limits=QUICK, ca_file=str(tmp_path / "no-such.pem")
    )
    server = TransitServer("https://127.0.0.1:9", TokenLogin(lambda: Secret(CANARY)), outbound.session)
    assert "COUNTERSIGN_TRANSIT_CA_FILE is no readable PEM file of certificates" in refusal_of(server)


def test_a_credential_that_cannot_be_read_is_told():
    def unreadable():
        raise ValueError("(…_FILE) cannot be read: FileNotFoundError")

    with serving(silence) as odd:
        assert "its credential (…_FILE) cannot be read" in refusal_of(
            server_at(odd.address, TokenLogin(unreadable))
        )
        assert odd.asked == []


class TestAServerThatDoesNotAnswer:
    """One that hangs would hold up every web worker, discovery with it."""

    def test_is_not_asked_again_for_two_seconds(self):
        seconds = Seconds()
        with serving(logged_in(hang_up)) as odd:
            server = server_at(odd.address, seconds=seconds)
            refusal_of(server)
            asked = len(odd.asked)
            seconds.now += 1.9
            assert "did not answer a moment ago" in refusal_of(server)
            assert len(odd.asked) == asked
            seconds.now += 0.2
            assert "broke off" in refusal_of(server)

    def test_a_refusal_is_an_answer(self):
        with serving(logged_in(answer(403, body(errors=["permission denied"])))) as odd:
            server = server_at(odd.address)
            assert refusal_of(server) == refusal_of(server)


class TestTheToken:
    def test_is_asked_for_once_while_it_lives(self):
        seconds = Seconds()
        signed = answer(200, body(data={"signature": "vault:v1:AAAA"}))
        with serving(logged_in(signed)) as odd:
            sign = signer(server_at(odd.address, seconds=seconds)).sign
            for _ in range(3):
                assert sign(b"content") == b"\0\0\0"
            assert self.renewals(odd) == 1
            seconds.now += 1799
            sign(b"content")
            assert self.renewals(odd) == 1
            seconds.now += 2
            sign(b"content")
            assert self.renewals(odd) == 2

    def test_that_cannot_be_renewed_now_serves_until_it_expires(self):
        renewals = []

        def behave(handler, server):
            if handler.path.endswith("/renew-self"):
                renewals.append(handler.path)
                grant = body(auth={"client_token": CANARY, "lease_duration": 3600})
                chosen = answer(200, grant) if len(renewals) == 1 else answer(403, body(errors=["no"]))
                chosen(handler, server)
            else:
                answer(200, body(data={"signature": "vault:v1:AAAA"}))(handler, server)

        seconds = Seconds()
        with serving(behave) as odd:
            server = server_at(odd.address, seconds=seconds)
            signer(server).sign(b"content")
            seconds.now += 1801
            assert signer(server).sign(b"content")
            seconds.now += 1
            assert signer(server).sign(b"content")
            assert len(renewals) == 2, "it is tried again after ten seconds, not at every signature"
            seconds.now += 1800
            assert "cannot log in" in refusal_of(server)

    @staticmethod
    def renewals(odd) -> int:
        return sum(each.path.endswith("/renew-self") for each in odd.asked)


def test_a_row_that_lacks_the_keys_name_is_refused():
    keystore = TransitKeystore(server_at("http://127.0.0.1:9"), None, ManualClock())
    with pytest.raises(KeystoreError, match="does not say its name"):
        keystore.signing_key("a kid", Algorithm.RS256)


@pytest.mark.parametrize(
    "described",
    [
        {"exportable": True, "allow_plaintext_backup": False},
        {"exportable": False, "allow_plaintext_backup": True},
        {},
        {"exportable": False, "allow_plaintext_backup": False, "keys": {"1": {"public_key": "nonsense"}}},
        {"exportable": False, "allow_plaintext_backup": False, "keys": {"2": {}}},
    ],
)
def test_a_key_that_could_leave_or_is_none_is_not_used(key_database, described):
    with serving(logged_in(answer(200, body(data=described)))) as odd:
        keystore = TransitKeystore(server_at(odd.address), key_database, ManualClock())
        with pytest.raises(KeystoreError, match=r"can be exported|is no key that signs"):
            keystore.generate(Algorithm.ES256)

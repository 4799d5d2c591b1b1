"""A Vault that is down, slow, sealed, hostile or none: every failure is worded, and leaks no token."""

import json
import logging
import re
import traceback
from http.server import BaseHTTPRequestHandler

import pytest

from app.errors import InvalidInput
from app.flows.outbound import Outbound
from app.flows.transport import Limits
from app.flows.vault import SecretUnavailable, Vault, VaultServer
from app.flows.vault_reference import VaultReference
from app.secret import Secret
from tests.support import odd_server
from tests.support.odd_server import Behaviour, OddServer, serving
from tests.support.process import free_port

ID_TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJwcm9qZWN0In0.c2lnbmF0dXJlLW9mLXRoZS1pZC10b2tlbg"
VAULT_TOKEN = "hvs.CAESIJ5oVaultTokenOfThisSession"
VALUE = "correct-horse-battery-staple"

LOGIN, DATA, REVOKE = "/v1/auth/jwt/login", "/v1/secret/data/ship/db", "/v1/auth/token/revoke-self"
REFERENCE = VaultReference("kv-v2", "secret", "ship/db", "password")


def said(status: int, body: object) -> Behaviour:
    return odd_server.answer(status, json.dumps(body).encode())


def html(status: int) -> Behaviour:
    return odd_server.answer(status, b"<html><body>Sign in</body></html>", kind="text/html")


def secret(fields: object, **metadata: object) -> Behaviour:
    return said(200, {"data": {"data": fields, "metadata": {"version": 3, **metadata}}})


RIGHT: dict[str, Behaviour] = {
    LOGIN: said(200, {"auth": {"client_token": VAULT_TOKEN}}),
    DATA: secret({"password": VALUE, "port": 5432}),
    REVOKE: odd_server.answer(204, b""),
}


def vault(behaviours: dict[str, Behaviour] | None = None):
    """A server that does right, but for `behaviours` by path."""
    table = {**RIGHT, **(behaviours or {})}

    def behave(handler: BaseHTTPRequestHandler, server: OddServer) -> None:
        table.get(handler.path, said(404, {"errors": []}))(handler, server)

    return serving(behave)


def enough_for(words: str) -> float:
    """Seconds for one request: few where they have to run out, plenty where something is answered."""
    short = re.match(r"no whole answer within ([0-9.]+) s", words)
    return float(short[1]) if short else 60


def client(**limits: float) -> Vault:
    return Vault(Outbound([], allow_loopback=True, limits=Limits(**limits)))


def read(address: str, *references: VaultReference, server: VaultServer | None = None, **limits: float):
    with client(**limits).login(server or VaultServer(address, role="ship"), Secret(ID_TOKEN)) as session:
        found = [session.read(reference) for reference in references or (REFERENCE,)]
    assert session.revoked
    return found


@pytest.fixture
def leaks(caplog, capfd):
    """Asserts that no part of a token or of the value is in an error, its chain, a log or an output."""
    caplog.set_level(logging.DEBUG)

    def check(error: BaseException) -> None:
        seen = [*traceback.format_exception(error), repr(error), caplog.text, *capfd.readouterr()]
        whole = "".join(seen)
        for hidden in (ID_TOKEN, *ID_TOKEN.split("."), VAULT_TOKEN, VALUE):
            parts = {hidden[start : start + 8] for start in range(len(hidden) - 7)}
            assert not [part for part in parts if part in whole]

    return check


def refusal_of(behaviours: dict[str, Behaviour], leaks, *references: VaultReference, **limits: float) -> str:
    with vault(behaviours) as server, pytest.raises(SecretUnavailable) as refusal:
        read(server.address, *references, **limits)
    leaks(refusal.value)
    assert server.address in str(refusal.value)
    return str(refusal.value).replace(server.address, "VAULT")


def test_a_vault_that_does_right():
    with vault() as server:
        [found] = read(server.address)
    assert (found.value.reveal(), found.version) == (VALUE, 3)
    assert VALUE not in repr(found)
    login, data, revoke = server.asked
    assert (login.method, login.path, json.loads(login.body)) == (
        "POST",
        LOGIN,
        {"role": "ship", "jwt": ID_TOKEN},
    )
    assert (data.method, data.path) == ("GET", DATA)
    assert (revoke.method, revoke.path) == ("POST", REVOKE)
    assert [asked.headers.get("X-Vault-Token") for asked in server.asked] == [None, VAULT_TOKEN, VAULT_TOKEN]
    assert all("X-Vault-Namespace" not in asked.headers for asked in server.asked)


UNFIT = "is not a JSON object: is that Vault's own address?"


@pytest.mark.parametrize(
    ("behave", "words"),
    [
        (odd_server.silence, "no whole answer within 0.6 s"),
        (odd_server.drip(b"HTTP/1.1 200 OK\r\n\r\n", b" "), "no whole answer within 0.6 s"),
        (odd_server.hang_up, "its answer is not HTTP, or broke off"),
        (said(403, {"errors": ["permission denied"]}), "it answers 403: permission denied"),
        (
            said(400, {"errors": ['claim "/act/sub" does not match']}),
            'it answers 400: claim "/act/sub" does not match',
        ),
        (said(503, {"errors": ["Vault is sealed"]}), "it answers 503: Vault is sealed"),
        (html(403), f"its answer (403) {UNFIT}"),
        (html(200), f"its answer (200) {UNFIT}"),
        (html(502), f"its answer (502) {UNFIT}"),
        (said(200, ["errors"]), f"its answer (200) {UNFIT}"),
        (said(200, None), f"its answer (200) {UNFIT}"),
        (odd_server.answer(200, b"[" * 100_000), f"its answer (200) {UNFIT}"),
        (odd_server.answer(200, b'{"auth": "\xff"}'), f"its answer (200) {UNFIT}"),
        (odd_server.answer(200, b'{"auth": {"client_token": "hvs.'), f"its answer (200) {UNFIT}"),
        (odd_server.answer(200, b""), f"its answer (200) {UNFIT}"),
        (odd_server.answer(200, b"x" * (2 << 20)), "its answer is larger than 1048576 bytes"),
        (
            odd_server.answer(200, b"x", {"Content-Encoding": "gzip"}),
            "its answer is compressed although none of that was asked for",
        ),
        (
            odd_server.answer(307, b"", {"Location": "http://127.0.0.1:1/"}),
            "it redirects (307), which is not followed: name the host that answers itself",
        ),
        (said(403, {"errors": "no list"}), "it answers 403"),
        (said(403, {"errors": [None, {"a": 2}, ["b"], "why"]}), "it answers 403: why"),
        (said(403, {"errors": ["a\nb\x1b[31m\u202ec\u0000d"]}), "it answers 403: a b [31m c d"),
        (said(403, {"errors": ["y" * 1000]}), "it answers 403: " + "y" * 200),
    ],
)
def test_the_way_in_is_barred(behave, words, leaks):
    refusal = refusal_of({LOGIN: behave}, leaks, total=enough_for(words))
    assert refusal == f"cannot log in to Vault at VAULT: {words}"


@pytest.mark.parametrize(
    "auth",
    [
        *(None, [], "token", {}, {"client_token": None}, {"client_token": ""}),
        *(
            {"client_token": f"{VAULT_TOKEN}\r\nX-Evil: 1"},
            {"client_token": "hvs.\u00fc"},
            {"client_token": "h" * 9000},
        ),
    ],
)
def test_a_login_without_a_token_that_could_be_sent(auth, leaks):
    assert refusal_of({LOGIN: said(200, {"auth": auth})}, leaks).endswith(
        "its answer has no token that could be used"
    )


@pytest.mark.parametrize(
    "echo",
    [
        ID_TOKEN,
        ID_TOKEN.split(".")[1],
        f"bad token: {ID_TOKEN[20:28]}",
        " ".join(ID_TOKEN),
        "\n".join(ID_TOKEN[place : place + 4] for place in range(0, 80, 4)),
        ID_TOKEN[:40] + "\x00" + ID_TOKEN[40:],
        "x" * 170 + ID_TOKEN,
    ],
)
def test_words_that_hold_a_part_of_a_token_are_not_repeated(echo, leaks):
    with_echo = {"errors": ["cannot verify", echo]}
    for status in (400, 403, 500):
        assert refusal_of({LOGIN: said(status, with_echo)}, leaks).endswith(f"it answers {status}")


def test_the_vault_token_is_not_repeated_either(leaks):
    echo = said(403, {"errors": [f"token {VAULT_TOKEN} expired"], "warnings": [VAULT_TOKEN[4:]]})
    assert refusal_of({DATA: echo}, leaks).endswith("it answers 403")
    assert VAULT_TOKEN not in refusal_of({REVOKE: echo}, leaks)


@pytest.mark.parametrize(
    ("behave", "words"),
    [
        (said(403, {"errors": ["permission denied"]}), "it answers 403: permission denied"),
        (said(404, {"errors": []}), "it answers 404: there is no such secret, or its engine is not kv-v2"),
        (
            said(404, {"warnings": ["Invalid path"]}),
            "it answers 404: Invalid path; there is no such secret, or its engine is not kv-v2",
        ),
        (html(200), f"its answer (200) {UNFIT}"),
        (odd_server.answer(204, b""), "its answer is not that of kv-v2: is that the engine of the mount?"),
        (said(200, {}), "its answer is not that of kv-v2: is that the engine of the mount?"),
        (
            said(200, {"data": {"password": VALUE}}),
            "its answer is not that of kv-v2: is that the engine of the mount?",
        ),
        (secret([VALUE]), "its answer is not that of kv-v2: is that the engine of the mount?"),
        (secret({"user": VALUE}), "the secret has no such field"),
        (secret({"password": {"a": VALUE}}), "the field is an object, a list or null, where text is needed"),
        (secret({"password": [VALUE]}), "the field is an object, a list or null, where text is needed"),
        (secret({"password": None}), "the field is an object, a list or null, where text is needed"),
        (secret({"password": VALUE + "\ud800"}), "the field is not valid Unicode text"),
        (
            said(
                404,
                {
                    "data": {
                        "data": None,
                        "metadata": {"deletion_time": "2026-11-22T10:00:00Z", "destroyed": False},
                    }
                },
            ),
            "the latest version of the secret was deleted",
        ),
        (
            said(404, {"data": {"data": None, "metadata": {"deletion_time": "", "destroyed": True}}}),
            "the latest version of the secret was destroyed",
        ),
        (odd_server.silence, "no whole answer within 5 s"),  # the login is answered meanwhile
    ],
)
def test_a_secret_that_cannot_be_read(behave, words, leaks):
    with vault({DATA: behave}) as server, pytest.raises(SecretUnavailable) as refusal:
        read(server.address, total=enough_for(words))
    leaks(refusal.value)
    step = f"cannot read 'password' of 'ship/db' in 'secret' from Vault at {server.address}: "
    assert str(refusal.value) == step + words
    assert server.asked[-1].path == REVOKE


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        ('"text"', "text"),
        ('""', ""),
        ('"a\\nb\\u00fc\\ud83d\\ude00"', "a\nb\N{LATIN SMALL LETTER U WITH DIAERESIS}\N{GRINNING FACE}"),
        ("5432", "5432"),
        ("1.10", "1.10"),
        ("1e400", "1e400"),
        ("-0.0", "-0.0"),
        ("1" * 5000, "1" * 5000),
        ("true", "true"),
        ("false", "false"),
    ],
)
def test_a_number_or_boolean_is_the_text_that_json_has_for_it(sent, text):
    body = f'{{"data": {{"data": {{"password": {sent}}}, "metadata": {{"version": 12}}}}}}'
    with vault({DATA: odd_server.answer(200, body.encode())}) as server:
        [found] = read(server.address)
    assert (found.value.reveal(), found.version) == (text, 12)


@pytest.mark.parametrize("version", [None, "x", -1, 1.5, {}, "9" * 5000])
def test_a_version_that_is_none(version):
    with vault({DATA: secret({"password": VALUE}, version=version)}) as server:
        [found] = read(server.address)
    assert found.version is None


@pytest.mark.parametrize("engine", ["kv-v1", "generic"])
def test_an_engine_without_versions(engine):
    fields = {"password": VALUE, "metadata": {"version": 3}, "data": {"password": "not this"}}
    with vault({"/v1/teams/kv/ship/db": said(200, {"data": fields})}) as server:
        [found] = read(server.address, VaultReference(engine, "teams/kv", "ship/db", "password"))
    assert (found.value.reveal(), found.version) == (VALUE, None)


def test_a_path_is_quoted_part_by_part():
    quoted = "/v1/secret/data/a%20b/c%3Bd%26e%2Bf/%C3%BC"
    with vault({quoted: RIGHT[DATA]}) as server:
        [found] = read(
            server.address,
            VaultReference(
                "kv-v2", "secret", "a b/c;d&e+f/\N{LATIN SMALL LETTER U WITH DIAERESIS}", "password"
            ),
        )
    assert found.value.reveal() == VALUE


@pytest.mark.parametrize(
    "path", ["", "/ship", "ship/", "a//b", "..", "../../sys/mounts", "a/./b", "a/..", "a?b", "a#b", "%2e%2e"]
)
def test_a_path_cannot_leave_its_mount(path):
    for engine, mount, below in (("kv-v2", "secret", path), ("kv-v1", path, "ship")):
        with pytest.raises(InvalidInput, match="mount or path"):
            VaultReference(engine, mount, below, "x")


# The end of a session


@pytest.mark.parametrize(
    ("behave", "words"),
    [
        (
            said(403, {"errors": ["permission denied"]}),
            "it answers 403: permission denied; it lives until its token_ttl",
        ),
        (
            said(400, {"errors": ["batch tokens cannot be revoked"]}),
            "batch tokens cannot be revoked; it lives until",
        ),
        (html(200), f"its answer (200) {UNFIT}"),
        (odd_server.silence, "no whole answer within 5 s"),  # the login is answered meanwhile
    ],
)
def test_a_revocation_that_fails_is_not_kept_quiet(behave, words, leaks):
    refusal = refusal_of({REVOKE: behave}, leaks, total=enough_for(words))
    assert refusal.startswith("cannot revoke the token of Vault at VAULT: ")
    assert words in refusal


def test_a_failure_inside_keeps_the_word_and_is_told_of_the_revocation(leaks):
    with vault({REVOKE: said(500, {"errors": ["storage"]})}) as server:
        session = client().login(VaultServer(server.address, role="ship"), Secret(ID_TOKEN))
        with pytest.raises(KeyError) as error, session:
            raise KeyError("ours")
    assert not session.revoked
    assert [note.partition(": ")[0] for note in error.value.__notes__] == [
        f"cannot revoke the token of Vault at {server.address}"
    ]
    leaks(error.value)


def test_a_token_is_revoked_after_a_failure_and_only_once():
    with vault() as server:
        session = client().login(VaultServer(server.address, role="ship"), Secret(ID_TOKEN))
        with pytest.raises(KeyError), session:
            raise KeyError
        session.revoke()
    assert session.revoked
    assert [asked.path for asked in server.asked] == [LOGIN, REVOKE]


# Where Vault is


def test_a_vault_that_is_down(leaks):
    address = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(SecretUnavailable) as refusal:
        read(address)
    assert (
        str(refusal.value)
        == f"cannot log in to Vault at {address}: cannot connect: the connection was refused"
    )
    leaks(refusal.value)


def test_an_address_that_is_not_allowed_gets_no_token(leaks):
    with (
        vault() as server,
        pytest.raises(SecretUnavailable, match=r"cannot log in .* must be https") as refusal,
    ):
        Vault(Outbound([], allow_loopback=False)).login(VaultServer(server.address), Secret(ID_TOKEN))
    assert not server.asked
    leaks(refusal.value)


def test_a_redirect_takes_the_token_nowhere(leaks):
    with vault() as elsewhere:
        redirect = odd_server.answer(307, b"", {"Location": elsewhere.address + LOGIN})
        refusal_of({LOGIN: redirect}, leaks)
        refusal_of({DATA: odd_server.answer(302, b"", {"Location": elsewhere.address + DATA})}, leaks)
    assert not elsewhere.asked


def test_hvac_takes_nothing_from_the_environment(monkeypatch, tmp_path):
    (tmp_path / ".vault-token").write_text("hvs.of-the-operator")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("VAULT_TOKEN", "hvs.of-the-environment")
    monkeypatch.setenv("VAULT_NAMESPACE", "of-the-environment")
    monkeypatch.setattr("hvac.v1.VAULT_CLIENT_CERT", "/nowhere/client.pem")
    monkeypatch.setattr("hvac.v1.VAULT_CACERT", "/nowhere/ca.pem")
    with vault() as elsewhere, vault() as server:
        monkeypatch.setenv("VAULT_ADDR", elsewhere.address)
        monkeypatch.setenv("HTTP_PROXY", elsewhere.address)
        read(server.address)
    assert not elsewhere.asked
    assert "of-the" not in str([asked.headers for asked in server.asked])


def test_variables_name_the_server():
    variables = {
        "VAULT_SERVER_URL": "http://127.0.0.1:8200/",
        "VAULT_AUTH_PATH": "/teams/jwt/",
        "VAULT_AUTH_ROLE": "ship",
        "VAULT_NAMESPACE": "acme/web",
        "OTHER": "x",
    }
    assert VaultServer.from_variables(variables) == VaultServer(
        "http://127.0.0.1:8200", "teams/jwt", "ship", "acme/web"
    )
    empty = {
        "VAULT_SERVER_URL": "https://v.example",
        "VAULT_AUTH_PATH": "",
        "VAULT_AUTH_ROLE": "",
        "VAULT_NAMESPACE": "",
    }
    assert VaultServer.from_variables(empty) == VaultServer("https://v.example", "jwt", None, None)


def test_a_namespace_and_another_mount():
    login = "/v1/auth/teams/jwt/login"
    with vault({login: RIGHT[LOGIN]}) as server:
        read(server.address, server=VaultServer(server.address, "teams/jwt", namespace="acme/web"))
    assert server.asked[0].path == login
    assert json.loads(server.asked[0].body)["role"] is None
    assert {asked.headers["X-Vault-Namespace"] for asked in server.asked} == {"acme/web"}


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("VAULT_SERVER_URL", ""),
        ("VAULT_SERVER_URL", "vault.example.com"),
        ("VAULT_SERVER_URL", "https://bob:hunter2@vault.example.com"),
        ("VAULT_SERVER_URL", "https://vault.example.com/?hunter2"),
        ("VAULT_AUTH_PATH", "../sys"),
        ("VAULT_AUTH_PATH", "a//hunter2"),
        ("VAULT_AUTH_PATH", "//"),
        ("VAULT_AUTH_PATH", "jwt?hunter2"),
        ("VAULT_AUTH_ROLE", "hunter2\n"),
        ("VAULT_AUTH_ROLE", "r" * 600),
        ("VAULT_NAMESPACE", "hunter2\r\nX-Vault-Token: x"),
        ("VAULT_NAMESPACE", "\N{LATIN SMALL LETTER U WITH DIAERESIS}"),
    ],
)
def test_a_wrong_variable_is_named_and_its_value_is_not(variable, value):
    with pytest.raises(InvalidInput, match=f"^{variable} ") as refusal:
        VaultServer.from_variables({"VAULT_SERVER_URL": "https://vault.example.com", variable: value})
    assert "hunter2" not in str(refusal.value)

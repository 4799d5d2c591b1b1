"""The token request: RFC 6749 §2.3 and §3.2, and which refusal each breach gets (§5.2)."""

from base64 import b64encode

import pytest

from tests.support.components import ISSUER, TOKEN, basic, claims_of, on_every_database, parts

FORM = "application/x-www-form-urlencoded"


def refused(answer, status, code):
    assert answer.status_code == status, answer.text
    assert answer.get_json()["error"] == code
    assert "access_token" not in answer.get_json()


def raw_basic(content: bytes) -> str:
    return "Basic " + b64encode(content).decode()


@on_every_database
@pytest.mark.spec("RFC 6749", "2.3.1", "A client authenticates with HTTP Basic.")
def test_client_secret_basic(world):
    assert claims_of(world.ask(scope=world.scope))["client_id"] == world.client_id


@on_every_database
@pytest.mark.spec("RFC 6749", "2.3.1", "A client authenticates with its credentials in the body.")
def test_client_secret_post(world):
    answer = world.http.post(
        TOKEN,
        data={
            "grant_type": "client_credentials",
            "client_id": world.client_id,
            "client_secret": world.secret.reveal(),
            "scope": world.scope,
        },
    )
    assert claims_of(answer)["client_id"] == world.client_id


@pytest.mark.spec("RFC 6749", "2.3.1", "Basic carries client id and secret form-encoded.")
def test_percent_encoding_in_basic_is_decoded(shared_world):
    encoded = "".join(f"%{ord(each):02X}" for each in shared_world.secret.reveal())
    client = "".join(f"%{ord(each):02x}" for each in shared_world.client_id)
    answer = shared_world.ask(
        scope=shared_world.scope, authorization=raw_basic(f"{client}:{encoded}".encode())
    )
    assert claims_of(answer)["client_id"] == shared_world.client_id


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param({"client_secret": "anything"}, id="another secret"),
        pytest.param({"client_id": "sa_999"}, id="another client id"),
    ],
)
@pytest.mark.spec("RFC 6749", "2.3", "A client uses one authentication method in a request.")
def test_two_ways_of_authentication_at_once(shared_world, extra):
    refused(shared_world.ask(scope=shared_world.scope, **extra), 400, "invalid_request")


def test_the_secret_itself_sent_both_ways_is_still_two_ways(shared_world):
    answer = shared_world.ask(
        scope=shared_world.scope,
        client_id=shared_world.client_id,
        client_secret=shared_world.secret.reveal(),
    )
    refused(answer, 400, "invalid_request")


def test_the_client_id_may_be_repeated_beside_basic(shared_world):
    claims_of(shared_world.ask(scope=shared_world.scope, client_id=shared_world.client_id))


@pytest.mark.parametrize(
    "authorization",
    [
        pytest.param("Basic", id="nothing"),
        pytest.param("Basic ", id="empty"),
        pytest.param("Basic ****", id="no base64"),
        pytest.param("Basic YQ", id="base64 without padding"),
        pytest.param(raw_basic(b"sa_1"), id="no colon"),
        pytest.param(raw_basic(b":"), id="colon alone"),
        pytest.param(raw_basic(b"\xff\xfe:\xff"), id="no UTF-8"),
        pytest.param(raw_basic(b"sa_%31%:%"), id="half a percent escape"),
        pytest.param(raw_basic(b"sa_1%FF:%FF"), id="percent-encoded, no UTF-8"),
        pytest.param(raw_basic("sa_\u0667:geheim".encode()), id="a digit that is not ASCII"),
        pytest.param(raw_basic(b"sa_1\0:\0"), id="NUL"),
        pytest.param(raw_basic(b"sa_" + b"9" * 5000 + b":x"), id="a number like no other"),
        pytest.param(raw_basic(b"sa_999999999999999999:x"), id="the largest number"),
        pytest.param(raw_basic(b"user%3A1:x"), id="a human"),
        pytest.param("Bearer abc.def.ghi", id="a bearer token"),
        pytest.param("Digest username=sa_1", id="another scheme"),
        pytest.param("x", id="no scheme"),
        pytest.param(basic("sa_1", "wrong"), id="a wrong secret"),
    ],
)
@pytest.mark.spec("RFC 6749", "5.2", "Failed client authentication is 401 with WWW-Authenticate.")
def test_authentication_that_fails(shared_world, authorization):
    answer = shared_world.ask(scope=shared_world.scope, authorization=authorization)
    refused(answer, 401, "invalid_client")
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")


@on_every_database
@pytest.mark.parametrize("number", [2**31 - 1, 2**31, 10**18 - 1, 10**18, 10**400])
def test_a_client_id_however_large_is_a_stranger(world, number):
    refused(world.ask(authorization=basic(f"sa_{number}", "secret")), 401, "invalid_client")


def test_a_stranger_is_told_nothing_and_told_of_in_the_ledger(world):
    absent = world.ask(authorization=basic("sa_999", "secret"), scope="api")
    wrong = world.ask(authorization=basic(world.client_id, "secret"), scope="api")
    assert absent.data == wrong.data
    for answer, client_id in ((absent, "sa_999"), (wrong, world.client_id)):
        event = world.in_ledger(answer)
        assert (event.action, event.outcome) == ("identity:client:authenticate", "denied")
        assert (event.actor, event.detail["client_id"]) == ("anonymous", client_id)


def test_what_a_stranger_sent_is_not_kept(world):
    answer = world.ask(authorization=basic("cssa_a-secret-in-the-wrong-place", "x"))
    assert "wrong-place" not in repr(vars(world.in_ledger(answer)))


@pytest.mark.parametrize(
    ("form", "error", "cause"),
    [
        ({"grant_type": "password"}, "unsupported_grant_type", "a grant type that is not supported"),
        ({"scope": ["api", "api"]}, "invalid_request", "a repeated parameter"),
        ({"client_secret": "x"}, "invalid_request", "two ways of authentication at once"),
        ({"scope": "api\0"}, "invalid_request", "a NUL character"),
    ],
)
def test_a_request_that_is_no_such_request_is_in_the_ledger_too(world, form, error, cause):
    event = world.in_ledger(world.ask(**form))
    assert (event.action, event.outcome, event.actor) == ("tokens:access_token:issue", "denied", "anonymous")
    assert event.detail == {"error": error, "cause": cause, "client_id": world.client_id}


class TestWhoFailsOverAndOver:
    """Cannot make the ledger grow at will: the first time is told at once, the others as their number."""

    def fail(self, world, *client_ids):
        for client_id in client_ids:
            refused(world.ask(authorization=basic(client_id, "wrong")), 401, "invalid_client")

    def rows(self, world):
        told = world.events("identity:client:authenticate")[::-1]
        return [(row.detail["client_id"], row.detail.get("repeated")) for row in told]

    def test_has_one_row_and_then_a_count(self, world):
        self.fail(world, "sa_999", "sa_999", "sa_998", "sa_999")
        assert self.rows(world) == [("sa_999", None), ("sa_998", None)]
        world.clock.advance(minutes=1)
        claims_of(world.ask(scope=world.scope))
        assert self.rows(world)[2:] == [("sa_999", 2)]

    def test_has_a_row_again_in_the_next_minute(self, world):
        self.fail(world, "sa_999")
        world.clock.advance(minutes=1)
        self.fail(world, "sa_999", "sa_999")
        assert self.rows(world) == [("sa_999", None)] * 2

    def test_is_one_of_many_under_many_names(self, world):
        self.fail(world, *(f"sa_{number}" for number in range(1000, 1130)))
        assert len(self.rows(world)) == 101
        world.clock.advance(minutes=1)
        claims_of(world.ask(scope=world.scope))
        assert self.rows(world)[101:] == [("others", 29)]


@pytest.mark.spec("RFC 6749", "3.2", "Parameters without a value are treated as if omitted.")
@pytest.mark.parametrize(
    "form",
    [
        {"resource": ""},
        {"client_secret": ""},
        {"client_id": ""},
        {"resource": ["", ""]},
        {"unknown": ["", ""]},
    ],
)
def test_an_empty_parameter_is_as_if_omitted(shared_world, form):
    claims_of(shared_world.ask(scope=shared_world.scope, **form))


@pytest.mark.parametrize("form", [{"scope": ["", "api user:%d"]}, {"grant_type": ["", "client_credentials"]}])
def test_an_empty_parameter_beside_a_full_one_is_no_repetition(shared_world, form):
    filled = {name: [each.replace("%d", str(shared_world.alice)) for each in form[name]] for name in form}
    claims_of(shared_world.ask(**({"scope": shared_world.scope} | filled)))


@pytest.mark.spec("RFC 6749", "3.2", "Parameters are not sent more than once.")
@pytest.mark.parametrize("name", ["grant_type", "scope", "client_id", "client_secret", "unknown"])
def test_a_parameter_given_twice(shared_world, name):
    form = {"grant_type": "client_credentials", "scope": shared_world.scope}
    refused(shared_world.ask(**(form | {name: [form.get(name, "x")] * 2})), 400, "invalid_request")


@pytest.mark.spec("RFC 6749", "3.2", "Unrecognized parameters are ignored.")
def test_an_unknown_parameter_is_ignored(shared_world):
    claims_of(shared_world.ask(scope=shared_world.scope, shape="round"))


@pytest.mark.spec("RFC 6749", "2.3.1", "Client credentials are not sent in the request URI.")
@pytest.mark.parametrize("name", ["client_secret", "scope", "grant_type", "unknown"])
def test_parameters_in_the_query(shared_world, name):
    answer = shared_world.http.post(
        f"{TOKEN}?{name}=x",
        data={"grant_type": "client_credentials", "scope": shared_world.scope},
        headers={"Authorization": shared_world.basic()},
    )
    refused(answer, 400, "invalid_request")


@pytest.mark.spec("RFC 6749", "3.2", "A client uses the HTTP POST method.")
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "TRACE"])
def test_another_method(shared_world, method):
    answer = shared_world.http.open(TOKEN, method=method, headers={"Authorization": shared_world.basic()})
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ('{"grant_type": "client_credentials", "scope": "api"}', "application/json"),
        ("grant_type=client_credentials", "text/plain"),
        ("grant_type=client_credentials", None),
        ("", FORM),
        ("scope=api", FORM),
        ("grant_type=", FORM),
        (
            '--b\r\nContent-Disposition: form-data; name="grant_type"\r\n\r\nclient_credentials\r\n--b--',
            "multipart/form-data; boundary=b",
        ),
    ],
)
@pytest.mark.spec("RFC 6749", "4.4.2", "The request is a form body with a grant type.")
def test_a_body_that_is_no_form(shared_world, body, content_type):
    answer = shared_world.http.post(
        TOKEN, data=body, content_type=content_type, headers={"Authorization": shared_world.basic()}
    )
    refused(answer, 400, "invalid_request")


@pytest.mark.parametrize("content_type", [FORM + "; charset=utf-8", FORM.upper()])
def test_the_content_type_is_read_as_a_media_type(shared_world, content_type):
    answer = shared_world.http.post(
        TOKEN,
        data=f"grant_type=client_credentials&scope={shared_world.scope}",
        content_type=content_type,
        headers={"Authorization": shared_world.basic()},
    )
    claims_of(answer)


@pytest.mark.parametrize(
    "grant_type",
    ["password", "authorization_code", "refresh_token", "Client_Credentials", "x" * 5000, 'a"b', "ä"],
)
@pytest.mark.spec("RFC 6749", "5.2", "A grant type that is not supported is unsupported_grant_type.")
def test_another_grant_type(shared_world, grant_type):
    refused(shared_world.ask(grant_type=grant_type), 400, "unsupported_grant_type")


def test_a_body_that_is_too_large(shared_world):
    answer = shared_world.ask(scope="x" * (2 * 1024 * 1024))
    refused(answer, 413, "invalid_request")


@pytest.mark.spec(
    "RFC 6749", "5.1", "The answer is JSON with access_token, token_type, expires_in and scope."
)
def test_the_answer(shared_world):
    answer = shared_world.ask(scope=f"code.read {shared_world.scope}")
    body = answer.get_json()
    claims = parts(body.pop("access_token"))[1]
    assert body == {
        "token_type": "Bearer",
        "expires_in": claims["exp"] - claims["iat"],
        "scope": f"code.read {shared_world.scope}",
    }
    assert answer.content_type == "application/json"


@pytest.mark.spec("RFC 6749", "5.1", "Answers with tokens are no-store and no-cache.")
def test_no_answer_is_kept_by_a_cache(shared_world):
    for answer in (shared_world.ask(scope=shared_world.scope), shared_world.ask(scope="nonsense")):
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Pragma"] == "no-cache"


@pytest.mark.spec("RFC 6749", "4.4.3", "No refresh token is issued for client credentials.")
def test_there_is_no_refresh_token(shared_world):
    assert "refresh_token" not in shared_world.ask(scope=shared_world.scope).get_json()


@pytest.mark.spec(
    "RFC 6749", "5.2", "An error description is printable ASCII without quotes and backslashes."
)
@pytest.mark.parametrize(
    "form",
    [{"scope": 'a"b\\c'}, {"scope": "ä"}, {"grant_type": '"\\ä'}, {"resource": 'https://"ä'}, {"scope": []}],
)
def test_nothing_of_the_request_comes_back(shared_world, form):
    answer = shared_world.ask(**form)
    assert answer.status_code == 400
    assert answer.data.isascii()
    assert set(answer.get_json()) == {"error", "error_description"}
    assert not {'"', "\\"} & set(answer.get_json()["error_description"])


@pytest.mark.parametrize(
    "host", ["id.example.com", "id.localhost:8000", "127.0.0.1:8000", "[::1]", "[", "", "a b"]
)
def test_it_answers_whatever_host_was_asked(shared_world, host):
    """TLS ends at the proxy in front: here every request is plain http, to whatever name."""
    answer = shared_world.http.post(
        TOKEN,
        data={"grant_type": "client_credentials", "scope": shared_world.scope},
        headers={"Authorization": shared_world.basic(), "Host": host},
    )
    assert claims_of(answer)["iss"] == ISSUER

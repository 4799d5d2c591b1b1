"""Discovery and JWKS as every verifier takes them: OpenID Connect Discovery 1.0, RFC 8414, RFC 7517."""

import json
import re

import pytest

from app.factory import create_app
from app.identity.permissions import SCOPES
from tests.support.components import ISSUER, TOKEN, ManualClock, claims_of, installed, settings_for

OPENID = "/.well-known/openid-configuration"
OAUTH = "/.well-known/oauth-authorization-server"
JWKS = "/.well-known/jwks.json"
DOCUMENTS = (OPENID, OAUTH, JWKS)
UNDER_PATH = "http://localhost:8000/tenants/acme"


@pytest.fixture(scope="module")
def http(prepared, tmp_path_factory):
    with installed(prepared, tmp_path_factory.mktemp("plain"), ManualClock()) as app:
        yield app.test_client()


@pytest.fixture(scope="module")
def http_under_path(prepared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("path")
    with installed(prepared, folder, ManualClock(), ISSUER=UNDER_PATH) as app:
        yield app.test_client()


@pytest.mark.spec("OIDC Discovery 1.0", "4.2", "The provider's metadata, and no member that is not on.")
def test_the_metadata(http):
    assert http.get(OPENID).get_json() == {
        "issuer": ISSUER,
        "jwks_uri": f"{ISSUER}{JWKS}",
        "token_endpoint": f"{ISSUER}/oauth/token",
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "introspection_endpoint": f"{ISSUER}/oauth/introspect",
        "introspection_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "revocation_endpoint": f"{ISSUER}/oauth/revoke",
        "revocation_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "grant_types_supported": ["client_credentials"],
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": sorted(SCOPES),
        "claims_supported": [
            *("iss", "sub", "aud", "iat", "nbf", "exp", "jti"),
            *("namespace_id", "namespace_path", "project_id", "project_path"),
            *("user_id", "user_login", "user_email", "user_access_level"),
            *("service_account_id", "service_account", "act"),
            *("flow", "run_id", "run_source"),
            *("ref", "ref_type", "ref_path", "ref_protected", "sha", "config_sha"),
            "https://aws.amazon.com/tags",
        ],
    }


@pytest.mark.spec("OIDC Discovery 1.0", "3", "RS256 is among the ID token's algorithms.")
def test_rs256_is_always_on(http):
    assert "RS256" in http.get(OPENID).get_json()["id_token_signing_alg_values_supported"]


@pytest.mark.spec("OIDC Discovery 1.0", "4.3", "issuer is byte for byte what verifiers are configured with.")
@pytest.mark.spec("RFC 8414", "3.3", "issuer is identical to the identifier the document was found by.")
def test_the_issuer_is_byte_equal(http, http_under_path):
    for client, issuer in ((http, ISSUER), (http_under_path, UNDER_PATH)):
        for name in (OPENID, OAUTH):
            assert f'"issuer":"{issuer}"'.encode() in client.get(name).data


@pytest.mark.spec("RFC 8414", "3", "The same document under oauth-authorization-server.")
def test_both_names_have_one_document(http):
    assert http.get(OAUTH).data == http.get(OPENID).data


@pytest.mark.spec("OIDC Discovery 1.0", "4.1", "With a path, the well-known name is appended to the issuer.")
@pytest.mark.spec("RFC 8414", "3.1", "With a path, the well-known name is inserted before it.")
@pytest.mark.parametrize("name", [OPENID, OAUTH])
@pytest.mark.parametrize("place", ["/tenants/acme{}", "{}/tenants/acme", "{}"])
def test_each_form_of_the_path_has_it(http_under_path, name, place):
    metadata = http_under_path.get(place.format(name)).get_json()
    assert metadata["issuer"] == UNDER_PATH
    assert metadata["jwks_uri"] == UNDER_PATH + JWKS
    assert metadata["token_endpoint"] == UNDER_PATH + "/oauth/token"


@pytest.mark.parametrize("path", [JWKS, "/tenants/acme" + JWKS])
def test_the_jwks_is_under_the_path_and_at_the_root(http_under_path, path):
    assert http_under_path.get(path).get_json()["keys"]


@pytest.mark.parametrize("path", ["/oauth/token", "/tenants/acme/oauth/token"])
def test_the_token_endpoint_is_there_whether_or_not_a_proxy_takes_the_path_off(http_under_path, path):
    assert http_under_path.post(path).status_code == 400


@pytest.mark.parametrize("path", ["/other" + OPENID, OPENID + "/other", OPENID + "/", "/tenants" + JWKS])
def test_there_is_none_anywhere_else(http_under_path, path):
    assert http_under_path.get(path).status_code == 404


@pytest.mark.spec("RFC 7517", "5", "A JWK Set of public RSA signing keys.")
@pytest.mark.spec("RFC 7518", "6.3.1", "n and e, unpadded base64url, no leading zero octet.")
def test_each_key_has_what_every_verifier_takes_and_no_more(http):
    keys = http.get(JWKS).get_json()["keys"]
    for key in keys:
        assert key.keys() == {"kty", "kid", "use", "alg", "n", "e"}
        assert (key["kty"], key["use"], key["alg"], key["e"]) == ("RSA", "sig", "RS256", "AQAB")
        assert re.fullmatch(r"[A-Za-z0-9_-]{342}", key["n"])
    assert len({key["kid"] for key in keys}) == len(keys) == 2


@pytest.mark.spec("OIDC Discovery 1.0", "3", "The JWK Set contains no private or symmetric key values.")
def test_no_private_member_and_no_key_ops(http):
    for key in http.get(JWKS).get_json()["keys"]:
        assert not key.keys() & {"d", "p", "q", "dp", "dq", "qi", "oth", "k", "key_ops", "x5c"}


@pytest.mark.parametrize("path", DOCUMENTS)
def test_a_direct_cacheable_answer_in_json(http, path):
    answer = http.get(path)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "public, max-age=900"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert not {"Set-Cookie", "Location", "Vary", "WWW-Authenticate"} & set(answer.headers.keys())
    assert json.loads(answer.data)


@pytest.mark.parametrize(("max_age", "expected"), [("0s", 0), ("5m", 300), ("1h", 3600)])
def test_the_max_age_is_a_setting(prepared, tmp_path, max_age, expected):
    with installed(prepared, tmp_path, ManualClock(), JWKS_MAX_AGE=max_age) as app:
        for path in DOCUMENTS:
            answer = app.test_client().get(path)
            assert answer.headers["Cache-Control"] == f"public, max-age={expected}"


@pytest.mark.parametrize("path", DOCUMENTS)
def test_head_is_get_without_the_body(http, path):
    head, get = http.head(path), http.get(path)
    assert (head.status_code, head.data) == (200, b"")
    assert head.headers == get.headers


@pytest.mark.parametrize("path", DOCUMENTS)
@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', "{},W/{}", "*"])
@pytest.mark.spec("RFC 9110", "13.1.2", "If-None-Match is a list, compared weakly; a match is 304.")
def test_what_a_verifier_has_already_is_not_sent_again(http, path, form):
    etag = http.get(path).headers["ETag"]
    assert re.fullmatch(r'"[0-9a-f]{32}"', etag)
    answer = http.get(path, headers={"If-None-Match": form.replace("{}", etag)})
    assert (answer.status_code, answer.data) == (304, b"")
    assert answer.headers["ETag"] == etag
    assert answer.headers["Cache-Control"] == "public, max-age=900"


@pytest.mark.parametrize("header", ["", '"other"', "garbage", ",,,", '"'])
def test_what_it_does_not_have_is_sent(http, header):
    assert http.get(JWKS, headers={"If-None-Match": header}).status_code == 200


@pytest.mark.parametrize("path", DOCUMENTS)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
def test_another_method_is_not_allowed(http, path, method):
    answer = http.open(path, method=method)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET, HEAD"


HOSTILE = {
    "Host": "evil.example",
    "Forwarded": "host=evil.example;proto=https",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Prefix": "/evil",
    "X-Forwarded-Port": "444",
    "X-Original-URL": "/evil",
    "X-Forwarded-For": "10.0.0.1",
}


@pytest.mark.parametrize("path", DOCUMENTS)
def test_no_header_changes_a_byte(http, path):
    plain, spoofed = http.get(path), http.get(path, headers=HOSTILE)
    assert (spoofed.data, spoofed.headers) == (plain.data, plain.headers)


def test_no_header_changes_the_issuer_of_a_token(world):
    answer = world.http.post(
        TOKEN,
        data={"grant_type": "client_credentials", "scope": world.scope},
        headers={"Authorization": world.basic(), **HOSTILE},
    )
    claims = claims_of(answer)
    assert (claims["iss"], claims["aud"]) == (ISSUER, f"{ISSUER}/api/v1")


def test_they_answer_from_memory_when_the_database_is_gone(prepared, tmp_path):
    with installed(prepared, tmp_path, ManualClock()) as app:
        http = app.test_client()
        before = {path: http.get(path).data for path in DOCUMENTS}
        app.extensions["countersign"].database.dispose()
        for file in (tmp_path / "var").glob("countersign.sqlite3*"):
            file.unlink()
        assert http.get("/readyz").status_code == 503
        assert {path: http.get(path).data for path in DOCUMENTS} == before


@pytest.mark.parametrize("path", DOCUMENTS)
def test_without_keys_they_are_asked_for_again_later(prepared, tmp_path, path):
    with installed(prepared, tmp_path, ManualClock()) as app:
        (tmp_path / "keys").rename(tmp_path / "away")
        without = app.test_client().get(path)
        (tmp_path / "away").rename(tmp_path / "keys")
        assert app.test_client().get(path).status_code == 200
    assert (without.status_code, without.data) == (503, b"")
    assert without.headers["Retry-After"] == "2"
    assert without.headers["Cache-Control"] == "no-store"


def test_without_a_database_they_are_asked_for_again_later(tmp_path):
    (tmp_path / "var").mkdir()
    app = create_app(settings_for(tmp_path, f"postgresql://x@/none?host={tmp_path}"), ManualClock())
    assert {app.test_client().get(path).status_code for path in DOCUMENTS} == {503}


def test_a_query_changes_nothing(http):
    assert http.get(JWKS + "?kid=1").data == http.get(JWKS).data

"""Registered audiences, through the API: for administrators alone."""

from urllib.parse import quote

import pytest

from .conftest import CALLERS, location, problem

URI = "https://api.acme.example"


def at(uri):
    return f"/audiences/{quote(uri, safe='')}"


BODY = {"kind": "api", "introspect": ["shop"]}
OPERATIONS = [
    ("GET", "/audiences", None),
    ("GET", at(URI), None),
    ("PUT", at(URI), BODY),
    ("DELETE", at(URI), None),
]


@pytest.mark.parametrize("caller", [each for each in CALLERS if each != "administrator"])
@pytest.mark.parametrize(("method", "path", "body"), OPERATIONS)
def test_nobody_but_an_administrator_may(shared_api, caller, method, path, body):
    status = 401 if caller in {"nobody", "client secret"} else 403
    problem(shared_api(caller, method, path, body), status)


def test_an_audience_is_registered_changed_and_removed(api):
    made = api("administrator", "PUT", at(URI), BODY)
    assert made.status_code == 201
    assert made.headers["Location"] == location(at(URI))
    shape = made.get_json()
    assert (shape["uri"], shape["rendering"], shape["introspect"]) == (URI, "composite", ["shop"])
    rows = len(api.world.events())
    assert api("administrator", "PUT", at(URI), BODY).status_code == 200
    assert len(api.world.events()) == rows
    problem(api("administrator", "PUT", at(URI), BODY, If_Match='"other"'), 412)
    problem(api("administrator", "PUT", at(URI), BODY, If_None_Match="*"), 412)
    changed = api(
        "administrator",
        "PUT",
        at(URI),
        {"kind": "api", "rendering": "delegated"},
        If_Match=made.headers["ETag"],
    )
    assert (changed.get_json()["rendering"], changed.get_json()["introspect"]) == ("delegated", [])
    event = api.last_event()
    assert (event.action, event.detail["rendering"]) == ("tokens:audience:change", "delegated")
    problem(api("administrator", "PUT", at(URI), {"kind": "verifier", "projects": None}), 409)
    assert api("administrator", "GET", "/audiences").get_json()["items"] == [changed.get_json()]
    assert api("administrator", "DELETE", at(URI)).status_code == 204
    problem(api("administrator", "DELETE", at(URI)), 404)
    problem(api("administrator", "GET", at(URI)), 404)


@pytest.mark.parametrize(
    "uri",
    [
        "https://api.acme.example/v1/",
        "https://a.example//two///three",
        "sts.amazonaws.com",
        "urn:acme:api",
        "https://a.example/?x=1&y=%2F#z",
        "/tools",
        "a b",
    ],
)
def test_any_audience_is_its_own_slug(api, uri):
    """Slashes are neither merged nor lost, and what is no audience at all is refused."""
    answer = api("administrator", "PUT", at(uri), {"kind": "verifier", "projects": ["acme/webapp"]})
    if uri in {"/tools", "a b"}:
        assert answer.status_code in {404, 422}
        return
    assert answer.status_code == 201, answer.text
    assert answer.get_json()["uri"] == uri
    assert api("administrator", "GET", at(uri)).get_json()["projects"] == ["acme/webapp"]
    assert api("administrator", "DELETE", at(uri)).status_code == 204


def test_nobody_opens_an_audience_by_leaving_something_out(api):
    """Who deletes the project that it was for keeps it from the others all the same."""
    path, bound = at("sts.acme.example"), {"kind": "verifier", "projects": ["acme/webapp"]}
    assert api("administrator", "PUT", path, bound).status_code == 201
    problem(api("administrator", "PUT", path, {"kind": "verifier"}), 422)
    api("administrator", "DELETE", "/projects/acme/webapp")
    read = api("administrator", "GET", path)
    shape = read.get_json()
    assert shape["projects"] == ["acme/webapp"]
    same = {name: shape[name] for name in ("kind", "alg", "rendering", "projects", "introspect")}
    assert api("administrator", "PUT", path, same).data == read.data
    problem(api("administrator", "PUT", at("other.acme.example"), bound), 422)
    opened = api("administrator", "PUT", path, bound | {"projects": None})
    assert (opened.status_code, opened.get_json()["projects"]) == (200, None)


def test_the_spelling_that_was_registered_stays(api):
    api("administrator", "PUT", at(URI), BODY)
    again = api("administrator", "PUT", at("HTTPS://API.acme.example/"), BODY)
    assert (again.status_code, again.get_json()["uri"]) == (200, URI)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"kind": "other"},
        {"kind": "api", "alg": "none"},
        {"kind": "api", "projects": ["acme/webapp"]},
        {"kind": "verifier"},
        {"kind": "verifier", "projects": []},
        {"kind": "verifier", "projects": None, "rendering": "delegated"},
        {"kind": "verifier", "projects": ["acme/none"]},
        {"kind": "api", "introspect": ["nobody"]},
        {"kind": "api", "introspect": ["duo"]},
        {"kind": "api", "more": 1},
    ],
)
def test_what_cannot_be_is_refused_and_registers_nothing(shared_api, body):
    problem(shared_api("administrator", "PUT", at("https://b.example"), body), 422)
    problem(shared_api("administrator", "GET", at("https://b.example")), 404)


def test_what_is_reserved_cannot_be_registered(shared_api):
    for uri in ("http://localhost:8000", "http://localhost:8000/api/v1", "sa_7"):
        problem(shared_api("administrator", "PUT", at(uri), {"kind": "verifier", "projects": None}), 422)


def test_audiences_are_listed_page_by_page(api):
    uris = [f"https://{each}.example" for each in "cab"]
    for uri in uris:
        api("administrator", "PUT", at(uri), BODY)
    first = api("administrator", "GET", "/audiences?limit=2").get_json()
    second = api("administrator", "GET", f"/audiences?limit=2&cursor={first['next_cursor']}").get_json()
    assert [row["uri"] for row in first["items"] + second["items"]] == sorted(uris)
    assert second["next_cursor"] is None


def algorithms(api):
    """In the key set."""
    return sorted(jwk["alg"] for jwk in api.world.components.keyring.current().public_jwks)


def test_an_algorithm_is_in_the_key_set_while_an_audience_asks_for_it(api):
    made = api("administrator", "PUT", at(URI), BODY | {"alg": "ES256"}).get_json()
    assert (made["alg"], made["excludes"]) == ("ES256", ["Microsoft Entra"])
    assert algorithms(api) == ["ES256", "ES256", "RS256", "RS256"]
    changed = api("administrator", "PUT", at(URI), BODY | {"alg": "EdDSA"})
    assert (changed.status_code, changed.get_json()["alg"]) == (200, "EdDSA")
    assert api.world.events("tokens:audience:change")[0].detail["alg"] == "EdDSA"
    api.world.components.keyring.refresh()
    assert algorithms(api) == ["EdDSA", "EdDSA", "RS256", "RS256"]
    assert api("administrator", "DELETE", at(URI)).status_code == 204
    api.world.components.keyring.refresh()
    assert algorithms(api) == ["RS256", "RS256"]


def test_what_is_refused_takes_no_algorithm_into_use(api):
    problem(api("administrator", "PUT", at(URI), BODY | {"alg": "ES256", "introspect": ["duo"]}), 422)
    problem(api("administrator", "PUT", at(URI), BODY | {"alg": "ES256"}, If_Match='"other"'), 412)
    assert algorithms(api) == ["RS256", "RS256"]
    assert {file.suffix for file in api.world.components.settings.keys_dir.iterdir()} == {".pem"}

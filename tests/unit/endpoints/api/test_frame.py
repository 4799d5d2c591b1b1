"""What every operation has from the frame: conditions, pages, problems, the description."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.ledger.actions import AuditAction
from app.ledger.record import Actor
from app.operations.schemas import NAME_FORM, PATH_FORM
from tests.support.components import ISSUER, NOW, on_every_database
from tests.support.effort import count

from .conftest import PREFIX, problem

BOB = {"email": "bob@example.org", "admin": False}


@on_every_database
def test_a_change_of_what_is_no_longer_so_is_refused(api):
    etag = api("administrator", "GET", "/users/bob").headers["ETag"]
    changed = api("administrator", "PUT", "/users/bob", BOB, If_Match=etag)
    assert changed.status_code == 200
    other = BOB | {"email": "robert@example.org"}
    for method, path, body in (("PUT", "/users/bob", other), ("PUT", "/users/bob/active", {"active": False})):
        problem(api("administrator", method, path, body, If_Match=etag), 412)
    assert api("administrator", "GET", "/users/bob").data == changed.data
    mine = f"/delegations/{api.world.delegation}"
    problem(api("alice", "DELETE", mine, If_Match=etag), 412)
    assert api("alice", "DELETE", mine, If_Match=api("alice", "GET", mine).headers["ETag"]).status_code == 204


@pytest.mark.parametrize(
    ("name", "value", "existing", "new"),
    [
        ("If-None-Match", "*", 412, 201),
        ("If-Match", "*", 200, 412),
        ("If-Match", '"no such"', 412, 412),
        ("If-Match", "", 412, 412),
        ("If-Match", '"a", {etag}', 200, 412),
        ("If-Match", "W/{etag}", 412, 412),
        ("If-None-Match", "{etag}", 412, 201),
        ("If-None-Match", "W/{etag}", 412, 201),
        ("If-None-Match", '"no such"', 200, 201),
    ],
)
def test_conditions_on_what_is_and_is_not_there(api, name, value, existing, new):
    etag = api("administrator", "GET", "/users/bob").headers["ETag"]
    header = {name: value.replace("{etag}", etag)}
    body = {"email": "bob@example.com", "admin": False}
    assert api("administrator", "PUT", "/users/bob", body, **header).status_code == existing
    assert api("administrator", "PUT", "/users/new", body, **header).status_code == new


def test_what_is_known_already_is_not_sent_again(shared_api):
    etag = shared_api("alice", "GET", "/users/alice").headers["ETag"]
    again = shared_api("alice", "GET", "/users/alice", If_None_Match=etag)
    assert (again.status_code, again.data) == (304, b"")
    assert shared_api("alice", "HEAD", "/users/alice").headers["ETag"] == etag


def test_what_is_read_may_be_wanted_as_it_was(shared_api):
    etag = shared_api("alice", "GET", "/users/alice").headers["ETag"]
    assert shared_api("alice", "GET", "/users/alice", If_Match=etag).status_code == 200
    for path in ("/users/alice", "/openapi.json"):
        refused = problem(shared_api("alice", "GET", path, If_Match='"other"'), 412)
        assert refused.keys() == {"type", "title", "status", "request_id", "detail"}


def test_what_takes_no_body_is_given_none(api):
    for method, path in (("PUT", "/projects/acme/new"), ("DELETE", "/projects/acme/webapp")):
        refused = problem(api("administrator", method, path, {"visibility": "private"}), 422)
        assert [each["key"] for each in refused["errors"]] == ["body"]
    assert api("administrator", "GET", "/projects/acme/webapp").status_code == 200


def pages(api, path, limit, between=lambda: None):
    """All items, page by page."""
    cursor, found = "", []
    while cursor is not None:
        page = api("administrator", "GET", f"{path}?limit={limit}{cursor and '&cursor=' + cursor}").get_json()
        assert 0 < len(page["items"]) <= limit
        found += page["items"]
        cursor = page["next_cursor"]
        between()
    return found


@on_every_database
def test_pages_meet_end_to_end_whatever_is_added_in_between(api):
    names = [f"u{number}" for number in range(7)]
    for name in names:
        api.world.new_user(name)
    everybody = [each["login"] for each in pages(api, "/users", 200)]
    assert everybody == ["alice", "bob", "root", *names]
    for limit in (1, 3, 5, 10):
        assert [each["login"] for each in pages(api, "/users", limit)] == everybody
    added = iter(["late0", "late1", "late2"])
    found = pages(
        api, "/users", 4, lambda: [api.world.new_user(name) for name in [next(added, None)] if name]
    )
    assert [each["login"] for each in found][: len(everybody)] == everybody
    assert len(found) == len({each["id"] for each in found})


@pytest.mark.parametrize(
    ("query", "key"),
    [
        ("limit=0", "limit"), ("limit=201", "limit"), ("limit=ten", "limit"), ("limit=1.0", "limit"),
        ("limit=%2B1", "limit"), ("limit=%D9%A1", "limit"), ("limit=", "limit"), ("limit=1&limit=1", "limit"),
        ("cursor=", "cursor"), ("cursor=WyJhIl0", "cursor"), ("cursor=Wy0xXQ", "cursor"),
        ("cursor=W3RydWVd", "cursor"), ("cursor=%00", "cursor"), ("cursor=é", "cursor"),
        ("x=1", "(unknown key)"), ("limits=1", "limits"),
        ("limit=-9999999999999999999", "limit"), ("limit=9223372036854775808", "limit"),
    ],
)  # fmt: skip
def test_a_query_is_read_strictly(shared_api, query, key):
    refused = problem(shared_api("administrator", "GET", f"/users?{query}"), 422)
    assert [each["key"] for each in refused["errors"]] == [key]


def test_an_operation_without_a_query_takes_none(shared_api):
    assert problem(shared_api("alice", "GET", "/me?x=1"), 422)["errors"][0]["key"] == "query"


@pytest.mark.parametrize(
    ("data", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"", "application/json", 400),
        (b"\xff", "application/json", 400),
        (b'{"email": NaN}', "application/json", 400),
        (b"[" * 10_000, "application/json", 400),
        (b"{}", "text/plain", 415),
        (b"{}", "", 415),
        (b"email=a", "application/x-www-form-urlencoded", 415),
        (b"[]", "application/json", 422),
        (b'"{}"', "application/json", 422),
        (b"null", "application/json", 422),
        (b'{"email": 1}', "application/json", 422),
        (b'{"email": "a@b", "admin": "true"}', "application/json", 422),
        (b'{"email": "a@b", "admin": 1}', "application/json", 422),
        (b'{"email": "a@b", "x": 1}', "application/json", 422),
        (b'{"email": "' + b"a" * 2_000_000 + b'"}', "application/json", 413),
    ],
)
def test_a_body_is_read_strictly(shared_api, data, content_type, status):
    headers = {"Authorization": shared_api.authorization["administrator"]}
    put = shared_api.world.http.put
    answer = put(f"{PREFIX}/users/new", data=data, content_type=content_type, headers=headers)
    problem(answer, status)


CANARY = "cspat_Sw0rdf1sh-Sw0rdf1sh-Sw0rdf1sh-Sw0rdf1sh-00"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/users/new", {"email": CANARY}),
        ("PUT", "/users/new", {"email": "a@b", "admin": CANARY}),
        ("PUT", "/users/new", {"email": "a@b", CANARY: 1}),
        ("PUT", f"/users/{CANARY}", {"email": "a@b"}),
        ("GET", f"/users/{CANARY.lower()}", None),
        ("GET", f"/users?cursor={CANARY}", None),
        ("GET", f"/users?{CANARY}=1", None),
        ("GET", f"/delegations/{CANARY}", None),
        ("GET", f"/{CANARY}", None),
        ("POST", "/delegations", {"service_account": CANARY.lower()}),
        ("POST", "/delegations", {"service_account": "duo", "user": CANARY.lower()}),
        ("POST", "/delegations", {"service_account": "duo", "scopes": [CANARY]}),
        ("POST", "/delegations", {"service_account": "duo", "project": CANARY.lower()}),
        ("POST", "/delegations", {"service_account": "duo", "expires_at": CANARY}),
    ],
)
def test_a_refusal_repeats_nothing_that_was_given(shared_api, method, path, body):
    answer = shared_api("administrator", method, path, body)
    assert 400 <= answer.status_code < 500
    problem(answer, answer.status_code)
    assert "w0rdf1sh" not in answer.text


def test_every_fault_of_a_body_is_named_with_its_remedy(shared_api):
    body = {"admin": 1, "e_mail": "a@b", "hunter2": "red"}
    refused = problem(shared_api("administrator", "PUT", "/users/new", body), 422)
    assert refused["errors"] == [
        {"key": "email", "fix": "is required"},
        {"key": "admin", "fix": "write true or false"},
        {"key": "e_mail", "fix": "leave it out: there is no such key"},
        {"key": "(unknown key)", "fix": "leave it out: there is no such key"},
    ]


USER = {"email": "new@example.com", "admin": False}


@pytest.mark.parametrize(
    ("method", "path", "body", "key", "fix"),
    [
        ("PUT", "/users/new", USER | {"email": 1}, "email", "write an address such as alice@example.com"),
        (
            "PUT",
            "/users/new",
            USER | {"email": "none"},
            "email",
            "write an address such as alice@example.com",
        ),
        ("PUT", "/users/new", USER | {"admin": "yes"}, "admin", "write true or false"),
        ("PUT", "/users/new", [], "body", "give an object"),
        ("POST", "/delegations", {"service_account": "Duo!"}, "service_account", NAME_FORM),
        ("POST", "/delegations", {"service_account": "duo", "scopes": "api"}, "scopes", "give a list"),
        ("POST", "/delegations", {"service_account": "duo", "scopes": []}, "scopes", "give at least 1"),
        ("PATCH", "/projects/acme/webapp", {"path": "acme"}, "path", PATH_FORM),
        (
            "PATCH",
            "/projects/acme/webapp",
            {"workload": "robot"},
            "workload",
            "choose 'service_account' or 'user'",
        ),
        (
            "PATCH",
            "/projects/acme/webapp",
            {"concurrent_runs": 1.5},
            "concurrent_runs",
            "write a whole number",
        ),
        ("PATCH", "/projects/acme/webapp", {"concurrent_runs": 0}, "concurrent_runs", "write 1 or more"),
        ("PUT", "/projects/acme/webapp/variables/A", {"value": 1}, "value", "write a text"),
        (
            "PUT",
            "/projects/acme/webapp/variables/A",
            {"value": "a" * 8193},
            "value",
            "write at most 8192 characters",
        ),
        ("GET", "/users?limit=many", None, "limit", "write a whole number"),
        ("GET", "/users?limit=201", None, "limit", "write 200 or less"),
        ("GET", "/users?cursor=", None, "cursor", "must not be empty"),
    ],
)
def test_a_remedy_is_in_words_for_a_human(shared_api, method, path, body, key, fix):
    refused = problem(shared_api("administrator", method, path, body), 422)
    assert refused["errors"] == [{"key": key, "fix": fix}]


@pytest.mark.parametrize("at", ["2020-01-01T00:00:00Z", "2900-01-01T00:00:00Z"])
def test_an_end_is_still_to_come(shared_api, at):
    body = {"service_account": "duo", "expires_at": at}
    refused = problem(shared_api("administrator", "POST", "/delegations", body), 422)
    assert refused["errors"] == [
        {"key": "expires_at", "fix": "choose a time that is still to come, within 100 years"}
    ]


@pytest.mark.parametrize("path", ["/", "/users/", "/none", "/users//", "/users/alice/", "/users/a%2Fb"])
def test_what_is_no_operation_is_not_found_and_nothing_is_redirected(shared_api, path):
    problem(shared_api("administrator", "GET", path), 404)


def test_a_method_that_is_not_there_is_told_which_are(shared_api):
    for method in ("DELETE", "PATCH", "OPTIONS", "TRACE"):
        answer = shared_api("administrator", method, "/users/alice")
        problem(answer, 405)
        assert answer.headers["Allow"] == "GET, HEAD, PUT"


def test_the_caller_is_asked_for_before_anything_is_read(shared_api):
    for path in ("/users/new", "/users/new?x=1"):
        problem(shared_api("nobody", "PUT", path, {"x": 1}), 401)
        problem(shared_api("stranger", "PUT", path, {"x": 1}), 403)


def test_the_description_is_public_and_kept(shared_api):
    answer = shared_api("nobody", "GET", "/openapi.json")
    assert answer.headers["Cache-Control"] == "public, max-age=3600"
    assert answer.get_json()["openapi"].startswith("3.1.")
    assert answer.get_json()["servers"] == [{"url": f"{ISSUER}{PREFIX}"}]
    again = shared_api("nobody", "GET", "/openapi.json", If_None_Match=answer.headers["ETag"])
    assert again.status_code == 304


FILES = {"/log/raw": "text/plain", "/export.jsonl": "application/jsonl", "/export.csv": "text/csv"}


def operations(api):
    document = api("nobody", "GET", "/openapi.json").get_json()
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield f"{method} {path}", operation


def test_every_operation_says_all_that_a_client_needs(shared_api):
    ids = []
    for label, operation in operations(shared_api):
        ids.append(operation["operationId"])
        assert operation["summary"], label
        assert operation["security"], label
        assert {"401", "403", "422", "503"} <= operation["responses"].keys(), label
        for parameter in operation["parameters"]:
            assert "schema" in parameter, label
            assert parameter["in"] != "path" or "example" in parameter, (label, parameter["name"])
        assert operation["responses"].keys() >= ({"304"} if label.startswith("get ") else {"405"}), label
        for status, response in operation["responses"].items():
            good = next((kind for end, kind in FILES.items() if label.endswith(end)), "application/json")
            kind = good if status < "4" else "application/problem+json"
            assert [*response.get("content", {kind: {}})] == [kind] or status == "204", label
    assert len(ids) == len(set(ids))


def test_every_reference_of_the_description_leads_somewhere(shared_api):
    answer = shared_api("nobody", "GET", "/openapi.json")
    wanted = set(re.findall(r'"\$ref":"#/components/schemas/([^"]+)"', answer.text))
    assert wanted >= {"AuditAction", "Outcome", "ProblemBody"}
    assert wanted <= answer.get_json()["components"]["schemas"].keys()


def test_an_answer_has_the_members_that_are_described_and_no_others(shared_api):
    schemas = shared_api("nobody", "GET", "/openapi.json").get_json()["components"]["schemas"]
    for path, name in (
        ("/me", "MeAnswer"),
        ("/users/alice", "UserAnswer"),
        ("/delegations/1", "DelegationAnswer"),
    ):
        assert shared_api("alice", "GET", path).get_json().keys() == schemas[name]["properties"].keys()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=count(ci=100, proof=2000))
@given(body=json_values | st.dictionaries(st.sampled_from(["email", "admin", "active"]), json_values))
def test_no_body_is_a_fault_of_ours(shared_api, body):
    headers = {"Authorization": shared_api.authorization["administrator"]}
    put = shared_api.world.http.put
    data = json.dumps(body)
    answer = put(f"{PREFIX}/users/alice/active", data=data, content_type="application/json", headers=headers)
    assert answer.status_code in {200, 422}


def test_what_a_pair_does_names_both_and_whom_it_concerned():
    pair = Actor(name="service_account:7", on_behalf_of="user:1", request_id="r")
    done = pair.did(
        AuditAction.MEMBER_ADD, NOW, user="user:5", project="acme/webapp", detail={"role": "guest"}
    )
    assert (done.actor, done.user, done.service_account) == (
        "service_account:7",
        "user:1",
        "service_account:7",
    )
    assert done.detail == {"role": "guest", "concerned": {"user": "user:5"}}
    itself = pair.did(AuditAction.RUN_CREATE, NOW, user="user:1", service_account="service_account:7")
    assert (itself.user, itself.service_account, itself.detail) == ("user:1", "service_account:7", {})
    own = Actor(name="service_account:9").did(
        AuditAction.MEMBER_ADD, NOW, service_account="service_account:7"
    )
    assert (own.user, own.service_account) == (None, "service_account:9")
    assert own.detail == {"concerned": {"service_account": "service_account:7"}}
    alone = Actor(name="user:1").did(AuditAction.DELEGATION_GRANT, NOW, user="user:5")
    assert (alone.user, alone.service_account) == ("user:5", None)

"""AuthZEN 1.0's own examples, as they are published: their requests, and their answers for their decisions.

Its documents are none of ours; where a decision matters they are projects of the same number.
"""

import pytest

from app.identity import members, projects
from tests.support.components import ISSUER, parts
from tests.support.resource_server import resource_server

EVALUATION, EVALUATIONS = "/access/v1/evaluation", "/access/v1/evaluations"
REQUEST_ID = "bfe9eb29-ab87-4ca3-be83-a1d5d8305716"
ALICE = {"type": "user", "id": "alice@example.com"}
DOCUMENTS = [{"resource": {"type": "document", "id": number}} for number in "123"]
ANSWERS = {
    "execute_all": [True, False, True],
    "deny_on_first_deny": [True, False],
    "permit_on_first_permit": [True],
}
"""§7.1.2.1, of three documents of which the second is denied."""
ALL_DENIED = {"execute_all": 3, "deny_on_first_deny": 1, "permit_on_first_permit": 3}
semantics = pytest.mark.parametrize("semantic", ANSWERS)


@pytest.fixture(scope="module")
def api(shared_world):
    """Alice may read projects 1 and 3."""
    for number in "123":
        path = f"documents/{number}"
        shared_world.change(projects.create_project, path)
        if number != "2":
            shared_world.change(
                lambda session, path=path, **by_now: members.add_member(
                    session, members.find_place(session, path), "user:alice", "reporter", **by_now
                )
            )
    return resource_server(shared_world)


def post(api, path, body, authorization=None):
    headers = {"Authorization": authorization or api.authorization, "X-Request-ID": REQUEST_ID}
    answer = api.world.http.post(path, json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.content_type == "application/json"
    assert answer.headers["X-Request-ID"] == REQUEST_ID
    return answer.get_json()


def published(semantic):
    return {
        "subject": ALICE,
        "action": {"name": "read"},
        "options": {"evaluations_semantic": semantic},
        "evaluations": DOCUMENTS,
    }


def ours(world, semantic):
    resources = [{"resource": {"type": "project", "id": f"documents/{number}"}} for number in "123"]
    return published(semantic) | {
        "subject": {"type": "user", "id": str(world.alice)},
        "action": {"name": "code.read"},
        "evaluations": resources,
    }


@pytest.mark.spec("AuthZEN 1.0", "7.1.2.1", "The three semantics, with the published decisions.")
@semantics
def test_three_documents_under_each_semantic(api, semantic):
    found = post(api, EVALUATIONS, ours(api.world, semantic))
    assert list(found) == ["evaluations"]
    assert [each["decision"] for each in found["evaluations"]] == ANSWERS[semantic]


@semantics
def test_the_same_request_to_the_letter_is_answered_as_far_as_its_semantic_goes(api, semantic):
    """Its subject and its documents are unknown here: all denied, and no error."""
    found = post(api, EVALUATIONS, published(semantic))["evaluations"]
    assert [each["decision"] for each in found] == [False] * ALL_DENIED[semantic]


def test_without_a_semantic_all_are_executed(api):
    body = ours(api.world, "execute_all")
    del body["options"]
    found = post(api, EVALUATIONS, body)["evaluations"]
    assert [each["decision"] for each in found] == ANSWERS["execute_all"]


@pytest.mark.spec("AuthZEN 1.0", "10.1", "The HTTPS binding's requests, by a bearer, with their identifier.")
def test_the_https_binding(api):
    token = api.world.ask(scope=f"api {api.world.scope}").get_json()["access_token"]
    assert parts(token)[1]["aud"] == f"{ISSUER}/api/v1"
    single = {
        "subject": {"type": "user", "id": "alice@acmecorp.com"},
        "resource": {"type": "todo", "id": "1"},
        "action": {"name": "can_read"},
        "context": {"time": "1985-10-26T01:22-07:00"},
    }
    assert post(api, EVALUATION, single, f"Bearer {token}")["decision"] is False
    many = {
        "subject": {"type": "user", "id": "alice@acmecorp.com"},
        "context": {"time": "2024-05-31T15:22-07:00"},
        "action": {"name": "can_read"},
        "evaluations": [
            {"resource": {"type": "document", "id": "boxcarring.md"}},
            {"resource": {"type": "document", "id": "subject-search.md"}},
            {"action": {"name": "can_edit"}, "resource": {"type": "document", "id": "resource-search.md"}},
        ],
    }
    found = post(api, EVALUATIONS, many, f"Bearer {token}")["evaluations"]
    assert [each["decision"] for each in found] == [False] * 3


def test_an_error_of_one_among_others_has_the_published_shape(api):
    """§7.2.1: a decision in its place, with a status and a message."""
    body = ours(api.world, "execute_all")
    body["evaluations"] = [body["evaluations"][0], {"resource": {"type": "project"}}, body["evaluations"][1]]
    first, second, third = post(api, EVALUATIONS, body)["evaluations"]
    assert (first["decision"], second["decision"], third["decision"]) == (True, False, False)
    assert second["context"]["error"].keys() == {"status", "message"}


@pytest.mark.spec(
    "AuthZEN 1.0", "9.2", "The metadata document: a JSON object, without members that are empty."
)
def test_the_metadata_document(api):
    answer = api.world.http.get("/.well-known/authzen-configuration", headers={"Host": "pdp.mycompany.com"})
    assert (answer.status_code, answer.content_type) == (200, "application/json")
    found = answer.get_json()
    assert found["policy_decision_point"] == ISSUER
    assert found["access_evaluation_endpoint"] == ISSUER + EVALUATION
    assert found["access_evaluations_endpoint"] == ISSUER + EVALUATIONS
    assert all(isinstance(value, str) and value for value in found.values())
    assert not [name for name in found if name.startswith("search_")]

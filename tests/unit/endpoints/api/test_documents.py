"""What anybody may read of the API: documents, kept by whoever has them."""

import pytest

from app.endpoints.api.documents import DOCUMENTS
from app.flows import schema
from app.flows.configuration import Configuration


def test_the_schema_of_configurations_is_published(shared_api):
    answer = shared_api("nobody", "GET", "/schemas/agent-config.json")
    assert answer.content_type == "application/json"
    assert answer.get_json() == schema.of(Configuration)


@pytest.mark.parametrize("path", DOCUMENTS)
def test_a_document_is_public_and_kept(shared_api, path):
    answer = shared_api("nobody", "GET", path)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "public, max-age=3600"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert shared_api("nobody", "GET", path, If_None_Match=answer.headers["ETag"]).status_code == 304
    assert shared_api("nobody", "HEAD", path).text == ""


@pytest.mark.parametrize("path", DOCUMENTS)
def test_a_document_is_only_read(shared_api, path):
    answer = shared_api("nobody", "PUT", path, {})
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")

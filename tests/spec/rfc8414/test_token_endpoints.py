"""The metadata names the endpoints that are really on: RFC 8414."""

import pytest

from tests.support.components import ISSUER

METHODS = ["client_secret_basic", "client_secret_post"]


@pytest.mark.spec(
    "RFC 8414", "2", "introspection_endpoint and revocation_endpoint, with how clients show who they are."
)
@pytest.mark.parametrize("document", ["openid-configuration", "oauth-authorization-server"])
@pytest.mark.parametrize(
    ("name", "path"), [("introspection", "/oauth/introspect"), ("revocation", "/oauth/revoke")]
)
def test_an_endpoint_is_named_and_is_there(shared_world, document, name, path):
    metadata = shared_world.http.get(f"/.well-known/{document}").get_json()
    assert metadata[f"{name}_endpoint"] == ISSUER + path
    assert metadata[f"{name}_endpoint_auth_methods_supported"] == METHODS
    assert shared_world.http.post(path, data={"token": "x"}).status_code == 401


@pytest.mark.parametrize("path", ["/oauth/introspect", "/oauth/revoke"])
def test_client_secret_post_works_too(shared_world, path):
    form = {"token": "x", "client_id": shared_world.client_id, "client_secret": shared_world.secret.reveal()}
    assert shared_world.http.post(path, data=form).status_code == 200
    both = {"Authorization": shared_world.basic()}
    assert shared_world.http.post(path, data=form, headers=both).status_code == 400
